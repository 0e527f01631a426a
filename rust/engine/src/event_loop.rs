//! Steps 1 to 3 of 6 - the I/O thread: accept, receive, parse, flush, keep deadlines. It never touches Python.
//!
//! One turn: wait for events, move every connection that has one, hand the finished exchanges over in one batch.

use crate::balance::Balance;
use crate::connection::{BodyFault, Connection, Phase, Serving, State, wake};
use crate::connections::Connections;
use crate::dispatch::Way;
use crate::ended::{Ended, TellEnd};
use crate::exchange::Exchange;
use crate::listener::Listener;
use crate::overdue::Overdue;
use crate::poller::{Ready, WAKER};
use crate::reading::{Now, SCRATCH_BYTES, feed_inbox, receive};
use crate::refusal::{self, refuse};
use crate::scoreboard_layout as layout;
use crate::shared::Shared;
use crate::watching::{LISTENER, Listeners, PYTHON_STANDS};
use std::sync::Arc;
use std::time::Duration;

/// An idle worker shows this often that its I/O thread is alive, when there is somebody to see it.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// While draining, connections that have become idle are closed this often.
const DRAIN_TICK: Duration = Duration::from_millis(20);

/// While draining, how long a connection must have been idle to be closed. A busy client pauses for less.
const DRAIN_IDLE_MS: u64 = 1_000;

/// Everything that the I/O thread alone owns.
pub struct EventLoop {
    pub shared: Arc<Shared>,
    pub listeners: Listeners,
    pub connections: Connections,
    pub scratch: Vec<u8>,
    pub batch: Vec<Exchange>,
    /// Connections of this turn.
    pub accepted: Vec<Arc<Connection>>,
    way: Way,
    pub is_drain_begun: bool,
    next_tick_ms: u64,
    /// The application's deadlines.
    overdue: Overdue,
    /// Looks at a queue that stood still, since it last moved.
    looks: u32,
}

impl EventLoop {
    /// The loop closes all listeners when it ends.
    pub fn new(shared: Arc<Shared>, public: Vec<Listener>, health: Vec<Listener>) -> EventLoop {
        let balance = Balance::new(Arc::clone(&shared.scoreboard));
        EventLoop {
            shared,
            listeners: Listeners::new(public, health, balance),
            connections: Connections::default(),
            scratch: vec![0; SCRATCH_BYTES],
            batch: Vec::new(),
            accepted: Vec::new(),
            way: Way::default(),
            is_drain_begun: false,
            next_tick_ms: 0,
            overdue: Overdue::default(),
            looks: 0,
        }
    }

    /// Runs until drained or aborted.
    pub fn run(mut self, ended: &Ended) {
        let _end = TellEnd { shared: Arc::clone(&self.shared), ended };
        self.shared.hand_over.enter_io();
        self.shared.scoreboard.enter_io();
        let now = Now::read();
        self.watch_health(now);
        self.look_at_listeners(now);
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
            self.look_at_listeners(now);
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
            self.hand_over(now);
            if !self.accepted.is_empty() {
                // Meanwhile the first requests of most have arrived.
                let now = Now::read();
                self.begin_accepted(now);
                self.hand_over(now);
            }
            self.mind_siblings(now);
        }
        self.end();
    }

    fn hand_over(&mut self, now: Now) {
        if !self.batch.is_empty() {
            self.shared.hand_over.push(&mut self.batch, now.ns);
            self.shared.hand_over.give_way(&mut self.way);
            self.send_held();
        }
    }

    /// Sends the answers that were held while this thread gave way, before anything else is done with their connections.
    fn send_held(&mut self) {
        if self.way.held.is_empty() {
            return;
        }
        let now_ms = crate::clock::now_ms();
        for connection in self.way.held.drain(..) {
            connection.flush(&mut connection.lock(), &self.shared, now_ms);
        }
        self.shared.hand_over.restart_standstill();
    }

    fn is_over(&self) -> bool {
        self.shared.is_aborting()
            || (self.is_drain_begun && self.listeners.are_closed() && self.public_connections() == 0)
    }

    /// How long the next wait may be: until the queue or the deadlines must be looked at.
    fn timeout(&mut self) -> Option<Duration> {
        let until_tick = if self.connections.is_empty() {
            self.shared.scoreboard.is_shared.then_some(HEARTBEAT)
        } else {
            let now_ms = crate::clock::now_ms();
            Some(Duration::from_millis(self.next_tick_ms.saturating_sub(now_ms).max(1)))
        };
        let look = self.shared.hand_over.look(self.looks);
        let until_overdue = self.overdue.until_look(&self.shared, look.is_busy);
        let until_listeners = self.listeners.next_look_ms().map(|look_ms| {
            // To the millisecond: the cheap clock is late by more than a step back lasts.
            Duration::from_millis(look_ms.saturating_sub(Now::read().ms).max(1))
        });
        [until_tick, look.again, until_overdue, until_listeners].into_iter().flatten().min()
    }

    /// Answers for an application that takes too long; while Python stands still nothing is accepted.
    fn look_after_python(&mut self, now: Now) {
        self.overdue.look(&self.shared, &self.connections, now);
        if self.shared.is_stalled() && self.listeners.absence.is_none() && !self.is_drain_begun {
            self.wait_for_room(now, PYTHON_STANDS);
        }
    }

    fn handle(&mut self, event: Ready, now: Now) {
        if event.token == WAKER {
            return;
        }
        if event.token & LISTENER != 0 {
            let index = usize::try_from(event.token & !LISTENER).unwrap_or(usize::MAX);
            return self.accept(index, now);
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
