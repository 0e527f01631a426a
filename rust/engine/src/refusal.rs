//! Step 6 of 6 - answers that the server gives by itself, without Python: refusals, and the end of patience.

use crate::access_log::{Outcome, Record};
use crate::connection::{BodyFault, Connection, Phase, State};
use crate::date::Date;
use crate::exchange::Times;
use crate::reading::Now;
use crate::shared::Shared;
use barkeep_wire::{CommonFields, Head, Refusal, write_refusal};
use std::sync::Arc;

/// Why the server answers instead of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    pub status: u16,
    /// One sentence for the log.
    pub text: &'static str,
}

impl From<Refusal> for Reason {
    fn from(refused: Refusal) -> Reason {
        Reason { status: refused.status(), text: refused.reason() }
    }
}

pub const CUT_SHORT: Reason =
    Reason { status: 400, text: "connection closed before the request was complete" };
pub const UNDERSCORE: Reason =
    Reason { status: 400, text: "underscore in a field name (underscore_headers)" };
pub const HEAD_TOO_SLOW: Reason = Reason { status: 408, text: "head not complete within head_timeout" };
pub const BODY_TOO_SLOW: Reason =
    Reason { status: 408, text: "body slower than body_timeout and min_data_rate allow" };

/// Answers with the reason's status and closes once the peer has had a chance to read it.
///
/// head: of the request, as far as it was read, when the phase no longer has it.
pub fn refuse(
    connection: &Connection,
    state: &mut State,
    shared: &Shared,
    head: Option<Arc<Head>>,
    reason: Reason,
    now: Now,
) {
    let (head, first_byte_ns) = match std::mem::replace(&mut state.phase, Phase::Leaving { linger: true }) {
        Phase::Head(under_way) => (Some(under_way.head), under_way.first_byte_ns),
        Phase::Body(under_way) => (Some(under_way.head), under_way.first_byte_ns),
        Phase::Idle | Phase::Serving(_) | Phase::Draining(_) | Phase::Leaving { .. } => (head, now.ns),
        Phase::Lingering { .. } | Phase::Closed => (head, now.ns),
    };
    let is_head = head.as_ref().is_some_and(|head| head.is_head());
    shared.log.info(format_args!("refused {} with {}: {}", connection.peer, reason.status, reason.text));
    let mut answer = Vec::with_capacity(256);
    let date = Date::now();
    let common = CommonFields { date: date.as_bytes(), server: shared.options.server_header.as_bytes() };
    write_refusal(&mut answer, reason.status, is_head, &common);
    let times = Times { first_byte_ns, ready_ns: now.ns, taken_ns: 0 };
    let outcome = if reason.status == 408 { Outcome::TimedOut } else { Outcome::Refused };
    let record = Record::of_refusal(connection, shared, head, reason.status, times, outcome);
    state.unlogged.push(record);
    state.inbox = Vec::new();
    connection.record.writing(now.ns);
    connection.deadline.clear();
    state.progress.reset();
    state.outbox.add(&answer);
    connection.flush(state, shared, now.ms);
}

impl Reason {
    /// The answer to a request whose body failed while the application read it; None when nobody can be answered.
    pub fn of_body_fault(fault: BodyFault) -> Option<Reason> {
        match fault {
            BodyFault::Refused(refused) => Some(refused.into()),
            BodyFault::CutShort => Some(CUT_SHORT),
            BodyFault::TooSlow => Some(BODY_TOO_SLOW),
            BodyFault::Gone => None,
        }
    }
}
