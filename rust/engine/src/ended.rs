//! The end of the I/O thread, told to everybody who waits for it, however it comes.

use crate::lock;
use crate::shared::Shared;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Tells other threads that the I/O thread has ended: every connection is closed.
#[derive(Default)]
pub struct Ended {
    has_ended: Mutex<bool>,
    changed: Condvar,
}

impl Ended {
    fn set(&self) {
        *lock(&self.has_ended) = true;
        self.changed.notify_all();
    }

    /// Waits for the end, for so long at most (None: for ever). True when it has come. Called without the GIL.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let ended = lock(&self.has_ended);
        let timeout = timeout.unwrap_or(Duration::from_secs(u64::from(u32::MAX)));
        let waited = self.changed.wait_timeout_while(ended, timeout, |ended| !*ended);
        *waited.unwrap_or_else(std::sync::PoisonError::into_inner).0
    }
}

/// Tells the end of the I/O thread also when it panics: application threads and whoever waits may not wait for ever.
pub struct TellEnd<'a> {
    pub shared: Arc<Shared>,
    pub ended: &'a Ended,
}

impl Drop for TellEnd<'_> {
    fn drop(&mut self) {
        self.shared.hand_over.close();
        self.shared.standings.set_gone();
        self.ended.set();
    }
}
