//! Step 2 of 6 - the application threads that wait on one connection: for bytes of a body, or for room in the outbox.

use std::thread::Thread;

/// One for each thread, when the application reads and writes at once. No memory while nobody waits.
#[derive(Default)]
pub struct Waiters(Box<[Thread]>);

impl Waiters {
    /// The calling thread is about to wait: `wake` ends its next `park`.
    pub fn announce(&mut self) {
        let waiter = std::thread::current();
        let mut all = std::mem::take(&mut self.0).into_vec();
        // It may have come back without having been woken.
        if all.iter().all(|other| other.id() != waiter.id()) {
            all.push(waiter);
        }
        self.0 = all.into_boxed_slice();
    }

    /// Wakes all: each looks for itself what has changed.
    pub fn wake(&mut self) {
        for waiter in std::mem::take(&mut self.0) {
            waiter.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock;
    use std::sync::{Arc, Mutex, mpsc};
    use std::time::Duration;

    #[test]
    fn threads_that_read_and_write_on_one_connection_are_all_woken() {
        let waiters = Arc::new(Mutex::new(Waiters::default()));
        let (told, events) = mpsc::channel();
        for _ in 0..2 {
            let (waiters, told) = (Arc::clone(&waiters), told.clone());
            std::thread::spawn(move || {
                lock(&waiters).announce();
                told.send("waits").unwrap();
                std::thread::park();
                told.send("was woken").unwrap();
            });
        }
        let next = || events.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!([next(), next()], ["waits"; 2]);
        lock(&waiters).wake();
        assert_eq!([next(), next()], ["was woken"; 2]);
    }

    #[test]
    fn thread_that_was_not_woken_is_remembered_once() {
        let mut waiters = Waiters::default();
        for _ in 0..3 {
            waiters.announce();
        }
        assert_eq!(waiters.0.len(), 1);
    }
}
