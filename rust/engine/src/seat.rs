//! Step 4 of 6 - where a thread waits until the hand-over calls it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

/// One thread while it waits to be called.
#[derive(Default)]
pub struct Seat {
    thread: OnceLock<Thread>,
    is_called: AtomicBool,
    /// When it was called because the queue stood still; 0: called for another reason.
    called_at_standstill_ns: AtomicU64,
}

impl Seat {
    /// For the calling thread.
    pub fn new() -> Arc<Seat> {
        let seat = Seat::default();
        seat.sit();
        Arc::new(seat)
    }

    /// The calling thread is the one that waits here.
    pub fn sit(&self) {
        // Only the first counts: a seat is for one thread.
        let _ = self.thread.set(std::thread::current());
    }

    /// Ends its wait. standstill_ns: when the queue was found standing still; 0: called for another reason.
    pub fn call(&self, standstill_ns: u64) {
        self.called_at_standstill_ns.store(standstill_ns, Ordering::Relaxed);
        self.is_called.store(true, Ordering::Release);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Whether it was called since this was last asked.
    pub fn was_called(&self) -> bool {
        self.is_called.swap(false, Ordering::Acquire)
    }

    /// When it was called because the queue stood still, in monotonic nanoseconds; 0: called for another reason.
    pub fn called_at_standstill_ns(&self) -> u64 {
        self.called_at_standstill_ns.load(Ordering::Relaxed)
    }
}
