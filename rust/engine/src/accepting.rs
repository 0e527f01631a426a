//! Step 1 of 6 - the I/O thread and its listeners: when they are watched, and what comes in.
//!
//! ```text
//!   NotReady --ready()--> watched --no room--> NoRoom --time, or a connection closes--> watched
//!                            |  ^
//!     a sibling's turn, or   v  | time, or a thread has nothing to do
//!     no thread is left      Ahead, Full
//! ```
//!
//! Health listeners are watched from the first moment to the last.

use crate::balance::Balance;
use crate::connection::{Connection, Phase};
use crate::event_loop::EventLoop;
use crate::listener::{Accepted, Listener};
use crate::reading::{Now, receive};
use crate::scoreboard_layout as layout;
use std::sync::Arc;

/// Tokens from here on are listeners; a connection's token never has this bit.
pub const LISTENER: u64 = 1 << 63;

/// Connections accepted in one go before those that are open have their turn.
const ACCEPTS_PER_TURN: usize = 64;

/// The same with siblings, so that they find some.
const ACCEPTS_PER_SHARED_TURN: usize = 4;

/// When descriptors have run out: how long to leave the listeners alone, unless a connection closes before.
const NO_ROOM_PAUSE_MS: u64 = 100;

/// How long a worker that is ahead leaves the listeners to its siblings. Coming back puts it at the end of the kernel's
/// list of those that are woken.
const STEP_BACK_MS: u64 = 1;

/// How often a worker with no thread left looks whether that is still so.
const FULL_LOOK_MS: u64 = 4;

/// With siblings, the queues are looked at this often without being told: a process that was woken for a connection may
/// have died before it took it.
const PEEK_MS: u64 = 500;

/// Idle connections closed in one go when there is no room for others: the search is paid for once.
const CLOSED_AT_ONCE: usize = 64;

/// Connections to health listeners at once; `max_connections` does not count them, so that probes get through.
const HEALTH_CONNECTIONS: usize = 64;

/// While draining, how long a connection that never sent a byte may still begin a request.
const DRAIN_FIRST_BYTE_MS: u64 = 1_000;

/// Why the listeners are not watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absence {
    NotReady,
    NoRoom {
        again_ms: u64,
    },
    /// Siblings have accepted less.
    Ahead {
        again_ms: u64,
    },
    /// No thread is left here, and siblings have some.
    Full {
        again_ms: u64,
    },
}

/// All open server sockets, and whether they are watched.
pub struct Listeners {
    public: Vec<Listener>,
    health: Vec<Listener>,
    absence: Option<Absence>,
    /// Connections that came by a health listener.
    health_connections: usize,
    /// The log was told that accepting waits; cleared by the next connection.
    told_of_no_room: bool,
    balance: Balance,
    /// Health listeners wait for descriptors too.
    health_again_ms: Option<u64>,
    /// With siblings: every thread had something to do at the end of the last turn.
    is_full: bool,
    next_full_look_ms: u64,
    next_peek_ms: u64,
}

impl Listeners {
    pub fn new(public: Vec<Listener>, health: Vec<Listener>, balance: Balance) -> Listeners {
        Listeners {
            public,
            health,
            absence: Some(Absence::NotReady),
            health_connections: 0,
            told_of_no_room: false,
            balance,
            health_again_ms: None,
            is_full: false,
            next_full_look_ms: 0,
            next_peek_ms: 0,
        }
    }

    /// Public ones are closed: a drain has emptied their queues.
    pub fn are_closed(&self) -> bool {
        self.public.is_empty()
    }

    /// When the loop must come back to them, in monotonic milliseconds.
    pub fn next_look_ms(&self) -> Option<u64> {
        let public_ms = match self.absence {
            Some(Absence::NoRoom { again_ms } | Absence::Ahead { again_ms } | Absence::Full { again_ms }) => {
                Some(again_ms)
            }
            None if self.is_full => Some(self.next_full_look_ms.min(self.next_peek_ms)),
            None if self.balance.has_siblings() => Some(self.next_peek_ms),
            Some(Absence::NotReady) | None => None,
        };
        public_ms.into_iter().chain(self.health_again_ms).min()
    }
}

impl EventLoop {
    /// Before the first turn, and when there may be descriptors again.
    pub fn watch_health(&mut self) {
        self.listeners.health_again_ms = None;
        let first = self.shared.server_addresses.len();
        for (index, listener) in self.listeners.health.iter().enumerate() {
            self.watch(listener, first + index);
        }
    }

    fn watch(&self, listener: &Listener, index: usize) -> bool {
        let watched = self.shared.poller.add_listener(&listener.socket, LISTENER | index as u64);
        if let Err(error) = &watched {
            self.shared.log.error(format_args!("cannot watch a listener: {error}"));
        }
        watched.is_ok()
    }

    /// Once a turn, before the events.
    pub fn look_at_listeners(&mut self, now: Now) {
        self.listeners.balance.look(now.ms);
        if self.listeners.health_again_ms.is_some_and(|again_ms| again_ms <= now.ms) {
            self.watch_health();
        }
        let absence = self.listeners.absence;
        match absence {
            None if self.listeners.balance.has_siblings() => self.peek(now),
            None => {}
            Some(Absence::NotReady) if !self.shared.standings.is_ready() => {}
            Some(Absence::NoRoom { again_ms } | Absence::Ahead { again_ms }) if now.ms < again_ms => {}
            Some(Absence::Full { .. }) if self.leaves_to_siblings(now) => {
                self.listeners.absence = Some(Absence::Full { again_ms: now.ms + FULL_LOOK_MS });
            }
            Some(
                Absence::NotReady | Absence::NoRoom { .. } | Absence::Ahead { .. } | Absence::Full { .. },
            ) => self.watch_listeners(now),
        }
    }

    /// Once a turn, after what came in was handed over.
    pub fn mind_siblings(&mut self, now: Now) {
        if !self.listeners.balance.has_siblings() || self.is_drain_begun {
            self.listeners.is_full = false;
            return;
        }
        if self.listeners.absence.is_some() {
            return;
        }
        if self.leaves_to_siblings(now) {
            self.leave_listeners(Absence::Full { again_ms: now.ms + FULL_LOOK_MS });
        }
        // A sibling may have a thread again before anything else happens here.
        self.listeners.next_full_look_ms = now.ms + FULL_LOOK_MS;
    }

    /// Looks for connections that nobody was told of.
    fn peek(&mut self, now: Now) {
        if now.ms >= self.listeners.next_peek_ms && !self.is_drain_begun {
            self.listeners.next_peek_ms = now.ms + PEEK_MS;
            for index in 0..self.listeners.public.len() {
                self.accept(index, now);
            }
        }
    }

    fn leaves_to_siblings(&mut self, now: Now) -> bool {
        let may_leave = self.listeners.balance.may_leave_to_siblings(now.ns);
        self.listeners.is_full = self.shared.hand_over.is_full(may_leave);
        self.listeners.is_full && may_leave
    }

    /// A listener has a connection. Whoever was woken takes one at least: nobody else was.
    pub fn accept(&mut self, index: usize, now: Now) {
        let is_shared = self.listeners.balance.has_siblings() && !self.is_drain_begun;
        let turns = if is_shared { ACCEPTS_PER_SHARED_TURN } else { ACCEPTS_PER_TURN };
        for _ in 0..turns {
            if !self.accept_one(index, now) {
                break;
            }
        }
        if is_shared && self.listeners.absence.is_none() && self.listeners.balance.is_ahead(now.ns) {
            self.leave_listeners(Absence::Ahead { again_ms: now.ms + STEP_BACK_MS });
        }
    }

    /// False when there is nobody to accept, or no room.
    fn accept_one(&mut self, index: usize, now: Now) -> bool {
        let first_health = self.shared.server_addresses.len();
        let is_health = index >= first_health;
        let is_full = self.public_connections() >= self.shared.options.max_connections;
        if is_full && !is_health && !self.close_longest_idle(now) {
            self.wait_for_room(now, "max_connections are open");
            return false;
        }
        let listener = match is_health {
            true => self.listeners.health.get(index - first_health),
            false => self.listeners.public.get(index),
        };
        let Some(listener) = listener else { return false };
        match listener.accept() {
            Accepted::Connection(..)
                if is_health && self.listeners.health_connections >= HEALTH_CONNECTIONS => {}
            Accepted::Connection(transport, peer) => {
                if std::mem::take(&mut self.listeners.told_of_no_room) {
                    self.shared.log.warning(format_args!("accepting goes on"));
                }
                if is_health {
                    self.listeners.health_connections += 1;
                } else {
                    self.listeners.balance.note_accepted();
                }
                let head_ms = self.shared.allowances.head_ms;
                let allowance_ms =
                    if self.is_drain_begun { DRAIN_FIRST_BYTE_MS.min(head_ms) } else { head_ms };
                let record = self.shared.scoreboard.open_record();
                let connection = self.connections.add(index, transport, peer, record, now.ms, allowance_ms);
                let mut state = connection.lock();
                // The first request has often arrived with the connection.
                let Self { shared, scratch, batch, .. } = &mut *self;
                receive(&connection, &mut state, shared, false, scratch, batch, now);
                if !matches!(state.phase, Phase::Serving(_)) {
                    connection.register(&mut state, &self.shared);
                }
            }
            Accepted::Nobody => return false,
            Accepted::Failed => {}
            Accepted::NoRoom(error) if !self.close_longest_idle(now) => {
                self.wait_for_room(now, error);
                if is_health {
                    self.leave_health(now);
                }
                return false;
            }
            Accepted::NoRoom(_) => {}
        }
        true
    }

    /// A connection is closed: its slot is free, and there may be room for another.
    pub fn forget(&mut self, token: u64, now: Now) {
        if let Some(connection) = self.connections.remove(token) {
            self.note_closed(&connection);
        }
        if matches!(self.listeners.absence, Some(Absence::NoRoom { .. })) {
            self.watch_listeners(now);
        }
    }

    fn note_closed(&mut self, connection: &Connection) {
        if self.shared.is_health_listener(connection.listener) {
            self.listeners.health_connections -= 1;
        }
    }

    /// Connections that a drain waits for.
    pub fn public_connections(&self) -> usize {
        self.connections.len() - self.listeners.health_connections
    }

    /// Clients that have a request come before connections that only might have one: those that have waited longest are
    /// closed. False when there is none.
    fn close_longest_idle(&mut self, now: Now) -> bool {
        let idle = self.connections.longest_idle(CLOSED_AT_ONCE, &self.shared.allowances, now.ms);
        let before = self.connections.len();
        for connection in idle {
            self.close_if_idle(&connection, 0, now);
            if connection.lock().transport.is_none() && self.connections.remove(connection.token).is_some() {
                self.note_closed(&connection);
            }
        }
        self.connections.len() < before
    }

    /// Waits for room instead of asking in vain: the queue of the kernel keeps the clients.
    fn wait_for_room(&mut self, now: Now, why: impl std::fmt::Display) {
        if !matches!(self.listeners.absence, Some(Absence::NoRoom { .. }))
            && !std::mem::replace(&mut self.listeners.told_of_no_room, true)
        {
            self.shared.log.warning(format_args!("accepting waits: {why}"));
        }
        self.leave_listeners(Absence::NoRoom { again_ms: now.ms + NO_ROOM_PAUSE_MS });
    }

    fn leave_listeners(&mut self, why: Absence) {
        if self.listeners.absence.is_none() {
            for listener in &self.listeners.public {
                let _ = self.shared.poller.remove(&listener.socket);
            }
            self.shared.scoreboard.set(layout::ACCEPTING, 0);
        }
        self.listeners.absence = Some(why);
    }

    fn leave_health(&mut self, now: Now) {
        for listener in &self.listeners.health {
            let _ = self.shared.poller.remove(&listener.socket);
        }
        self.listeners.health_again_ms = Some(now.ms + NO_ROOM_PAUSE_MS);
    }

    fn watch_listeners(&mut self, now: Now) {
        self.listeners.absence = None;
        if self.is_drain_begun {
            return self.empty_accept_queues(now);
        }
        let mut are_watched = true;
        for (index, listener) in self.listeners.public.iter().enumerate() {
            are_watched &= self.watch(listener, index);
        }
        if are_watched {
            self.shared.scoreboard.set(layout::ACCEPTING, 1);
        } else {
            self.leave_listeners(Absence::NoRoom { again_ms: now.ms + NO_ROOM_PAUSE_MS });
        }
    }

    /// Empties the accept queue, closes the listeners and lets idle connections go.
    pub fn begin_to_drain(&mut self, now: Now) {
        self.is_drain_begun = true;
        for slot in 0..self.connections.slots() {
            let Some(connection) = self.connections.at(slot) else { continue };
            let state = connection.lock();
            if matches!(state.phase, Phase::Idle) && state.exchanges == 0 {
                connection.deadline.set(now.ms, DRAIN_FIRST_BYTE_MS.min(self.shared.allowances.head_ms));
            }
        }
        match self.listeners.absence {
            // Never ready: what waits there is for others.
            Some(Absence::NotReady) => self.close_listeners(),
            Some(Absence::NoRoom { .. }) => {}
            Some(Absence::Ahead { .. } | Absence::Full { .. }) | None => {
                self.listeners.absence = None;
                self.empty_accept_queues(now);
            }
        }
    }

    /// Accepts until nobody is left in the queues, then closes the listeners. Without room it is tried again when a
    /// connection has closed.
    fn empty_accept_queues(&mut self, now: Now) {
        for index in 0..self.listeners.public.len() {
            let mut before = usize::MAX;
            while before != self.connections.len() {
                before = self.connections.len();
                self.accept(index, now);
            }
        }
        if self.listeners.absence.is_none() {
            self.close_listeners();
        }
    }

    fn close_listeners(&mut self) {
        // The tokens of health listeners do not change: they follow `server_addresses`.
        self.listeners.public.clear();
        self.shared.scoreboard.set(layout::ACCEPTING, 0);
    }

    /// A connection without a request is closed; what it has just sent is read first.
    pub fn close_if_idle(&mut self, connection: &Arc<Connection>, least_exchanges: u32, now: Now) {
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
}
