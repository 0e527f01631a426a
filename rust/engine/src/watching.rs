//! Step 1 of 6 - whether the I/O thread watches the listeners, and why not.
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
use crate::event_loop::EventLoop;
use crate::listener::Listener;
use crate::reading::Now;
use crate::scoreboard_layout as layout;

/// Tokens from here on are listeners; a connection's token never has this bit.
pub const LISTENER: u64 = 1 << 63;

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

/// Why nothing is accepted while C code keeps the GIL.
pub const PYTHON_STANDS: &str = "Python stands still";

/// Why the listeners are not watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    NotReady,
    NoRoom,
    /// Siblings have accepted less.
    Ahead,
    /// No thread is left here, and siblings have some.
    Full,
}

/// All open server sockets, and whether they are watched.
pub struct Listeners {
    pub public: Vec<Listener>,
    pub health: Vec<Listener>,
    /// None: they are watched.
    pub absence: Option<Absence>,
    /// While absent: when to look again, in monotonic milliseconds.
    again_ms: u64,
    /// Health listeners wait for descriptors too.
    health_again_ms: Option<u64>,
    /// Connections that came by a health listener.
    pub health_connections: usize,
    /// The log was told that accepting waits; cleared by the next connection.
    pub told_of_no_room: bool,
    pub balance: Balance,
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
            again_ms: 0,
            health_again_ms: None,
            health_connections: 0,
            told_of_no_room: false,
            balance,
            is_full: false,
            next_full_look_ms: 0,
            next_peek_ms: 0,
        }
    }

    /// Public ones are closed: a drain has emptied their queues.
    pub fn are_closed(&self) -> bool {
        self.public.is_empty()
    }

    /// When the loop must come back to them, in monotonic milliseconds. None: an event tells.
    pub fn next_look_ms(&self) -> Option<u64> {
        let public_ms = match self.absence {
            Some(Absence::NoRoom | Absence::Ahead | Absence::Full) => Some(self.again_ms),
            // A sibling may have a thread again before anything else happens here.
            None if self.is_full => Some(self.next_full_look_ms.min(self.next_peek_ms)),
            None if self.balance.has_siblings() => Some(self.next_peek_ms),
            Some(Absence::NotReady) | None => None,
        };
        public_ms.into_iter().chain(self.health_again_ms).min()
    }
}

impl EventLoop {
    /// Before the first turn, and when there may be descriptors again.
    pub fn watch_health(&mut self, now: Now) {
        self.listeners.health_again_ms = None;
        let first = self.shared.server_addresses.len();
        let health = self.listeners.health.iter().enumerate();
        if !health.fold(true, |all, (index, listener)| self.watch(listener, first + index) && all) {
            self.leave_health(now);
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
            self.watch_health(now);
        }
        let absence = self.listeners.absence;
        match absence {
            None => self.peek(now),
            Some(Absence::NotReady) if !self.shared.standings.is_ready() => {}
            Some(Absence::NoRoom | Absence::Ahead) if now.ms < self.listeners.again_ms => {}
            Some(Absence::Full) if self.leaves_to_siblings(now) => {
                self.listeners.again_ms = now.ms + FULL_LOOK_MS;
            }
            Some(Absence::NotReady | Absence::NoRoom | Absence::Ahead | Absence::Full) => {
                self.watch_listeners(now);
            }
        }
    }

    /// Looks for connections that nobody was told of.
    fn peek(&mut self, now: Now) {
        if !self.listeners.balance.has_siblings() || now.ms < self.listeners.next_peek_ms {
            return;
        }
        self.listeners.next_peek_ms = now.ms + PEEK_MS;
        for index in 0..self.listeners.public.len() {
            self.accept(index, now);
        }
    }

    /// Once a turn, after what came in was handed over.
    pub fn mind_siblings(&mut self, now: Now) {
        self.listeners.is_full = false;
        if !self.listeners.balance.has_siblings() || self.is_drain_begun || self.listeners.absence.is_some() {
            return;
        }
        self.listeners.next_full_look_ms = now.ms + FULL_LOOK_MS;
        if self.leaves_to_siblings(now) {
            self.leave_listeners(Absence::Full, now.ms + FULL_LOOK_MS);
        }
    }

    fn leaves_to_siblings(&mut self, now: Now) -> bool {
        let may_leave = self.listeners.balance.may_leave_to_siblings(now.ns);
        self.listeners.is_full = self.shared.hand_over.is_full(may_leave);
        self.listeners.is_full && may_leave
    }

    /// Lets siblings have the next connections.
    pub fn step_back(&mut self, now: Now) {
        self.leave_listeners(Absence::Ahead, now.ms + STEP_BACK_MS);
    }

    /// Waits for room instead of asking in vain: the queue of the kernel keeps the clients.
    pub fn wait_for_room(&mut self, now: Now, why: impl std::fmt::Display) {
        if self.listeners.absence != Some(Absence::NoRoom)
            && !std::mem::replace(&mut self.listeners.told_of_no_room, true)
        {
            self.shared.log.warning(format_args!("accepting waits: {why}"));
        }
        self.leave_listeners(Absence::NoRoom, now.ms + NO_ROOM_PAUSE_MS);
    }

    fn leave_listeners(&mut self, why: Absence, again_ms: u64) {
        if self.listeners.absence.is_none() {
            for listener in &self.listeners.public {
                let _ = self.shared.poller.remove(&listener.socket);
            }
            self.shared.scoreboard.set(layout::ACCEPTING, 0);
        }
        self.listeners.absence = Some(why);
        self.listeners.again_ms = again_ms;
    }

    pub fn leave_health(&mut self, now: Now) {
        for listener in &self.listeners.health {
            let _ = self.shared.poller.remove(&listener.socket);
        }
        self.listeners.health_again_ms = Some(now.ms + NO_ROOM_PAUSE_MS);
    }

    pub fn watch_listeners(&mut self, now: Now) {
        if self.shared.is_stalled() && !self.is_drain_begun {
            return self.wait_for_room(now, PYTHON_STANDS);
        }
        self.listeners.absence = None;
        if self.is_drain_begun {
            return self.empty_accept_queues(now);
        }
        let public = self.listeners.public.iter().enumerate();
        if public.fold(true, |all, (index, listener)| self.watch(listener, index) && all) {
            self.shared.scoreboard.set(layout::ACCEPTING, 1);
        } else {
            self.leave_listeners(Absence::NoRoom, now.ms + NO_ROOM_PAUSE_MS);
        }
    }
}
