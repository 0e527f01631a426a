//! Step 1 of 6 - who is let in: the I/O thread takes connections from the listeners, and closes these in the end.

use crate::connection::{Connection, Phase};
use crate::event_loop::EventLoop;
use crate::listener::Accepted;
use crate::reading::{Now, receive};
use crate::scoreboard_layout as layout;
use crate::watching::Absence;
use std::sync::Arc;

/// Connections accepted in one go before those that are open have their turn.
const ACCEPTS_PER_TURN: usize = 64;

/// The same with siblings, so that they find some.
const ACCEPTS_PER_SHARED_TURN: usize = 4;

/// Idle connections closed in one go when there is no room for others: the search is paid for once.
const CLOSED_AT_ONCE: usize = 64;

/// Connections to health listeners at once; `max_connections` does not count them, so that probes get through.
const HEALTH_CONNECTIONS: usize = 64;

/// While draining, how long a connection that never sent a byte may still begin a request.
const DRAIN_FIRST_BYTE_MS: u64 = 1_000;

impl EventLoop {
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
            self.step_back(now);
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
                self.accepted.push(connection);
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

    /// Looks whether the first requests of this turn's connections have arrived: the poller need not know of one whose has.
    pub fn begin_accepted(&mut self, now: Now) {
        let Self { shared, accepted, scratch, batch, .. } = self;
        for connection in accepted.drain(..) {
            let mut state = connection.lock();
            receive(&connection, &mut state, shared, false, scratch, batch, now);
            if !matches!(state.phase, Phase::Serving(_)) {
                connection.register(&mut state, shared);
            }
        }
    }

    /// A connection is closed: its slot is free, and there may be room for another.
    pub fn forget(&mut self, token: u64, now: Now) {
        if let Some(connection) = self.connections.remove(token) {
            self.note_closed(&connection);
        }
        if self.listeners.absence == Some(Absence::NoRoom) {
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
            // Tried again when a connection has closed.
            Some(Absence::NoRoom) => {}
            Some(Absence::Ahead | Absence::Full) | None => {
                self.listeners.absence = None;
                self.empty_accept_queues(now);
            }
        }
    }

    /// Accepts until nobody is left in the queues, then closes the listeners. Without room it is tried again when a
    /// connection has closed.
    pub fn empty_accept_queues(&mut self, now: Now) {
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
        for listener in self.listeners.public.drain(..) {
            // Closing our descriptor is not enough: siblings have the same socket open, and as long as one has, the
            // kernel would go on waking us for connections that only they take.
            let _ = self.shared.poller.remove(&listener.socket);
        }
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
