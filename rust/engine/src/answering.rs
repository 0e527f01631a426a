//! Step 6 of 6 - the application's answer meets the socket. Called by application threads.
//!
//! The first bytes of an answer, and all of a short one, are sent at once by the thread that has them. Pieces that
//! follow are put in the outbox and the I/O thread is asked to send: they are on their way while the application
//! makes the next one (PEP 3333, "Buffering and Streaming"), and many small ones leave in few sends.

use crate::access_log::Record;
use crate::connection::{BodyStream, Connection, Phase, State};
use crate::draining::leftover;
use crate::exchange::Exchange;
use crate::outbox::FilePiece;
use crate::reading::{Now, feed_inbox};
use crate::shared::Shared;
use std::sync::Arc;

/// Pieces of this size are sent by the thread that has them rather than copied to the outbox.
const DIRECT_BYTES: usize = 32 * 1024;

/// The peer has gone, or the answer was aborted: nothing more can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// The end of an answer.
pub struct End {
    /// The peer was told that the connection stays open.
    pub keep_alive: bool,
    /// The last bytes, after `bytes`, that go out with it.
    pub file: Option<FilePiece>,
}

impl Connection {
    /// Sends or queues bytes of an answer that goes on. `is_first`: nothing of the answer was sent yet.
    pub fn write(&self, shared: &Shared, bytes: &[u8], more: &[u8], is_first: bool) -> Result<(), Gone> {
        let mut state = self.lock();
        if state.transport.is_none() {
            return Err(Gone);
        }
        if let Phase::Serving(serving) = &mut state.phase {
            serving.is_answer_begun = true;
        }
        let is_direct = is_first || bytes.len() + more.len() >= DIRECT_BYTES;
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

    /// Waits until the outbox is half empty. Called without the GIL.
    pub fn wait_for_room(&self, shared: &Shared) -> Result<(), Gone> {
        loop {
            let mut state = self.lock();
            if state.transport.is_none() {
                return Err(Gone);
            }
            if state.outbox.memory_bytes() <= shared.options.response_buffer / 2 {
                return Ok(());
            }
            state.waiter = Some(std::thread::current());
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
        state.note_answer(record);
        if state.transport.is_none() {
            // Aborted while the application was at work.
            shared.log_answers_as_cut(&mut state.unlogged);
            self.record.none();
            state.phase = Phase::Closed;
            return None;
        }
        let sent_ahead = end.keep_alive && !state.inbox.is_empty();
        if state.outbox.is_empty() && !sent_ahead && end.file.is_none() {
            if !(bytes.is_empty() && more.is_empty()) {
                self.send_now(state, shared, bytes, more);
            } else {
                shared.log_answers(&mut state.unlogged);
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
        self.move_on(state, shared, end.keep_alive)
    }

    /// What follows an answer: the next request, a rest of this one to read away, or the end.
    fn move_on(
        self: &Arc<Self>,
        state: &mut State,
        shared: &Arc<Shared>,
        keep_alive: bool,
    ) -> Option<Exchange> {
        let stream = match std::mem::replace(&mut state.phase, Phase::Closed) {
            Phase::Serving(serving) => serving.stream,
            other => {
                state.phase = other;
                return None;
            }
        };
        state.transport.as_ref()?;
        let now_ms = crate::clock::now_ms();
        match stay(stream, keep_alive) {
            Stay::No { linger } => {
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
    pub fn abort_answer(&self, shared: &Shared, record: Option<Record>) {
        let mut state = self.lock();
        if let Some(record) = record {
            state.note_answer(record);
        }
        state.unlogged.were_cut();
        self.abort(&mut state, shared);
        shared.log_answers(&mut state.unlogged);
        self.record.none();
        state.phase = Phase::Closed;
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
