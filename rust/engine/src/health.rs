//! Step 6 of 6 - answers to health probes, given by the I/O thread: no Python, and no thread of the application's.
//!
//! `/livez` says whether the process is of use at all, `/readyz` whether a load balancer should send requests here.

use crate::access_log::{Outcome, Record};
use crate::connection::{Connection, Phase, State};
use crate::date::Date;
use crate::exchange::Times;
use crate::reading::{Now, Step};
use crate::shared::Shared;
use crate::standing::Standing;
use barkeep_wire::{
    BodyFraming, BodySize, CommonFields, Head, Persistence, RequestFacts, ResponseHead, persistence,
};
use std::sync::Arc;

/// What a probe is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Ok,
    /// Why not, in a word.
    Not(&'static str),
    /// A health listener was asked for something else.
    NotFound,
}

impl Health {
    fn status(self) -> &'static [u8] {
        match self {
            Health::Ok => b"200 OK",
            Health::Not(_) => b"503 Service Unavailable",
            Health::NotFound => b"404 Not Found",
        }
    }

    fn status_number(self) -> u16 {
        match self {
            Health::Ok => 200,
            Health::Not(_) => 503,
            Health::NotFound => 404,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Health::Ok => "ok\n",
            Health::Not(why) => why,
            Health::NotFound => "not found\n",
        }
    }
}

/// Answers a probe whose head is complete. None: it is none, and the application is to answer.
pub fn answer_probe(
    connection: &Arc<Connection>,
    state: &mut State,
    shared: &Arc<Shared>,
    head: &Arc<Head>,
    first_byte_ns: u64,
    now: Now,
) -> Option<Step> {
    let health = probed(shared, connection.listener, head)?;
    state.exchanges = state.exchanges.wrapping_add(1);
    // A client that sends probe after probe and reads no answer has seen its last one.
    let may_stay = state.outbox.memory_bytes() <= shared.options.response_buffer
        && shared.keeps_connections()
        && !has_body(head);
    let (answer, body_bytes, keep_alive) = render(shared, head, health, may_stay);
    let linger = has_body(head);
    let times = Times { first_byte_ns, ready_ns: now.ns, taken_ns: 0 };
    let head = Some(Arc::clone(head));
    let mut record =
        Record::of_refusal(connection, shared, head, health.status_number(), times, Outcome::Complete);
    record.bytes_sent = body_bytes;
    state.unlogged.push(record);
    state.phase = if keep_alive { Phase::Idle } else { Phase::Leaving { linger } };
    state.progress.reset();
    connection.deadline.clear();
    state.outbox.add(&answer);
    connection.flush(state, shared, now.ms);
    // What follows waits for room, as behind any answer.
    let goes_on = keep_alive && state.outbox.is_empty() && state.transport.is_some();
    Some(if goes_on { Step::Again } else { Step::Wait })
}

/// A probe has none; one that sends some gets its answer, and the connection ends.
fn has_body(head: &Head) -> bool {
    !matches!(head.framing(), BodyFraming::None | BodyFraming::Length { bytes: 0 })
}

/// What is asked, and what the answer is. None: no probe.
fn probed(shared: &Shared, listener: u16, head: &Head) -> Option<Health> {
    let is_for_health = shared.is_health_listener(listener);
    let prefix = if is_for_health { "" } else { shared.options.health_path.as_str() };
    if !is_for_health && prefix.is_empty() {
        return None;
    }
    let is_read = matches!(head.method(), b"GET" | b"HEAD");
    let found = head.path().strip_prefix(prefix.as_bytes()).filter(|_| is_read);
    match found {
        Some(b"/livez") => Some(livez(shared)),
        Some(b"/readyz") => Some(readyz(shared)),
        Some(_) | None => is_for_health.then_some(Health::NotFound),
    }
}

fn livez(shared: &Shared) -> Health {
    if shared.standings.is_stalled() { Health::Not("stalled\n") } else { Health::Ok }
}

fn readyz(shared: &Shared) -> Health {
    match shared.standings.now() {
        Standing::Ready if shared.standings.is_lame_duck() => Health::Not("lame duck\n"),
        Standing::Ready => Health::Ok,
        Standing::Starting => Health::Not("starting\n"),
        Standing::Draining | Standing::Gone => Health::Not("draining\n"),
        Standing::Stalled => Health::Not("stalled\n"),
    }
}

/// The answer's bytes, how many of them are body, and whether the connection stays.
fn render(shared: &Shared, head: &Head, health: Health, may_stay: bool) -> (Vec<u8>, u64, bool) {
    let mut response = ResponseHead::new();
    // Constants of ours: they are fields and statuses.
    let _ = response.set_status(health.status());
    let _ = response.add_field(b"Content-Type", b"text/plain; charset=utf-8");
    let _ = response.add_field(b"Cache-Control", b"no-store");
    let request = RequestFacts { is_head: head.is_head(), version: head.version() };
    let framing = response.frame(request, BodySize::Known(health.text().len() as u64));
    let persistence = persistence(request, framing, head.wants_keep_alive(), may_stay);
    let date = Date::now();
    let common = CommonFields { date: date.as_bytes(), server: shared.options.server_header.as_bytes() };
    let mut answer = Vec::with_capacity(256);
    response.write_to(&mut answer, &framing, persistence, &common);
    let body = if head.is_head() { "" } else { health.text() };
    answer.extend_from_slice(body.as_bytes());
    (answer, body.len() as u64, persistence != Persistence::Close)
}
