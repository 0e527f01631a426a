//! Step 2 of 6 - one client socket and where it stands.
//!
//! ```text
//!             first byte        head complete        body complete, or too large to wait for
//!   Idle ----------------> Head -------------> Body -----------------------------> Serving
//!    ^ ^                    |                   |                                     |
//!    | |                    | refused           | refused, too slow                   | answer finished
//!    | |                    v                   v                                     v
//!    | |                  Leaving <-----------------------------------------  keep the connection?
//!    | |                    | answer out                                       | yes       | yes, body unread
//!    | |                    v                                                  |           v
//!    | |                  Lingering -> Closed                                  |        Draining
//!    | +-----------------------------------------------------------------------+           |
//!    +-------------------------------------------------------------------------------------+
//! ```
//!
//! The I/O thread and one application thread meet here, under the connection's lock. The lock is held for
//! non-blocking calls only, and never while waiting for the GIL.

use crate::access_log::{Outcome, Record, Unlogged};
use crate::application_deadlines::ApplicationClock;
use crate::clock::now_ns;
use crate::deadlines::{Allowances, Deadline, Progress};
use crate::exchange::Times;
use crate::lock;
use crate::outbox::{Flushed, Outbox, SendFailure};
pub use crate::phase::{
    BodyFault, BodyStream, BodyUnderWay, HeadUnderWay, Leftover, Patience, Phase, Serving,
};
use crate::scoreboard_record::ExchangeRecord;
use crate::shared::Shared;
use crate::transport::Transport;
use crate::waiters::Waiters;
use barkeep_wire::Head;
use std::sync::{Arc, Mutex, MutexGuard};

/// Read and forgotten after a refusal at the most. A usual client notices our answer long before; a flood ends here.
const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Peer {
    /// IP address; empty for a unix socket.
    pub address: Box<str>,
    /// None for a unix socket.
    pub port: Option<u16>,
}

/// One client connection.
pub struct Connection {
    /// Names it to the poller and to the I/O thread's table.
    pub token: u64,
    pub peer: Peer,
    /// Which listener accepted it.
    pub listener: u16,
    /// By when it must have moved on.
    pub deadline: Deadline,
    /// What others see of it; that file says who may write.
    pub record: ExchangeRecord,
    /// By when the application must have moved on with its exchange.
    pub application: ApplicationClock,
    state: Mutex<State>,
}

/// What the lock guards.
pub struct State {
    /// None once closed.
    pub transport: Option<Transport>,
    /// Whether the poller knows the socket. A connection that is served at once and closed never needs to.
    pub is_registered: bool,
    pub phase: Phase,
    /// Received, not yet used: the head under way, or what a client sent ahead. No memory while empty.
    pub inbox: Vec<u8>,
    pub outbox: Outbox,
    /// The poller told of bytes that were not received yet.
    pub has_unread: bool,
    /// Counts towards the floor for bodies and answers.
    pub progress: Progress,
    /// Application threads that wait for bytes of the body or for room in the outbox: one for each, when the
    /// application reads and writes at once.
    pub waiters: Waiters,
    /// The I/O thread has been asked to flush.
    pub is_flush_due: bool,
    /// Requests that were handed over. After the first, the next one has the keep-alive allowance.
    pub exchanges: u32,
    /// Finished answers whose access-log lines wait for the last byte to leave.
    pub unlogged: Unlogged,
}

impl Connection {
    pub fn new(
        token: u64,
        peer: Peer,
        listener: u16,
        transport: Transport,
        deadline: Deadline,
        record: ExchangeRecord,
    ) -> Connection {
        record.introduce(token, &peer);
        let state = State {
            transport: Some(transport),
            is_registered: false,
            phase: Phase::Idle,
            inbox: Vec::new(),
            outbox: Outbox::default(),
            has_unread: false,
            progress: Progress::default(),
            waiters: Waiters::default(),
            is_flush_due: false,
            exchanges: 0,
            unlogged: Unlogged::default(),
        };
        let application = ApplicationClock::default();
        Connection { token, peer, listener, deadline, record, application, state: Mutex::new(state) }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Since when it waits for a request, if it does: each wait has its allowance, and the deadline is its end.
    pub fn idle_since_ms(&self, allowances: &Allowances) -> Option<u64> {
        let state = self.lock();
        let is_idle = matches!(state.phase, Phase::Idle) && state.outbox.is_empty() && state.inbox.is_empty();
        let allowance_ms = if state.exchanges > 0 { allowances.keep_alive_ms } else { allowances.head_ms };
        is_idle.then(|| self.deadline.moment_ms().saturating_sub(allowance_ms))
    }

    /// Lets the poller watch the socket, from when that is first needed.
    pub fn register(&self, state: &mut State, shared: &Shared) {
        if state.is_registered {
            return;
        }
        if let Some(transport) = &state.transport {
            match shared.poller.add_connection(transport, self.token) {
                Ok(()) => state.is_registered = true,
                Err(error) => {
                    shared.log.error(format_args!("cannot watch a connection: {error}"));
                    self.abort(state, shared);
                }
            }
        }
    }

    /// Sends what waits, and does what its end allows. Both kinds of thread call it.
    pub fn flush(&self, state: &mut State, shared: &Shared, now_ms: u64) {
        state.is_flush_due = false;
        if state.outbox.is_empty() {
            return;
        }
        let State { transport: Some(transport), outbox, .. } = state else { return };
        let (moved, flushed) = outbox.flush(transport);
        match flushed {
            Ok(Flushed::All) => self.outbox_is_empty(state, shared, now_ms),
            Ok(Flushed::Blocked) => {
                self.register(state, shared);
                self.write_goes_on(state, shared, moved, now_ms);
            }
            Ok(Flushed::Paused) => {
                self.write_goes_on(state, shared, moved, now_ms);
                shared.attend(self.token);
            }
            Err(SendFailure::Gone(_)) => self.abort(state, shared),
            Err(SendFailure::FileEnded) => {
                shared
                    .log
                    .warning(format_args!("a file became shorter while it was sent; connection aborted"));
                self.abort(state, shared);
            }
        }
        let is_roomy = state.outbox.memory_bytes() <= shared.options.response_buffer / 2;
        if is_roomy && matches!(state.phase, Phase::Serving(_) | Phase::Closed) {
            wake(state);
        }
    }

    /// Some bytes of an answer moved, or none and the answer has begun to wait.
    fn write_goes_on(&self, state: &mut State, shared: &Shared, moved: u64, now_ms: u64) {
        let allowances = &shared.allowances;
        let floor_bytes = allowances.floor_bytes(allowances.write_ms);
        if !self.deadline.is_set() || state.progress.earns(moved, floor_bytes) {
            self.deadline.set(now_ms, allowances.write_ms);
        }
    }

    /// The deadline of the answer ends with it; that of the next thing begins.
    fn outbox_is_empty(&self, state: &mut State, shared: &Shared, now_ms: u64) {
        shared.log_answers(&mut state.unlogged);
        match state.phase {
            Phase::Serving(_) => self.deadline.clear(),
            Phase::Leaving { linger } => {
                self.record.none();
                self.leave(state, shared, linger, now_ms);
            }
            Phase::Idle | Phase::Draining(_) => {
                self.record.none();
                self.deadline.set(now_ms, shared.allowances.keep_alive_ms);
                if !state.inbox.is_empty() {
                    // It waited for room.
                    shared.attend(self.token);
                }
            }
            Phase::Head(_) | Phase::Body(_) | Phase::Lingering { .. } | Phase::Closed => {}
        }
    }

    /// The last answer is out: close, or wait a moment so that the peer can read it (RFC 9112 section 9.6).
    pub fn leave(&self, state: &mut State, shared: &Shared, linger: bool, now_ms: u64) {
        if !linger && state.inbox.is_empty() && !has_unread_bytes(state) {
            self.close(state, shared);
            return;
        }
        if let Some(transport) = &state.transport {
            transport.finish();
        }
        state.phase = Phase::Lingering { bytes_left: LINGER_BYTES };
        state.inbox = Vec::new();
        state.has_unread = true;
        self.deadline.set(now_ms, shared.allowances.linger_ms);
        self.register(state, shared);
        shared.attend(self.token);
    }

    /// Closes the socket; what was sent still reaches the peer.
    pub fn close(&self, state: &mut State, shared: &Shared) {
        if state.transport.take().is_some() {
            self.end(state, shared);
        }
    }

    /// Closes so that the peer sees a reset: nothing cut short may look complete.
    pub fn abort(&self, state: &mut State, shared: &Shared) {
        if let Some(transport) = state.transport.take() {
            transport.abort();
            self.note_unfinished(state, shared);
            state.unlogged.were_cut();
            self.end(state, shared);
        }
    }

    /// The access-log line of a request that is cut before the application has it.
    fn note_unfinished(&self, state: &mut State, shared: &Shared) {
        let (head, first_byte_ns) = match &state.phase {
            Phase::Head(under_way) if under_way.head.has_started() => {
                (&under_way.head, under_way.first_byte_ns)
            }
            Phase::Body(under_way) => (&under_way.head, under_way.first_byte_ns),
            _ => return,
        };
        self.note_cut(&mut state.unlogged, shared, Arc::clone(head), first_byte_ns);
    }

    /// The access-log line of a request that the application has, or that waits for it, when the server stops at once.
    pub fn note_stopped(&self, state: &mut State, shared: &Shared) {
        if let Phase::Serving(serving) = &mut state.phase {
            serving.is_logged = true;
            let (head, first_byte_ns) = (Arc::clone(&serving.head), serving.times.first_byte_ns);
            self.note_cut(&mut state.unlogged, shared, head, first_byte_ns);
        }
    }

    fn note_cut(&self, unlogged: &mut Unlogged, shared: &Shared, head: Arc<Head>, first_byte_ns: u64) {
        let times = Times { first_byte_ns, ready_ns: now_ns(), taken_ns: 0 };
        unlogged.push(Record::of_refusal(self, shared, Some(head), 0, times, Outcome::Aborted));
    }

    fn end(&self, state: &mut State, shared: &Shared) {
        shared.log_answers(&mut state.unlogged);
        match &mut state.phase {
            // Forgotten when the application is done with it: until then its time counts.
            Phase::Serving(serving) => {
                if let Some(stream) = &mut serving.stream {
                    stream.fault.get_or_insert(BodyFault::Gone);
                }
            }
            _ => {
                self.record.none();
                state.phase = Phase::Closed;
                shared.forget(self.token);
            }
        }
        state.inbox = Vec::new();
        state.outbox.clear();
        self.deadline.clear();
        wake(state);
    }
}

impl State {
    /// The exchange of that number, if the connection still has it: one that was given up is no longer there.
    pub fn serving(&mut self, exchange: u32) -> Option<&mut Serving> {
        match &mut self.phase {
            Phase::Serving(serving) if serving.number == exchange => Some(serving),
            _ => None,
        }
    }

    /// Whether a request that was sent ahead may begin: a client that does not read its answers gets no more of them.
    pub fn may_begin_next(&self, shared: &Shared) -> bool {
        let has_room = self.outbox.memory_bytes() <= shared.options.response_buffer;
        has_room && !self.inbox.is_empty() && matches!(self.phase, Phase::Idle | Phase::Draining(_))
    }
}

/// Whether closing now would throw bytes away: then the kernel resets the connection, and the peer may lose the answer
/// that it has not read yet (RFC 9112 section 9.6). An event may not have told, so the socket is asked.
fn has_unread_bytes(state: &State) -> bool {
    state.transport.as_ref().is_some_and(Transport::has_unread)
}

/// Wakes the application threads that wait on this connection, if any do: each looks for itself what has changed.
pub fn wake(state: &mut State) {
    state.waiters.wake();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_leaves_room_within_half_a_kibibyte() {
        // The peer's address, its slot in the table, its share of the scoreboard and malloc's own need the rest.
        assert!(size_of::<Connection>() <= 376, "{} bytes", size_of::<Connection>());
    }
}
