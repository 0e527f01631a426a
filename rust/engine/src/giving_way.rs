//! Step 4 of 6 - the I/O thread gives way while plenty is handed over, and sends what was finished meanwhile in one burst
//! (docs/adr/0004).

use super::{HandOver, STANDSTILL_NS};
use crate::clock::now_ns;
use crate::connection::Connection;
use crate::lock;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// So many exchanges waiting are worth giving way for.
const PLENTY: usize = 4;

/// The I/O thread gives way for so long at most: what it watches over can wait for that.
const LONGEST_WAY_NS: u64 = 2_000_000;

/// What the I/O thread keeps between the times that it gives way.
#[derive(Default)]
pub struct Way {
    /// Connections whose answer was held meanwhile: they are to be flushed before anything else is done with them.
    pub held: Vec<Arc<Connection>>,
    /// When the first look at the queue comes. Each look takes the core from the application, so it comes twice as late
    /// after a time that ended as it should, and soon again after a standstill.
    first_look_ns: u64,
}

impl HandOver {
    /// The I/O thread, with plenty handed over, lets the application threads work: on a shared core it would interrupt
    /// them for each event. What comes meanwhile makes the next batch. Ends when a quarter is left, when a look finds that
    /// nothing was taken since the one before, or after two milliseconds. `way.held` was emptied.
    pub fn give_way(&self, way: &mut Way) {
        {
            let mut waiting = lock(&self.waiting);
            if waiting.exchanges.len() < PLENTY {
                return;
            }
            waiting.io_back_below = waiting.exchanges.len() / 4;
        }
        way.first_look_ns = self.wait_for_call(way.first_look_ns.clamp(STANDSTILL_NS, LONGEST_WAY_NS));
        let mut waiting = lock(&self.waiting);
        // Also after a call: it may have been a late one, meant for the time before.
        waiting.io_back_below = 0;
        std::mem::swap(&mut waiting.held, &mut way.held);
    }

    /// Returns when the first look is to come the next time.
    fn wait_for_call(&self, first_look_ns: u64) -> u64 {
        let began_ns = now_ns();
        let (mut look_ns, mut looked_ns) = (first_look_ns, began_ns);
        while !self.io.was_called() {
            std::thread::park_timeout(Duration::from_nanos(look_ns));
            let now_ns = now_ns();
            if now_ns.saturating_sub(looked_ns) < look_ns {
                continue;
            }
            if self.last_taken_ns() < looked_ns {
                return STANDSTILL_NS;
            }
            let left_ns = LONGEST_WAY_NS.saturating_sub(now_ns.saturating_sub(began_ns));
            if left_ns == 0 {
                return first_look_ns;
            }
            // Work goes on: a standstill from here on may be found a little later.
            (look_ns, looked_ns) = ((look_ns * 4).min(left_ns), now_ns);
        }
        first_look_ns * 2
    }

    /// Whether the I/O thread has given way, and so flushes this connection when it is back: in two milliseconds at the
    /// latest, whatever the application does. Called under the connection's lock, with a finished answer for the
    /// outbox. False: the caller sends.
    pub fn hold(&self, connection: &Arc<Connection>) -> bool {
        let mut waiting = lock(&self.waiting);
        let holds = waiting.io_back_below > 0;
        if holds {
            waiting.held.push(Arc::clone(connection));
        }
        holds
    }

    /// The I/O thread was at work, and on a shared core nobody could take anything: a standstill begins now.
    pub fn restart_standstill(&self) {
        self.last_taken_ns.store(now_ns(), Ordering::Relaxed);
    }
}
