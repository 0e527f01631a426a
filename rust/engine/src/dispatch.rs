//! Step 4 of 6 - the hand-over: finished exchanges go from the I/O thread to the application threads.
//!
//! ```text
//!   I/O thread --push(batch)--> queue --take()--> application thread (holds the GIL while work lasts)
//! ```
//!
//! A thread that holds the GIL takes exchange after exchange and sleeps only when the queue is empty. The I/O
//! thread hands over once per turn of its loop, so a batch costs one wake-up. A further thread is woken only
//! when the queue stands still: the running ones are blocked, or compute. If they are blocked the GIL is free and the
//! called thread is there at once; then it calls the next before it begins, so that a pool of sleepers fills in a
//! chain. If they compute it comes late, and calls nobody (docs/adr/0004).

use crate::clock::now_ns;
use crate::connection::Connection;
use crate::exchange::Exchange;
use crate::lock;
use crate::scoreboard::Scoreboard;
use crate::scoreboard_layout as layout;
use crate::seat::Seat;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A queue that nobody took from for so long has need of another thread. Several times a short application's call.
const STANDSTILL_NS: u64 = 100_000;

/// A called thread that is there within this time found the GIL free. Shorter than any switch interval.
const PROMPT_NS: u64 = 100_000;

/// The first look after a hand-over comes this soon, later ones each later while nothing moves.
const FIRST_LOOK: Duration = Duration::from_micros(100);
const LAST_LOOK: Duration = Duration::from_millis(5);

#[path = "giving_way.rs"]
mod giving_way;
pub use giving_way::Way;

/// The queue between the two kinds of thread. Bounded by the number of connections: each has one exchange at most.
pub struct HandOver {
    waiting: Mutex<Waiting>,
    /// When an exchange was last taken, in monotonic nanoseconds.
    last_taken_ns: AtomicU64,
    /// Application threads that exist.
    threads: AtomicUsize,
    /// The I/O thread while it gives way.
    io: Seat,
    /// Python without a GIL: every woken thread can run at once.
    runs_in_parallel: AtomicBool,
    /// Is told how many wait and work, by whoever holds `waiting`.
    scoreboard: Arc<Scoreboard>,
}

#[derive(Default)]
struct Waiting {
    exchanges: VecDeque<Exchange>,
    /// Idle threads; the last to sleep is the first to be called, its caches are warm.
    seats: Vec<Arc<Seat>>,
    /// Called, and not yet seen at the queue.
    called: usize,
    is_closed: bool,
    /// The I/O thread has left its listeners until a thread is idle.
    io_waits_for_idle: bool,
    /// The I/O thread has given way until fewer exchanges than this wait; 0: it has not.
    io_back_below: usize,
    /// Connections whose finished answer the I/O thread sends when it is back. Empty unless it has given way.
    held: Vec<Arc<Connection>>,
}

impl Waiting {
    /// Whether the I/O thread, if it has given way, is to come back now.
    fn calls_io(&mut self) -> bool {
        let calls = self.exchanges.len() < self.io_back_below;
        if calls {
            self.io_back_below = 0;
        }
        calls
    }
}

/// What `HandOver::look` found.
pub struct Look {
    /// When to look again for a queue that stands still; None: not needed.
    pub again: Option<Duration>,
    /// An exchange waits, or a thread is not at the queue.
    pub is_busy: bool,
}

/// What `HandOver::take_or_sit` found.
pub enum Taken {
    Exchange(Exchange),
    /// Nothing: the thread is on the list of idle ones and may wait, after waking the I/O thread if that waits for it.
    Seated {
        wakes_io: bool,
    },
    /// No more will come.
    Closed,
}

impl HandOver {
    pub fn new(runs_in_parallel: bool, scoreboard: Arc<Scoreboard>) -> HandOver {
        HandOver {
            waiting: Mutex::default(),
            last_taken_ns: AtomicU64::new(0),
            threads: AtomicUsize::new(0),
            io: Seat::default(),
            runs_in_parallel: AtomicBool::new(runs_in_parallel),
            scoreboard,
        }
    }

    /// Whether Python has no GIL. From any thread, at any time: it decides how many threads are called, and nothing else.
    pub fn set_parallel(&self, runs_in_parallel: bool) {
        self.runs_in_parallel.store(runs_in_parallel, Ordering::Relaxed);
    }

    /// Counts an application thread in.
    pub fn join(&self) {
        self.threads.fetch_add(1, Ordering::Relaxed);
        self.publish_threads(&lock(&self.waiting));
    }

    /// Counts an application thread out.
    pub fn leave(&self) {
        self.threads.fetch_sub(1, Ordering::Relaxed);
        self.publish_threads(&lock(&self.waiting));
    }

    /// Takes the oldest exchange if there is one. Never waits: called with the GIL held.
    pub fn take(&self) -> Option<Exchange> {
        let (taken, calls_io) = {
            let mut waiting = lock(&self.waiting);
            let taken = waiting.exchanges.pop_front();
            self.publish_queued(&waiting);
            (taken, waiting.calls_io())
        };
        if calls_io {
            self.io.call(0);
        }
        taken.map(|exchange| self.note_taken(exchange))
    }

    fn publish_queued(&self, waiting: &Waiting) {
        self.scoreboard.set(layout::QUEUED, waiting.exchanges.len() as u64);
    }

    /// A called thread counts as busy: there is something for it.
    fn publish_threads(&self, waiting: &Waiting) {
        let threads = self.threads.load(Ordering::Relaxed);
        self.scoreboard.set(layout::THREADS, threads as u64);
        self.scoreboard.set(layout::BUSY_THREADS, threads.saturating_sub(waiting.seats.len()) as u64);
    }

    fn note_taken(&self, mut exchange: Exchange) -> Exchange {
        exchange.times.taken_ns = now_ns();
        self.last_taken_ns.store(exchange.times.taken_ns, Ordering::Relaxed);
        self.scoreboard.set(layout::LAST_TAKEN_NS, exchange.times.taken_ns);
        exchange
    }

    /// As `take`; with nothing to take, the thread's seat is put on the list of idle ones in the same breath.
    pub fn take_or_sit(&self, seat: &Arc<Seat>) -> Taken {
        let mut waiting = lock(&self.waiting);
        if let Some(exchange) = waiting.exchanges.pop_front() {
            self.publish_queued(&waiting);
            return Taken::Exchange(self.note_taken(exchange));
        }
        if waiting.is_closed {
            return Taken::Closed;
        }
        waiting.seats.push(Arc::clone(seat));
        self.publish_threads(&waiting);
        Taken::Seated { wakes_io: std::mem::take(&mut waiting.io_waits_for_idle) }
    }

    /// Waits until the seat is called. Called without the GIL.
    pub fn wait(&self, seat: &Seat) {
        while !seat.was_called() {
            std::thread::park();
        }
    }

    /// After a wait, once the GIL is held again: this thread is at the queue.
    pub fn arrived(&self, seat: &Seat) {
        let called_ns = seat.called_at_standstill_ns();
        let now_ns = if called_ns == 0 { 0 } else { now_ns() };
        let finds_others_blocked = called_ns != 0 && now_ns.saturating_sub(called_ns) < PROMPT_NS;
        let mut waiting = lock(&self.waiting);
        waiting.called = waiting.called.saturating_sub(1);
        // One exchange is for this thread.
        if finds_others_blocked && waiting.exchanges.len() > 1 + waiting.called {
            let next = waiting.seats.pop();
            waiting.called += usize::from(next.is_some());
            self.publish_threads(&waiting);
            drop(waiting);
            if let Some(next) = next {
                next.call(now_ns);
            }
        }
    }

    /// Hands over a batch and wakes a thread if none is at work on the queue. `turn_ns`: when the I/O thread began the
    /// turn that made the batch; its own work is no standstill of others.
    pub fn push(&self, batch: &mut Vec<Exchange>, turn_ns: u64) {
        let mut waiting = lock(&self.waiting);
        waiting.exchanges.extend(batch.drain(..));
        self.publish_queued(&waiting);
        self.call_threads(waiting, turn_ns);
    }

    /// Hands over one exchange from the application thread that finished the one before it on its connection. Most
    /// often that thread comes to the queue next, so no other is called for it.
    pub fn push_behind(&self, exchange: Exchange) {
        let mut waiting = lock(&self.waiting);
        waiting.exchanges.push_back(exchange);
        self.publish_queued(&waiting);
    }

    /// Whether every thread has something to do, or soon will. The next that has not wakes the I/O thread, if that asks
    /// for it.
    pub fn is_full(&self, wakes_io: bool) -> bool {
        let mut waiting = lock(&self.waiting);
        let is_full = waiting.exchanges.len() >= waiting.seats.len() + waiting.called;
        waiting.io_waits_for_idle = is_full && wakes_io;
        is_full
    }

    /// Called by the I/O thread before anything else.
    pub fn enter_io(&self) {
        self.io.sit();
    }

    /// Looks whether the queue stands still, and wakes a thread then.
    pub fn look(&self, looks: u32) -> Look {
        let waiting = lock(&self.waiting);
        let is_queued = !waiting.exchanges.is_empty();
        let is_busy = is_queued || waiting.seats.len() < self.threads.load(Ordering::Relaxed);
        if !is_queued || waiting.seats.is_empty() {
            return Look { again: None, is_busy };
        }
        self.call_threads(waiting, now_ns());
        let again = (FIRST_LOOK * 2u32.saturating_pow(looks.min(8))).min(LAST_LOOK);
        Look { again: Some(again), is_busy }
    }

    /// When an exchange was last taken, in monotonic nanoseconds, or a burst of answers sent: Python ran then, or two
    /// milliseconds before. 0: never.
    pub fn last_taken_ns(&self) -> u64 {
        self.last_taken_ns.load(Ordering::Relaxed)
    }

    /// Takes out what has waited for a thread longer than the application may take. all: whatever waits.
    pub fn take_overdue(&self, now_ns: u64, all: bool) -> Vec<Exchange> {
        let is_overdue = |exchange: &Exchange| {
            let timeout_ns = u64::from(exchange.timeout_ms) * 1_000_000;
            all || (timeout_ns > 0 && now_ns.saturating_sub(exchange.times.ready_ns) >= timeout_ns)
        };
        let mut waiting = lock(&self.waiting);
        if !waiting.exchanges.iter().any(is_overdue) {
            return Vec::new();
        }
        let (mut overdue, mut kept) = (Vec::new(), VecDeque::new());
        for exchange in waiting.exchanges.drain(..) {
            if is_overdue(&exchange) {
                overdue.push(exchange);
            } else {
                kept.push_back(exchange);
            }
        }
        waiting.exchanges = kept;
        overdue
    }

    /// Takes one exchange out, if it still waits.
    pub fn take_out(&self, token: u64, number: u32) -> Option<Exchange> {
        let mut waiting = lock(&self.waiting);
        let is_meant = |exchange: &Exchange| exchange.connection.token == token && exchange.number == number;
        let index = waiting.exchanges.iter().position(is_meant)?;
        waiting.exchanges.remove(index)
    }

    fn call_threads(&self, mut waiting: std::sync::MutexGuard<'_, Waiting>, turn_ns: u64) {
        let queued = waiting.exchanges.len();
        let idle = waiting.seats.len();
        let running = self.threads.load(Ordering::Relaxed).saturating_sub(idle + waiting.called);
        let (wanted, standstill_ns) = if self.runs_in_parallel.load(Ordering::Relaxed) {
            (queued.saturating_sub(waiting.called), 0)
        } else if queued == 0 || waiting.called > 0 {
            (0, 0)
        } else if running == 0 {
            (1, 0)
        } else {
            (usize::from(self.stands_still(turn_ns)), now_ns())
        };
        let mut called = Vec::new();
        for _ in 0..wanted.min(idle) {
            called.extend(waiting.seats.pop());
        }
        waiting.called += called.len();
        if !called.is_empty() {
            self.publish_threads(&waiting);
        }
        // Called after the lock is free, so that the woken thread does not run into it.
        drop(waiting);
        for seat in called {
            seat.call(standstill_ns);
        }
    }

    fn stands_still(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.last_taken_ns.load(Ordering::Relaxed)) > STANDSTILL_NS
    }

    /// Takes back what no thread took, for an abort.
    pub fn clear(&self) -> Vec<Exchange> {
        let mut waiting = lock(&self.waiting);
        let left = waiting.exchanges.drain(..).collect();
        self.publish_queued(&waiting);
        left
    }

    /// No more will come: every waiting thread is let go.
    pub fn close(&self) {
        let seats = {
            let mut waiting = lock(&self.waiting);
            waiting.is_closed = true;
            std::mem::take(&mut waiting.seats)
        };
        for seat in seats {
            seat.call(0);
        }
    }
}

#[cfg(test)]
#[path = "dispatch_tests.rs"]
mod tests;
