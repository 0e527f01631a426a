//! Step 6 of 6 - the end of an exchange whose application takes too long: the client has its answer, or sees the cut, and
//! whatever the application still does finds nobody.

use crate::access_log::{Outcome, Record};
use crate::connection::{Connection, Phase, Serving, State, wake};
use crate::date::Date;
use crate::reading::Now;
use crate::shared::Shared;
use crate::watch::TimedOut;
use barkeep_wire::{CommonFields, write_refusal};

const SERVICE_UNAVAILABLE: u16 = 503;
const GATEWAY_TIMEOUT: u16 = 504;

/// Why an exchange is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The application had its time.
    TimedOut,
    /// No application thread came for it in time.
    Shed,
    /// Python stands still.
    Stalled,
    /// The operator wants it ended.
    Killed,
}

impl Verdict {
    fn status(self) -> u16 {
        match self {
            Verdict::Shed => SERVICE_UNAVAILABLE,
            Verdict::TimedOut | Verdict::Stalled | Verdict::Killed => GATEWAY_TIMEOUT,
        }
    }

    fn outcome(self) -> Outcome {
        match self {
            Verdict::Shed => Outcome::Shed,
            Verdict::TimedOut | Verdict::Stalled | Verdict::Killed => Outcome::TimedOut,
        }
    }

    /// For the log, before the answer.
    fn text(self) -> &'static str {
        match self {
            Verdict::TimedOut => "timed out in the application",
            Verdict::Shed => "no application thread was free in time",
            Verdict::Stalled => "timed out while Python stood still",
            Verdict::Killed => "ended on request",
        }
    }
}

/// Answers 503 or 504 if nothing of an answer was sent, else aborts. The exchange no longer belongs to the connection:
/// from here on the application thread finds `Gone`.
pub fn give_up(connection: &Connection, state: &mut State, shared: &Shared, verdict: Verdict, now: Now) {
    let serving = match std::mem::replace(&mut state.phase, Phase::Closed) {
        Phase::Serving(serving) => serving,
        other => {
            state.phase = other;
            return;
        }
    };
    connection.application.stop();
    let may_answer = !serving.given.is_something() && state.transport.is_some();
    tell(connection, shared, &serving, verdict, may_answer, now);
    if !serving.is_logged {
        state.unlogged.push(record(connection, shared, &serving, verdict, now));
    }
    if serving.run.is_some() {
        connection.record.keep();
    }
    wake(state);
    if !may_answer {
        connection.abort(state, shared);
        // Nothing happens there when the client went away before.
        shared.log_answers_as_cut(&mut state.unlogged);
        shared.forget(connection.token);
        return;
    }
    let mut answer = Vec::with_capacity(256);
    let date = Date::now();
    let common = CommonFields { date: date.as_bytes(), server: shared.options.server_header.as_bytes() };
    write_refusal(&mut answer, verdict.status(), serving.head.is_head(), &common);
    // The rest of a body, and requests sent ahead, are read away so that the client gets to read its answer.
    let is_body_unread = serving.stream.is_some_and(|stream| !stream.decoder.is_done());
    state.phase = Phase::Leaving { linger: is_body_unread || !state.inbox.is_empty() };
    connection.deadline.clear();
    state.progress.reset();
    state.outbox.add(&answer);
    connection.flush(state, shared, now.ms);
}

/// One line of the log, and an event for the watch when a thread is still at it.
fn tell(
    connection: &Connection,
    shared: &Shared,
    serving: &Serving,
    verdict: Verdict,
    may_answer: bool,
    now: Now,
) {
    let age_ms = now.ns.saturating_sub(serving.times.first_byte_ns) / 1_000_000;
    let head = &serving.head;
    let request = format!("{} {}", head.method().escape_ascii(), head.target().escape_ascii());
    let text = verdict.text();
    let peer = &connection.peer;
    if may_answer {
        let status = verdict.status();
        shared
            .log
            .warning(format_args!("{text} after {age_ms} ms, answered {status}: {request} from {peer}"));
    } else {
        shared.log.warning(format_args!("{text} after {age_ms} ms, aborted: {request} from {peer}"));
    }
    if let Some(run) = &serving.run {
        let event = TimedOut {
            thread_ident: run.thread_ident,
            serial: run.serial,
            request,
            age_ms,
            thread_number: run.thread_number.get(),
        };
        shared.watch.tell(event, now.ns);
    }
}

fn record(connection: &Connection, shared: &Shared, serving: &Serving, verdict: Verdict, now: Now) -> Record {
    let whole_bytes = serving.run.as_ref().map_or(0, |run| run.body_bytes);
    Record {
        names: shared.names_for_log(connection, Some(&serving.head)),
        status: if serving.given.is_something() { serving.given.status } else { verdict.status() },
        bytes_sent: serving.given.body_bytes,
        bytes_received: serving.stream.as_ref().map_or(whole_bytes, |stream| stream.bytes_read),
        times: serving.times,
        done_ns: now.ns,
        outcome: verdict.outcome(),
    }
}
