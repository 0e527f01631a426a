//! The Date field, rendered once a second per thread (RFC 9110 section 6.6.1).

use crate::clock::unix_seconds;
use barkeep_wire::format_imf_fixdate;
use std::cell::Cell;

/// A rendered date: `Fri, 20 Nov 2026 14:00:00 GMT`.
#[derive(Clone, Copy)]
pub struct Date {
    unix_seconds: u64,
    text: [u8; 29],
}

thread_local! {
    static LAST: Cell<Option<Date>> = const { Cell::new(None) };
}

impl Date {
    /// The date of this second.
    pub fn now() -> Date {
        let unix_seconds = unix_seconds();
        match LAST.get() {
            Some(date) if date.unix_seconds == unix_seconds => date,
            _ => {
                let date = Date { unix_seconds, text: format_imf_fixdate(unix_seconds) };
                LAST.set(Some(date));
                date
            }
        }
    }

    pub fn as_bytes(&self) -> &[u8; 29] {
        &self.text
    }
}
