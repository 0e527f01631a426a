//! Step 5 of 6 - what the I/O thread and the watch in Python (watch.py) tell each other.
//!
//! ```text
//!   I/O thread --events, pulse--> bell (a descriptor) --> Python: take_events()
//!   Python --kill(connection)--> I/O thread
//! ```

use crate::bell::Bell;
use crate::lock;
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, OnceLock};

/// Events that wait for Python at most; beyond it the oldest is forgotten. A thread has one exchange at a time, and
/// there are no more than 1024 threads.
const EVENTS: usize = 1024;

/// A request passed its deadline in the application; its client has its answer or was cut.
#[derive(Clone, Debug)]
pub struct TimedOut {
    pub thread_ident: u64,
    pub serial: u64,
    /// Method and target, escaped.
    pub request: String,
    /// Since its first byte.
    pub age_ms: u64,
    pub thread_number: u32,
}

/// A request to be ended as if its deadline passed now.
pub struct Kill {
    /// A token, or a slot alone: then whoever has it now is meant.
    pub connection: u64,
    /// Which exchange of the connection.
    pub number: u32,
    /// Must be its first byte's moment; 0: is not looked at.
    pub first_byte_ns: u64,
    pub reply: SyncSender<bool>,
}

/// The table between both sides.
#[derive(Default)]
pub struct Watch {
    /// None until Python asks for it: nobody listens.
    bell: OnceLock<Bell>,
    events: Mutex<VecDeque<TimedOut>>,
    /// When Python was asked whether it still runs; 0: it was not, or has answered.
    pulse_asked_ns: AtomicU64,
    kills: Mutex<Vec<Kill>>,
    has_kills: AtomicBool,
}

impl Watch {
    /// Whether Python listens.
    pub fn is_on(&self) -> bool {
        self.bell.get().is_some()
    }

    /// Readable when `take` has something to do. Switches the watch on; stays the engine's.
    pub fn descriptor(&self) -> rustix::io::Result<RawFd> {
        if let Some(bell) = self.bell.get() {
            return Ok(bell.descriptor());
        }
        // Should two threads come at once, the second bell is dropped.
        let bell = Bell::new()?;
        Ok(self.bell.get_or_init(|| bell).descriptor())
    }

    /// Ends a wait for the descriptor.
    pub fn ring(&self) {
        if let Some(bell) = self.bell.get() {
            bell.ring();
        }
    }

    /// Tells Python of a request that was timed out, if it listens.
    pub fn tell(&self, event: TimedOut, now_ns: u64) {
        if !self.is_on() {
            return;
        }
        {
            let mut events = lock(&self.events);
            if events.len() >= EVENTS {
                events.pop_front();
            }
            events.push_back(event);
        }
        self.ask_pulse(now_ns);
        self.ring();
    }

    /// Asks Python whether it runs. The first question that was not answered counts.
    pub fn ask_pulse(&self, now_ns: u64) {
        if self.is_on() && self.pulse_asked_ns.load(Ordering::Relaxed) == 0 {
            self.pulse_asked_ns.store(now_ns, Ordering::Relaxed);
            self.ring();
        }
    }

    /// When Python was asked and has not answered yet; 0: it is not asked.
    pub fn pulse_asked_ns(&self) -> u64 {
        self.pulse_asked_ns.load(Ordering::Relaxed)
    }

    /// Python has been seen to run.
    pub fn forget_pulse(&self) {
        self.pulse_asked_ns.store(0, Ordering::Relaxed);
    }

    /// Python's side: what has come since the last time. It runs, so the pulse is answered.
    pub fn take(&self) -> Vec<TimedOut> {
        if let Some(bell) = self.bell.get() {
            bell.silence();
        }
        self.forget_pulse();
        lock(&self.events).drain(..).collect()
    }

    pub fn ask_kill(&self, kill: Kill) {
        lock(&self.kills).push(kill);
        self.has_kills.store(true, Ordering::Release);
    }

    /// The I/O thread's side of `ask_kill`.
    pub fn take_kills(&self) -> Vec<Kill> {
        if !self.has_kills.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let mut kills = lock(&self.kills);
        self.has_kills.store(false, Ordering::Relaxed);
        std::mem::take(&mut kills)
    }
}
