//! Steps 1 to 3 of 6 - the I/O thread: accept, receive, parse, flush, keep deadlines. It never touches Python.
//!
//! One turn: wait for events, move every connection that has one, hand the finished exchanges over in one batch.

use crate::connection::{BodyFault, Connection, Phase, Serving, State, wake};
use crate::connections::Connections;
use crate::ended::{Ended, TellEnd};
use crate::exchange::Exchange;
use crate::listener::{Accepted, Listener};
use crate::overdue::Overdue;
use crate::poller::{Ready, WAKER};
use crate::reading::{Now, SCRATCH_BYTES, feed_inbox, receive};
use crate::refusal::{self, refuse};
use crate::scoreboard_layout as layout;
use crate::shared::Shared;
use std::sync::Arc;
use std::time::Duration;

/// Tokens from here on are listeners; a connection's token never has this bit.
const LISTENER: u64 = 1 << 63;

/// Connections accepted in one go before those that are open have their turn.
const ACCEPTS_PER_TURN: usize = 64;

/// When descriptors have run out: how long to leave the listeners alone, unless a connection closes before.
const NO_ROOM_PAUSE_MS: u64 = 100;

/// Idle connections closed in one go when there is no room for others: the search is paid for once.
const CLOSED_AT_ONCE: usize = 64;

/// An idle worker shows this often that its I/O thread is alive, when there is somebody to see it.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// While draining, connections that have become idle are closed this often.
const DRAIN_TICK: Duration = Duration::from_millis(20);

/// While draining, how long a connection must have been idle to be closed. A busy client pauses for less.
const DRAIN_IDLE_MS: u64 = 1_000;

/// While draining, how long a connection that never sent a byte may still begin a request.
const DRAIN_FIRST_BYTE_MS: u64 = 1_000;

/// Everything that the I/O thread alone owns.
pub struct EventLoop {
    shared: Arc<Shared>,
    listeners: Vec<Listener>,
    connections: Connections,
    scratch: Vec<u8>,
    batch: Vec<Exchange>,
    /// Connections with an answer that was held while this thread gave way.
    held: Vec<Arc<Connection>>,
    /// Listeners are left alone until then; None: they are watched.
    accepts_again_ms: Option<u64>,
    /// The log was told that accepting waits; cleared by the next connection.
    told_of_no_room: bool,
    is_drain_begun: bool,
    next_tick_ms: u64,
    /// The application's deadlines.
    overdue: Overdue,
    /// Looks at a queue that stood still, since it last moved.
    looks: u32,
}

impl EventLoop {
    /// The loop closes the listeners when it ends.
    pub fn new(shared: Arc<Shared>, listeners: Vec<Listener>) -> rustix::io::Result<EventLoop> {
        for (index, listener) in listeners.iter().enumerate() {
            shared.poller.add_listener(&listener.socket, LISTENER | index as u64)?;
        }
        shared.scoreboard.set(layout::ACCEPTING, 1);
        Ok(EventLoop {
            shared,
            listeners,
            connections: Connections::default(),
            scratch: vec![0; SCRATCH_BYTES],
            batch: Vec::new(),
            held: Vec::new(),
            accepts_again_ms: None,
            told_of_no_room: false,
            is_drain_begun: false,
            next_tick_ms: 0,
            overdue: Overdue::default(),
            looks: 0,
        })
    }

    /// Runs until drained or aborted.
    pub fn run(mut self, ended: &Ended) {
        let _end = TellEnd { shared: Arc::clone(&self.shared), ended };
        self.shared.hand_over.enter_io();
        self.shared.scoreboard.enter_io();
        let (mut ready, mut tokens, mut closed) = (Vec::new(), Vec::new(), Vec::new());
        while !self.is_over() {
            let timeout = self.timeout();
            if let Err(error) = self.shared.poller.wait(timeout, &mut ready) {
                self.shared.log.error(format_args!("cannot wait for events: {error}"));
                break;
            }
            let now = Now::read();
            self.shared.scoreboard.set(layout::HEARTBEAT_NS, now.ns);
            // First, while every finished request is in the queue or with a thread.
            self.look_after_python(now);
            self.looks = if ready.is_empty() { self.looks.saturating_add(1) } else { 0 };
            for event in &ready {
                self.handle(*event, now);
            }
            self.shared.take_attention(&mut tokens, &mut closed);
            for token in tokens.drain(..) {
                self.attend(token, now);
            }
            for token in closed.drain(..) {
                self.forget(token, now);
            }
            self.tick(now);
            self.shared.scoreboard.set(layout::CONNECTIONS, self.connections.len() as u64);
            if !self.batch.is_empty() {
                self.shared.hand_over.push(&mut self.batch, now.ns);
                self.shared.hand_over.give_way(&mut self.held);
                self.send_held();
            }
        }
        self.end();
    }

    /// Sends the answers that were held while this thread gave way, before anything else is done with their connections.
    fn send_held(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let now_ms = crate::clock::now_ms();
        for connection in self.held.drain(..) {
            connection.flush(&mut connection.lock(), &self.shared, now_ms);
        }
        self.shared.hand_over.restart_standstill();
    }

    fn is_over(&self) -> bool {
        self.shared.is_aborting()
            || (self.is_drain_begun && self.listeners.is_empty() && self.connections.is_empty())
    }

    /// How long the next wait may be: until the queue or the deadlines must be looked at.
    fn timeout(&mut self) -> Option<Duration> {
        let until_tick = if self.connections.is_empty() && self.accepts_again_ms.is_none() {
            self.shared.scoreboard.is_shared.then_some(HEARTBEAT)
        } else {
            let now_ms = crate::clock::now_ms();
            Some(Duration::from_millis(self.next_tick_ms.saturating_sub(now_ms).max(1)))
        };
        let look = self.shared.hand_over.look(self.looks);
        let until_overdue = self.overdue.until_look(&self.shared, look.is_busy);
        [until_tick, look.again, until_overdue].into_iter().flatten().min()
    }

    /// Answers for an application that takes too long; while Python stands still nothing is accepted.
    fn look_after_python(&mut self, now: Now) {
        self.overdue.look(&self.shared, &self.connections, now);
        if self.shared.is_stalled() && self.accepts_again_ms.is_none() && !self.is_drain_begun {
            self.leave_listeners(now, "Python stands still");
        }
    }

    fn handle(&mut self, event: Ready, now: Now) {
        if event.token == WAKER {
            return;
        }
        if event.token & LISTENER != 0 {
            self.accept(event.token & !LISTENER, now);
            return;
        }
        let Some(connection) = self.connections.get(event.token) else { return };
        let mut state = connection.lock();
        if event.is_writable {
            connection.flush(&mut state, &self.shared, now.ms);
        }
        if event.is_readable || event.is_ending {
            let Self { shared, scratch, batch, .. } = self;
            receive(connection, &mut state, shared, event.is_ending, scratch, batch, now);
        }
    }

    /// Does what an application thread asked for: flush, and read what was left unread.
    fn attend(&mut self, token: u64, now: Now) {
        let Some(connection) = self.connections.get(token) else { return };
        let mut state = connection.lock();
        connection.flush(&mut state, &self.shared, now.ms);
        let Self { shared, scratch, batch, .. } = self;
        if state.may_begin_next(shared) {
            batch.extend(feed_inbox(connection, &mut state, shared, now));
        }
        if state.has_unread {
            receive(connection, &mut state, shared, true, scratch, batch, now);
        }
    }

    fn forget(&mut self, token: u64, now: Now) {
        self.connections.remove(token);
        if self.accepts_again_ms.is_some() {
            self.watch_listeners(now);
        }
    }

    fn accept(&mut self, index: u64, now: Now) {
        for _ in 0..ACCEPTS_PER_TURN {
            let is_full = self.connections.len() >= self.shared.options.max_connections;
            if is_full && !self.close_longest_idle(now) {
                return self.leave_listeners(now, "max_connections are open");
            }
            let Some(listener) = usize::try_from(index).ok().and_then(|index| self.listeners.get(index))
            else {
                return;
            };
            match listener.accept() {
                Accepted::Connection(transport, peer) => {
                    if std::mem::take(&mut self.told_of_no_room) {
                        self.shared.log.warning(format_args!("accepting goes on"));
                    }
                    let head_ms = self.shared.allowances.head_ms;
                    let allowance_ms =
                        if self.is_drain_begun { DRAIN_FIRST_BYTE_MS.min(head_ms) } else { head_ms };
                    let connection = self.connections.add(
                        index,
                        transport,
                        peer,
                        self.shared.scoreboard.open_record(),
                        now.ms,
                        allowance_ms,
                    );
                    let mut state = connection.lock();
                    // The first request has often arrived with the connection.
                    let Self { shared, scratch, batch, .. } = &mut *self;
                    receive(&connection, &mut state, shared, false, scratch, batch, now);
                    if !matches!(state.phase, Phase::Serving(_)) {
                        connection.register(&mut state, &self.shared);
                    }
                }
                Accepted::Nobody => return,
                Accepted::Failed => {}
                Accepted::NoRoom(error) if !self.close_longest_idle(now) => {
                    return self.leave_listeners(now, error);
                }
                Accepted::NoRoom(_) => {}
            }
        }
    }

    /// Clients that have a request come before connections that only might have one: those that have waited longest are
    /// closed. False when there is none.
    fn close_longest_idle(&mut self, now: Now) -> bool {
        let idle = self.connections.longest_idle(CLOSED_AT_ONCE, &self.shared.allowances, now.ms);
        let before = self.connections.len();
        for connection in idle {
            self.close_if_idle(&connection, 0, now);
            if connection.lock().transport.is_none() {
                self.connections.remove(connection.token);
            }
        }
        self.connections.len() < before
    }

    /// Waits for room instead of asking in vain: the queue of the kernel keeps the clients.
    fn leave_listeners(&mut self, now: Now, why: impl std::fmt::Display) {
        if self.accepts_again_ms.is_none() {
            if !std::mem::replace(&mut self.told_of_no_room, true) {
                self.shared.log.warning(format_args!("accepting waits: {why}"));
            }
            self.unwatch_listeners();
        }
        self.shared.scoreboard.set(layout::ACCEPTING, 0);
        self.accepts_again_ms = Some(now.ms + NO_ROOM_PAUSE_MS);
        self.next_tick_ms = self.next_tick_ms.min(now.ms + NO_ROOM_PAUSE_MS);
    }

    /// Has no more connections told to this process. Closing alone does not do it: other processes hold the same
    /// sockets, so epoll would go on to tell us, and us only (epoll(7), question 6). Before the queue is emptied,
    /// for one that comes after the last look must wake somebody else.
    fn unwatch_listeners(&self) {
        for listener in &self.listeners {
            let _ = self.shared.poller.remove(&listener.socket);
        }
    }

    fn watch_listeners(&mut self, now: Now) {
        if self.shared.is_stalled() && !self.is_drain_begun {
            self.accepts_again_ms = Some(now.ms + NO_ROOM_PAUSE_MS);
            return;
        }
        self.accepts_again_ms = None;
        if self.is_drain_begun {
            return self.empty_accept_queues(now);
        }
        for (index, listener) in self.listeners.iter().enumerate() {
            if self.shared.poller.add_listener(&listener.socket, LISTENER | index as u64).is_err() {
                self.accepts_again_ms = Some(now.ms + NO_ROOM_PAUSE_MS);
            }
        }
    }

    /// Looks at the deadlines when that is due, and begins to drain when asked.
    fn tick(&mut self, now: Now) {
        let begins_to_drain = self.shared.is_draining() && !self.is_drain_begun;
        if begins_to_drain {
            self.begin_to_drain(now);
        }
        if now.ms < self.next_tick_ms && !begins_to_drain {
            return;
        }
        let tick = if self.is_drain_begun { DRAIN_TICK } else { self.shared.allowances.tick };
        self.next_tick_ms = now.ms + u64::try_from(tick.as_millis()).unwrap_or(1);
        if self.accepts_again_ms.is_some_and(|again_ms| again_ms <= now.ms) {
            self.watch_listeners(now);
        }
        for slot in 0..self.connections.slots() {
            let Some(connection) = self.connections.at(slot) else { continue };
            if connection.deadline.has_passed(now.ms) {
                let mut state = connection.lock();
                if connection.deadline.has_passed(now.ms) {
                    run_out(connection, &mut state, &self.shared, now);
                }
            } else if self.is_drain_begun && is_long_idle(connection, &self.shared, now) {
                // One that has not had its first request yet has a deadline of its own.
                let connection = Arc::clone(connection);
                self.close_if_idle(&connection, 1, now);
            }
        }
    }

    /// Empties the accept queue, closes the listeners and lets idle connections go.
    fn begin_to_drain(&mut self, now: Now) {
        self.is_drain_begun = true;
        for slot in 0..self.connections.slots() {
            let Some(connection) = self.connections.at(slot) else { continue };
            let state = connection.lock();
            if matches!(state.phase, Phase::Idle) && state.exchanges == 0 {
                connection.deadline.set(now.ms, DRAIN_FIRST_BYTE_MS.min(self.shared.allowances.head_ms));
            }
        }
        self.unwatch_listeners();
        self.empty_accept_queues(now);
    }

    /// Accepts until nobody is left in the queues, then closes the listeners. Without room it is tried again when a
    /// connection has closed.
    fn empty_accept_queues(&mut self, now: Now) {
        for index in 0..self.listeners.len() as u64 {
            let mut before = usize::MAX;
            while before != self.connections.len() {
                before = self.connections.len();
                self.accept(index, now);
            }
        }
        if self.accepts_again_ms.is_none() {
            self.listeners.clear();
            self.shared.scoreboard.set(layout::ACCEPTING, 0);
        }
    }

    /// A connection without a request is closed; what it has just sent is read first.
    fn close_if_idle(&mut self, connection: &Arc<Connection>, least_exchanges: u32, now: Now) {
        let mut state = connection.lock();
        if matches!(state.phase, Phase::Idle) && state.exchanges >= least_exchanges && state.outbox.is_empty()
        {
            let Self { shared, scratch, batch, .. } = self;
            receive(connection, &mut state, shared, false, scratch, batch, now);
            if matches!(state.phase, Phase::Idle) {
                connection.close(&mut state, shared);
            }
        }
    }

    /// Closes what is still open; after a drain that is nothing.
    fn end(&mut self) {
        let now = Now::read();
        // Dropped here: their connections are aborted below.
        drop(self.shared.hand_over.clear());
        for slot in 0..self.connections.slots() {
            let Some(connection) = self.connections.at(slot) else { continue };
            let mut state = connection.lock();
            tell_unfinished(connection, &state, &self.shared, now);
            connection.note_stopped(&mut state, &self.shared);
            connection.abort(&mut state, &self.shared);
        }
    }
}

/// Whether its client has not asked for anything for a while. One that is about to must not find the door shut: it is
/// told by `Connection: close` with its next answer.
fn is_long_idle(connection: &Connection, shared: &Shared, now: Now) -> bool {
    let since_ms = connection.idle_since_ms(&shared.allowances);
    since_ms.is_some_and(|since_ms| now.ms.saturating_sub(since_ms) >= DRAIN_IDLE_MS)
}

/// A deadline has passed: refuse, close or abort, as fits the phase.
fn run_out(connection: &Arc<Connection>, state: &mut State, shared: &Arc<Shared>, now: Now) {
    if !state.outbox.is_empty() {
        shared.log.info(format_args!("aborted {}: answer not read within write_timeout", connection.peer));
        return connection.abort(state, shared);
    }
    match &mut state.phase {
        Phase::Idle
        | Phase::Draining(_)
        | Phase::Lingering { .. }
        | Phase::Leaving { .. }
        | Phase::Closed => {
            connection.close(state, shared);
        }
        Phase::Head(_) => refuse(connection, state, shared, None, refusal::HEAD_TOO_SLOW, now),
        Phase::Body(_) => refuse(connection, state, shared, None, refusal::BODY_TOO_SLOW, now),
        Phase::Serving(Serving { stream: Some(stream), .. }) => {
            stream.fault.get_or_insert(BodyFault::TooSlow);
            connection.deadline.clear();
            wake(state);
        }
        Phase::Serving(Serving { stream: None, .. }) => connection.deadline.clear(),
    }
}

/// One line for a request that is cut by an abort.
fn tell_unfinished(connection: &Connection, state: &State, shared: &Shared, now: Now) {
    let (head, first_byte_ns) = match &state.phase {
        Phase::Serving(serving) => (&serving.head, serving.times.first_byte_ns),
        Phase::Head(under_way) => (&under_way.head, under_way.first_byte_ns),
        Phase::Body(under_way) => (&under_way.head, under_way.first_byte_ns),
        Phase::Idle
        | Phase::Draining(_)
        | Phase::Leaving { .. }
        | Phase::Lingering { .. }
        | Phase::Closed => return,
    };
    shared.log.warning(format_args!(
        "unfinished after {} ms, aborted: {} {} from {}",
        now.ns.saturating_sub(first_byte_ns) / 1_000_000,
        head.method().escape_ascii(),
        head.target().escape_ascii(),
        connection.peer
    ));
}
