//! Step 3 of 6 - bytes become heads and bodies: what the I/O thread does when a socket has something to say.
//!
//! `feed` is also how an application thread finds the next request that a client sent ahead.

use crate::bodies::SPARE_BYTES;
use crate::connection::{
    BodyFault, BodyStream, BodyUnderWay, Connection, HeadUnderWay, Patience, Phase, Serving, State, wake,
};
use crate::exchange::{Body, Exchange, Given, Times};
use crate::health;
use crate::refusal::{self, Reason};
use crate::shared::Shared;
use crate::transport::Received;
use barkeep_wire::{BodyDecoder, BodyFraming, CONTINUE, Head, Parsed};
use std::sync::Arc;

/// What one receive asks for. Large enough for the head of any usual request and a piece of a large body.
pub const SCRATCH_BYTES: usize = 64 * 1024;

/// The moment of one turn of the loop, in both units that are kept.
#[derive(Clone, Copy)]
pub struct Now {
    pub ns: u64,
    pub ms: u64,
}

impl Now {
    pub fn read() -> Now {
        let ns = crate::clock::now_ns();
        Now { ns, ms: ns / 1_000_000 }
    }
}

/// Receives until the socket is empty or the connection has what it needs; finished exchanges go into `batch`.
pub fn receive(
    connection: &Arc<Connection>,
    state: &mut State,
    shared: &Arc<Shared>,
    is_ending: bool,
    scratch: &mut [u8],
    batch: &mut Vec<Exchange>,
    now: Now,
) {
    state.has_unread = true;
    while state.has_unread {
        let Some(transport) = &state.transport else { return };
        let (received, asked_bytes) = match &mut state.phase {
            Phase::Serving(_) => return wake(state),
            // What was sent ahead comes first, once its client has read enough of its answers.
            Phase::Idle | Phase::Draining(_) if !state.inbox.is_empty() => return,
            Phase::Leaving { .. } | Phase::Closed => return,
            Phase::Body(under_way) if under_way.decoder.length_left().is_some() => {
                let asked_bytes = make_room(under_way);
                (transport.receive_more(&mut under_way.body.bytes), asked_bytes)
            }
            Phase::Lingering { bytes_left: 0 } => return connection.close(state, shared),
            Phase::Idle | Phase::Head(_) | Phase::Body(_) | Phase::Draining(_) | Phase::Lingering { .. } => {
                (transport.receive(scratch), scratch.len())
            }
        };
        match received {
            Ok(Received::Bytes(bytes)) => {
                // Less than was asked for: the socket is empty, and the next bytes come with an event.
                state.has_unread = bytes >= asked_bytes || is_ending;
                let piece = scratch.get(..bytes).unwrap_or_default();
                batch.extend(take_in(connection, state, shared, piece, bytes, now));
            }
            Ok(Received::NotYet) => state.has_unread = false,
            Ok(Received::End) => return peer_has_finished(connection, state, shared, now),
            Err(_) => return connection.abort(state, shared),
        }
    }
}

/// Room for what is missing of a body framed by its length, which is accounted for already.
fn make_room(under_way: &mut BodyUnderWay) -> usize {
    let left = usize::try_from(under_way.decoder.length_left().unwrap_or(0)).unwrap_or(usize::MAX);
    let bytes = &mut under_way.body.bytes;
    if bytes.capacity() == bytes.len() {
        bytes.reserve_exact(left.saturating_add(SPARE_BYTES));
    }
    bytes.capacity() - bytes.len()
}

/// Gives received bytes to the phase they belong to.
fn take_in(
    connection: &Arc<Connection>,
    state: &mut State,
    shared: &Arc<Shared>,
    piece: &[u8],
    bytes: usize,
    now: Now,
) -> Option<Exchange> {
    match &mut state.phase {
        Phase::Lingering { bytes_left } => {
            *bytes_left = bytes_left.saturating_sub(bytes);
            None
        }
        Phase::Body(under_way) => {
            let floor_bytes = shared.allowances.floor_bytes(shared.allowances.body_ms);
            if state.progress.earns(bytes as u64, floor_bytes) {
                connection.deadline.set(now.ms, shared.allowances.body_ms);
            }
            if let Some(left) = under_way.decoder.length_left() {
                // Straight into the body; what lies beyond its end belongs to the next request.
                let beyond = (bytes as u64).saturating_sub(left);
                let own = under_way.body.bytes.len() - usize::try_from(beyond).unwrap_or(0);
                state.inbox = under_way.body.bytes.split_off(own);
                under_way.decoder.advance(bytes as u64 - beyond);
                return feed_inbox(connection, state, shared, now);
            }
            feed(connection, state, shared, piece, now)
        }
        Phase::Head(_) => {
            state.inbox.extend_from_slice(piece);
            feed_inbox(connection, state, shared, now)
        }
        Phase::Idle | Phase::Draining(_) | Phase::Serving(_) | Phase::Leaving { .. } | Phase::Closed => {
            feed(connection, state, shared, piece, now)
        }
    }
}

/// As `feed`, for what lies in the inbox.
pub fn feed_inbox(
    connection: &Arc<Connection>,
    state: &mut State,
    shared: &Arc<Shared>,
    now: Now,
) -> Option<Exchange> {
    let inbox = std::mem::take(&mut state.inbox);
    feed(connection, state, shared, &inbox, now)
}

/// Moves the connection on by these bytes, at most to the next exchange; what is not used goes to the inbox.
fn feed(
    connection: &Arc<Connection>,
    state: &mut State,
    shared: &Arc<Shared>,
    input: &[u8],
    now: Now,
) -> Option<Exchange> {
    let mut rest = input;
    loop {
        let step = match std::mem::replace(&mut state.phase, Phase::Closed) {
            Phase::Idle if rest.is_empty() => {
                state.phase = Phase::Idle;
                return None;
            }
            Phase::Idle => {
                connection.deadline.set(now.ms, shared.allowances.head_ms);
                let under_way = HeadUnderWay { head: shared.spare_head(), first_byte_ns: now.ns };
                read_head(connection, state, shared, under_way, &mut rest, now)
            }
            Phase::Head(under_way) => read_head(connection, state, shared, under_way, &mut rest, now),
            Phase::Body(under_way) => read_body(connection, state, shared, under_way, &mut rest, now),
            Phase::Draining(leftover) => {
                crate::draining::read_away(connection, state, shared, leftover, &mut rest, now)
            }
            other @ (Phase::Serving(_) | Phase::Leaving { .. } | Phase::Lingering { .. } | Phase::Closed) => {
                state.phase = other;
                Step::Wait
            }
        };
        match step {
            Step::Again => {}
            Step::Wait => {
                if state.transport.is_some() {
                    state.inbox.extend_from_slice(rest);
                }
                return None;
            }
            Step::Ready(exchange) => {
                connection.deadline.clear();
                state.inbox.extend_from_slice(rest);
                return Some(exchange);
            }
        }
    }
}

/// What became of one step of `feed`.
pub enum Step {
    /// The phase has changed; go on with what is left.
    Again,
    /// Nothing more can be done with these bytes now.
    Wait,
    /// A request is complete.
    Ready(Exchange),
}

fn read_head(
    connection: &Arc<Connection>,
    state: &mut State,
    shared: &Arc<Shared>,
    mut under_way: HeadUnderWay,
    rest: &mut &[u8],
    now: Now,
) -> Step {
    let Some(head) = Arc::get_mut(&mut under_way.head) else {
        // Only a head under way is parsed, and it has no second owner yet.
        connection.abort(state, shared);
        return Step::Wait;
    };
    match head.parse(rest, &shared.limits) {
        Ok(Parsed::NeedMore) => {
            let number = state.exchanges.wrapping_add(1);
            connection.record.reading(number, &under_way.head, under_way.first_byte_ns);
            state.phase = Phase::Head(under_way);
            Step::Wait
        }
        Ok(Parsed::Done { used, .. }) => {
            *rest = rest.get(used..).unwrap_or_default();
            let HeadUnderWay { head, first_byte_ns } = under_way;
            begin_body(connection, state, shared, head, first_byte_ns, rest, now)
        }
        Err(refused) => {
            refusal::refuse(connection, state, shared, Some(under_way.head), Reason::from(refused), now);
            Step::Wait
        }
    }
}

/// The head is complete: hand over at once, or receive the body first.
fn begin_body(
    connection: &Arc<Connection>,
    state: &mut State,
    shared: &Arc<Shared>,
    head: Arc<Head>,
    first_byte_ns: u64,
    rest: &mut &[u8],
    now: Now,
) -> Step {
    if shared.refuses_underscores && head.fields().any(|(name, _)| name.contains(&b'_')) {
        refusal::refuse(connection, state, shared, Some(head), refusal::UNDERSCORE, now);
        return Step::Wait;
    }
    if let Some(step) = health::answer_probe(connection, state, shared, &head, first_byte_ns, now) {
        return step;
    }
    let framing = head.framing();
    let wanted_bytes = match framing {
        BodyFraming::None | BodyFraming::Length { bytes: 0 } => {
            return hand_over(connection, state, shared, head, Body::Empty, None, first_byte_ns, now);
        }
        BodyFraming::Length { bytes } => usize::try_from(bytes).unwrap_or(usize::MAX),
        BodyFraming::Chunked => 0,
    };
    let decoder = BodyDecoder::new(framing);
    let is_continue_due = head.expects_continue() && rest.is_empty();
    let request_buffer = shared.options.request_buffer;
    let may_wait = request_buffer > 0 && wanted_bytes <= request_buffer;
    let Some(body) = may_wait.then(|| shared.bodies.begin(wanted_bytes)).flatten() else {
        return stream(
            connection,
            state,
            shared,
            head,
            decoder,
            Vec::new(),
            is_continue_due,
            first_byte_ns,
            now,
        );
    };
    if is_continue_due {
        state.outbox.add(CONTINUE);
        connection.flush(state, shared, now.ms);
    }
    connection.record.reading(state.exchanges.wrapping_add(1), &head, first_byte_ns);
    connection.deadline.set(now.ms, shared.allowances.body_ms);
    state.progress.reset();
    state.phase = Phase::Body(Box::new(BodyUnderWay { head, decoder, body, first_byte_ns }));
    Step::Again
}

fn read_body(
    connection: &Arc<Connection>,
    state: &mut State,
    shared: &Arc<Shared>,
    mut under_way: Box<BodyUnderWay>,
    rest: &mut &[u8],
    now: Now,
) -> Step {
    let room = shared.options.request_buffer.saturating_sub(under_way.body.bytes.len());
    match under_way.decoder.decode(rest, room, &mut under_way.body.bytes, &shared.limits) {
        Ok(used) => *rest = rest.get(used..).unwrap_or_default(),
        Err(refused) => {
            refusal::refuse(connection, state, shared, Some(under_way.head), Reason::from(refused), now);
            return Step::Wait;
        }
    }
    if under_way.decoder.is_done() {
        let BodyUnderWay { head, body, first_byte_ns, .. } = *under_way;
        return hand_over(connection, state, shared, head, Body::Whole(body), None, first_byte_ns, now);
    }
    let held_bytes = under_way.body.bytes.len();
    let is_full = held_bytes >= shared.options.request_buffer;
    if is_full || !under_way.body.hold(held_bytes) {
        // A chunked body that became too large to wait for: the application reads the rest itself.
        let BodyUnderWay { head, decoder, body, first_byte_ns } = *under_way;
        return stream(
            connection,
            state,
            shared,
            head,
            decoder,
            body.take_bytes(),
            false,
            first_byte_ns,
            now,
        );
    }
    state.phase = Phase::Body(under_way);
    Step::Wait
}

#[allow(clippy::too_many_arguments, reason = "all parts of one exchange that is about to be built")]
fn stream(
    connection: &Arc<Connection>,
    state: &mut State,
    shared: &Shared,
    head: Arc<Head>,
    decoder: BodyDecoder,
    begun: Vec<u8>,
    is_continue_due: bool,
    first_byte_ns: u64,
    now: Now,
) -> Step {
    let bytes_read = begun.len() as u64;
    let patience = Patience { left_ms: shared.allowances.body_ms, waits_since_ms: None };
    let stream = BodyStream { decoder, is_continue_due, fault: None, bytes_read, patience };
    state.progress.reset();
    hand_over(
        connection,
        state,
        shared,
        head,
        Body::Streamed(begun),
        Some(Box::new(stream)),
        first_byte_ns,
        now,
    )
}

#[allow(clippy::too_many_arguments, reason = "all parts of one exchange that is about to be built")]
fn hand_over(
    connection: &Arc<Connection>,
    state: &mut State,
    shared: &Shared,
    head: Arc<Head>,
    body: Body,
    stream: Option<Box<BodyStream>>,
    first_byte_ns: u64,
    now: Now,
) -> Step {
    let times = Times { first_byte_ns, ready_ns: now.ns, taken_ns: 0 };
    state.exchanges = state.exchanges.wrapping_add(1);
    let number = state.exchanges;
    connection.record.queued(number, &head, first_byte_ns, now.ns);
    let timeout_ms = shared.timeouts.of_path(head.path());
    state.phase = Phase::Serving(Serving {
        number,
        head: Arc::clone(&head),
        times,
        timeout_ms,
        left_ms: None,
        run: None,
        given: Given::default(),
        is_logged: false,
        stream,
    });
    Step::Ready(Exchange { connection: Arc::clone(connection), number, head, body, times, timeout_ms })
}

/// The peer has shut its side, or gone.
fn peer_has_finished(connection: &Arc<Connection>, state: &mut State, shared: &Arc<Shared>, now: Now) {
    state.has_unread = false;
    match &mut state.phase {
        // Nothing was begun, or nobody waits for an answer.
        Phase::Idle | Phase::Draining(_) | Phase::Lingering { .. } => connection.close(state, shared),
        Phase::Head(under_way) if !under_way.head.has_started() => connection.close(state, shared),
        Phase::Head(_) | Phase::Body(_) => {
            refusal::refuse(connection, state, shared, None, refusal::CUT_SHORT, now);
        }
        // Read by the application thread, under the same lock.
        Phase::Serving(Serving { stream: Some(stream), .. }) => {
            stream.fault.get_or_insert(BodyFault::CutShort);
            wake(state);
        }
        // It may still read: the answer is written, and a failure to write tells more.
        Phase::Serving(Serving { stream: None, .. }) | Phase::Leaving { .. } | Phase::Closed => {}
    }
}
