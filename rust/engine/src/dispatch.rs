//! Step 4 of 6 - the hand-over: finished exchanges go from the I/O thread to the application threads.
//!
//! ```text
//!   I/O thread --push(batch)--> queue --take()--> application thread (holds the GIL while work lasts)
//! ```
//!
//! A thread that holds the GIL takes exchange after exchange and sleeps only when the queue is empty. The I/O
//! thread hands over once per turn of its loop, so a batch costs one wake-up. A further thread is woken only
//! when the queue stands still: the running ones are blocked, or compute (docs/adr/0004).

use crate::clock::now_ns;
use crate::exchange::Exchange;
use crate::lock;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::Thread;
use std::time::Duration;

/// A queue that nobody took from for so long has need of another thread. Ten times a short application's call.
const STANDSTILL_NS: u64 = 200_000;

/// The first look after a hand-over comes this soon, later ones each twice as late while nothing moves.
const FIRST_LOOK: Duration = Duration::from_micros(200);
const LAST_LOOK: Duration = Duration::from_millis(5);

/// One application thread while it waits for work.
pub struct Seat {
    thread: Thread,
    is_called: AtomicBool,
}

impl Seat {
    /// For the calling thread.
    pub fn new() -> Arc<Seat> {
        Arc::new(Seat { thread: std::thread::current(), is_called: AtomicBool::new(false) })
    }

    fn call(&self) {
        self.is_called.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// The queue between the two kinds of thread. Bounded by the number of connections: each has one exchange at most.
pub struct HandOver {
    waiting: Mutex<Waiting>,
    /// When an exchange was last taken, in monotonic nanoseconds.
    last_taken_ns: AtomicU64,
    /// Application threads that exist.
    threads: AtomicUsize,
    /// Python without a GIL: every woken thread can run at once.
    runs_in_parallel: bool,
}

#[derive(Default)]
struct Waiting {
    exchanges: VecDeque<Exchange>,
    /// Idle threads; the last to sleep is the first to be called, its caches are warm.
    seats: Vec<Arc<Seat>>,
    /// Called, and not yet seen at the queue.
    called: usize,
    is_closed: bool,
}

/// What `HandOver::take_or_sit` found.
pub enum Taken {
    Exchange(Exchange),
    /// Nothing: the thread is on the list of idle ones and may wait.
    Seated,
    /// No more will come.
    Closed,
}

impl HandOver {
    pub fn new(runs_in_parallel: bool) -> HandOver {
        HandOver {
            waiting: Mutex::default(),
            last_taken_ns: AtomicU64::new(0),
            threads: AtomicUsize::new(0),
            runs_in_parallel,
        }
    }

    /// Counts an application thread in.
    pub fn join(&self) {
        self.threads.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an application thread out.
    pub fn leave(&self) {
        self.threads.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes the oldest exchange if there is one. Never waits: called with the GIL held.
    pub fn take(&self) -> Option<Exchange> {
        let taken = lock(&self.waiting).exchanges.pop_front();
        taken.map(|exchange| self.note_taken(exchange))
    }

    fn note_taken(&self, mut exchange: Exchange) -> Exchange {
        exchange.times.taken_ns = now_ns();
        self.last_taken_ns.store(exchange.times.taken_ns, Ordering::Relaxed);
        exchange
    }

    /// As `take`; with nothing to take, the thread's seat is put on the list of idle ones in the same breath.
    pub fn take_or_sit(&self, seat: &Arc<Seat>) -> Taken {
        let mut waiting = lock(&self.waiting);
        if let Some(exchange) = waiting.exchanges.pop_front() {
            return Taken::Exchange(self.note_taken(exchange));
        }
        if waiting.is_closed {
            return Taken::Closed;
        }
        waiting.seats.push(Arc::clone(seat));
        Taken::Seated
    }

    /// Waits until the seat is called. Called without the GIL.
    pub fn wait(&self, seat: &Seat) {
        while !seat.is_called.swap(false, Ordering::Acquire) {
            std::thread::park();
        }
    }

    /// After a wait, once the GIL is held again: this thread is at the queue.
    pub fn arrived(&self) {
        let mut waiting = lock(&self.waiting);
        waiting.called = waiting.called.saturating_sub(1);
    }

    /// Hands over a batch and wakes a thread if none is at work on the queue.
    pub fn push(&self, batch: &mut Vec<Exchange>) {
        let mut waiting = lock(&self.waiting);
        waiting.exchanges.extend(batch.drain(..));
        self.call_threads(waiting);
    }

    /// Hands over one exchange from the application thread that finished the one before it on its connection.
    /// That thread comes to the queue next, so nobody needs to be woken.
    pub fn push_behind(&self, exchange: Exchange) {
        lock(&self.waiting).exchanges.push_back(exchange);
    }

    /// Looks whether the queue stands still, wakes a thread then, and says when to look again. None: not needed.
    pub fn look(&self, looks: u32) -> Option<Duration> {
        let waiting = lock(&self.waiting);
        if waiting.exchanges.is_empty() || waiting.seats.is_empty() {
            return None;
        }
        self.call_threads(waiting);
        Some((FIRST_LOOK * 2u32.saturating_pow(looks.min(8))).min(LAST_LOOK))
    }

    fn call_threads(&self, mut waiting: std::sync::MutexGuard<'_, Waiting>) {
        let queued = waiting.exchanges.len();
        let idle = waiting.seats.len();
        let running = self.threads.load(Ordering::Relaxed).saturating_sub(idle + waiting.called);
        let wanted = if self.runs_in_parallel {
            queued.saturating_sub(waiting.called)
        } else if queued == 0 || waiting.called > 0 {
            0
        } else if running == 0 || self.stands_still() {
            1
        } else {
            0
        };
        let mut called = Vec::new();
        for _ in 0..wanted.min(idle) {
            called.extend(waiting.seats.pop());
        }
        waiting.called += called.len();
        // Called after the lock is free, so that the woken thread does not run into it.
        drop(waiting);
        for seat in called {
            seat.call();
        }
    }

    fn stands_still(&self) -> bool {
        now_ns().saturating_sub(self.last_taken_ns.load(Ordering::Relaxed)) > STANDSTILL_NS
    }

    /// Exchanges that no thread has taken yet.
    pub fn queued(&self) -> usize {
        lock(&self.waiting).exchanges.len()
    }

    /// Takes back what no thread took, for an abort.
    pub fn clear(&self) -> Vec<Exchange> {
        lock(&self.waiting).exchanges.drain(..).collect()
    }

    /// No more will come: every waiting thread is let go.
    pub fn close(&self) {
        let seats = {
            let mut waiting = lock(&self.waiting);
            waiting.is_closed = true;
            std::mem::take(&mut waiting.seats)
        };
        for seat in seats {
            seat.call();
        }
    }
}
