//! Step 6 of 6 - the application's answer meets the socket. Called by application threads.
//!
//! The first bytes of an answer, and all of a short one, are sent at once by the thread that has them; but while the
//! I/O thread gives way, short answers are left to it, and it sends all of them in one burst (docs/adr/0004). Pieces
//! that follow are put in the outbox and the I/O thread is asked to send: they are on their way while the application
//! makes the next one (PEP 3333, "Buffering and Streaming"), and many small ones leave in few sends.

use crate::access_log::Record;
use crate::connection::{BodyStream, Connection, Phase, Serving, State};
use crate::draining::leftover;
use crate::exchange::{Exchange, Given};
use crate::outbox::FilePiece;
use crate::reading::{Now, feed_inbox};
use crate::shared::Shared;
use std::sync::Arc;

/// Pieces of this size are sent by the thread that has them rather than copied to the outbox.
const DIRECT_BYTES: usize = 32 * 1024;

/// An answer up to this has left for the peer by the time its socket is closed; of a longer one the kernel may still
/// hold some.
const LARGE_BYTES: usize = 16 * 1024;

/// Answers up to this may be held, to be sent in a burst with others: for longer ones the copy costs what it saves.
const HELD_BYTES: usize = 4 * 1024;

/// The peer has gone, the answer was aborted, or the exchange was given up: nothing more can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// Bytes of an answer that goes on.
#[derive(Clone, Copy)]
pub struct Part {
    /// Of the connection's exchanges.
    pub exchange: u32,
    /// Nothing of the answer was sent yet.
    pub is_first: bool,
    /// How far the answer is with these bytes.
    pub given: Given,
}

/// The end of an answer.
pub struct End {
    /// Of the connection's exchanges.
    pub exchange: u32,
    /// The peer was told that the connection stays open.
    pub keep_alive: bool,
    /// The last bytes, after `bytes`, that go out with it.
    pub file: Option<FilePiece>,
}

impl Connection {
    /// Sends or queues bytes of an answer that goes on.
    pub fn write(&self, shared: &Shared, bytes: &[u8], more: &[u8], part: Part) -> Result<(), Gone> {
        let mut state = self.lock();
        if state.transport.is_none() {
            return Err(Gone);
        }
        let Some(serving) = state.serving(part.exchange) else { return Err(Gone) };
        serving.given = part.given;
        self.application.mark_moved(serving.timeout_ms);
        let is_direct = part.is_first || bytes.len() + more.len() >= DIRECT_BYTES;
        if is_direct && state.outbox.is_empty() {
            self.send_now(&mut state, shared, bytes, more);
            return if state.transport.is_none() { Err(Gone) } else { Ok(()) };
        }
        state.outbox.add(bytes);
        state.outbox.add(more);
        if !std::mem::replace(&mut state.is_flush_due, true) {
            self.register(&mut state, shared);
            drop(state);
            shared.attend(self.token);
        }
        Ok(())
    }

    /// Whether the outbox is above its high-water mark: then the producer must wait.
    pub fn is_congested(&self, shared: &Shared) -> bool {
        self.lock().outbox.memory_bytes() > shared.options.response_buffer
    }

    /// Waits until the outbox is half empty. Called without the GIL. It is the client that takes this time.
    pub fn wait_for_room(&self, shared: &Shared, exchange: u32) -> Result<(), Gone> {
        loop {
            let mut state = self.lock();
            let has_room = state.outbox.memory_bytes() <= shared.options.response_buffer / 2;
            let is_open = state.transport.is_some();
            let Some(&mut Serving { timeout_ms, .. }) = state.serving(exchange) else { return Err(Gone) };
            if has_room || !is_open {
                self.application.mark_moved(timeout_ms);
                return if is_open { Ok(()) } else { Err(Gone) };
            }
            self.application.stop();
            state.waiters.announce();
            drop(state);
            std::thread::park();
        }
    }

    /// Sends the last bytes of an answer and moves the connection on. Returns the next request if the client sent it
    /// ahead: the caller hands it over.
    pub fn complete(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        bytes: &[u8],
        more: &[u8],
        end: End,
        record: Record,
    ) -> Option<Exchange> {
        let done_ns = record.done_ns;
        let mut guard = self.lock();
        let state = &mut *guard;
        // Given up: its line is written, and what the connection does now is its own affair.
        state.serving(end.exchange)?;
        self.application.stop();
        state.note_answer(record);
        if state.transport.is_none() {
            // Aborted while the application was at work.
            shared.log_answers_as_cut(&mut state.unlogged);
            self.record.none();
            state.phase = Phase::Closed;
            shared.forget(self.token);
            return None;
        }
        let is_large = bytes.len() + more.len() > LARGE_BYTES || end.file.is_some();
        let sent_ahead = end.keep_alive && !state.inbox.is_empty();
        if state.outbox.is_empty() && !sent_ahead && end.file.is_none() {
            match bytes.len() + more.len() {
                0 => shared.log_answers(&mut state.unlogged),
                1..=HELD_BYTES if end.keep_alive && shared.hand_over.hold(self) => {
                    state.outbox.add(bytes);
                    state.outbox.add(more);
                    state.progress.reset();
                    state.is_flush_due = true;
                }
                _ => self.send_now(state, shared, bytes, more),
            }
        } else {
            state.outbox.add(bytes);
            state.outbox.add(more);
        }
        if let Some(file) = end.file {
            state.outbox.add_file(file);
            self.register(state, shared);
            state.is_flush_due = true;
            shared.attend(self.token);
        }
        match state.outbox.is_empty() {
            true => self.record.none(),
            false => self.record.writing(done_ns),
        }
        self.move_on(state, shared, end.keep_alive, is_large)
    }

    /// What follows an answer: the next request, a rest of this one to read away, or the end.
    fn move_on(
        self: &Arc<Self>,
        state: &mut State,
        shared: &Arc<Shared>,
        keep_alive: bool,
        is_large: bool,
    ) -> Option<Exchange> {
        let stream = match std::mem::replace(&mut state.phase, Phase::Closed) {
            Phase::Serving(serving) => serving.stream,
            other => {
                state.phase = other;
                return None;
            }
        };
        if state.transport.is_none() {
            shared.forget(self.token);
            return None;
        }
        let now_ms = crate::clock::now_ms();
        match stay(stream, keep_alive) {
            Stay::No { linger } => {
                // A peer that still sends would make the kernel drop what it has not delivered of a closed socket.
                let linger = linger || is_large || !state.outbox.is_empty();
                state.phase = Phase::Leaving { linger };
                if state.outbox.is_empty() {
                    self.leave(state, shared, linger, now_ms);
                } else if !state.is_flush_due {
                    self.flush(state, shared, now_ms);
                }
                return None;
            }
            Stay::Yes(phase) => state.phase = phase,
        }
        if state.outbox.is_empty() {
            self.deadline.set(now_ms, shared.allowances.keep_alive_ms);
        }
        let next =
            if state.may_begin_next(shared) { feed_inbox(self, state, shared, Now::read()) } else { None };
        self.register(state, shared);
        if next.is_some() && !state.outbox.is_empty() {
            // Its answer follows shortly: both may leave in one send, and the I/O thread sees to it that this one
            // does not wait for it.
            if !std::mem::replace(&mut state.is_flush_due, true) {
                shared.attend(self.token);
            }
        } else if !state.is_flush_due {
            self.flush(state, shared, now_ms);
        }
        if next.is_none() && state.has_unread {
            shared.attend(self.token);
        }
        next
    }

    /// Sends what the socket takes; the rest goes to the outbox, and an event tells when it may follow.
    fn send_now(&self, state: &mut State, shared: &Shared, bytes: &[u8], more: &[u8]) {
        let Some(transport) = &state.transport else { return };
        let sent =
            if more.is_empty() { transport.send(bytes, false) } else { transport.send_two(bytes, more) };
        let sent = match sent {
            Ok(sent) => sent.unwrap_or(0),
            Err(_) => return self.abort(state, shared),
        };
        if sent == bytes.len() + more.len() {
            shared.log_answers_at_once(&mut state.unlogged);
            return;
        }
        state.outbox.add(bytes.get(sent..).unwrap_or_default());
        state.outbox.add(more.get(sent.saturating_sub(bytes.len())..).unwrap_or_default());
        self.deadline.clear();
        state.progress.reset();
        self.flush(state, shared, Now::read().ms);
    }

    /// Aborts an answer that cannot be completed: the client must be able to see it.
    /// record: None when the application never had it.
    pub fn abort_answer(&self, shared: &Shared, exchange: u32, record: Option<Record>) {
        let mut state = self.lock();
        if state.serving(exchange).is_none() {
            return;
        }
        self.application.stop();
        if let Some(record) = record {
            state.note_answer(record);
        }
        state.unlogged.were_cut();
        self.abort(&mut state, shared);
        shared.log_answers(&mut state.unlogged);
        self.record.none();
        state.phase = Phase::Closed;
        shared.forget(self.token);
    }
}

impl State {
    fn note_answer(&mut self, record: Record) {
        if !matches!(&self.phase, Phase::Serving(serving) if serving.is_logged) {
            self.unlogged.push(record);
        }
    }
}

/// Whether a connection stays open after an answer.
enum Stay {
    Yes(Phase),
    No { linger: bool },
}

fn stay(stream: Option<Box<BodyStream>>, keep_alive: bool) -> Stay {
    let Some(stream) = stream else {
        return if keep_alive { Stay::Yes(Phase::Idle) } else { Stay::No { linger: false } };
    };
    if stream.decoder.is_done() {
        return if keep_alive { Stay::Yes(Phase::Idle) } else { Stay::No { linger: false } };
    }
    // A client that still waits for 100 Continue may send the body or not: nobody can tell what comes next.
    if !keep_alive || stream.fault.is_some() || stream.is_continue_due {
        return Stay::No { linger: true };
    }
    match leftover(stream.decoder) {
        Some(leftover) => Stay::Yes(Phase::Draining(Box::new(leftover))),
        None => Stay::No { linger: true },
    }
}
