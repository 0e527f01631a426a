//! When a connection has waited long enough. Coarse and pure: the caller says what time it is.
//!
//! A deadline is kept per connection, and the I/O thread looks at all of them once a tick. Nothing is armed or
//! disarmed per request, so a deadline costs a request one store.

use crate::options::Options;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long each phase may last, in milliseconds, from the settings.
#[derive(Clone, Debug)]
pub struct Allowances {
    /// From a request's first byte (or the connection's first moment) to the end of its head.
    pub head_ms: u64,
    /// Between two pieces of a body.
    pub body_ms: u64,
    /// Between an answer and the next request.
    pub keep_alive_ms: u64,
    /// Without progress of a waiting answer.
    pub write_ms: u64,
    /// After a refusal, for the peer to read it (RFC 9112 section 9.6).
    pub linger_ms: u64,
    /// What must move before an allowance for bodies and answers starts anew, in bytes per second.
    pub min_data_rate: u64,
    /// How often deadlines are looked at.
    pub tick: Duration,
}

/// Long enough for a peer across the world to read a refusal, short enough not to hold a descriptor.
const LINGER_MS: u64 = 2_000;

/// Deadlines are kept to a quarter of the shortest, and looked at once a second at the most.
const LONGEST_TICK: Duration = Duration::from_secs(1);
const SHORTEST_TICK: Duration = Duration::from_millis(5);

impl Allowances {
    pub fn new(options: &Options) -> Allowances {
        Allowances {
            head_ms: to_ms(options.head_timeout),
            body_ms: to_ms(options.body_timeout),
            keep_alive_ms: to_ms(options.keep_alive_timeout),
            write_ms: to_ms(options.write_timeout),
            linger_ms: LINGER_MS,
            min_data_rate: options.min_data_rate,
            tick: (options.shortest_deadline() / 4).clamp(SHORTEST_TICK, LONGEST_TICK),
        }
    }

    /// The bytes that must move within `allowance_ms` to earn the next.
    pub fn floor_bytes(&self, allowance_ms: u64) -> u64 {
        (self.min_data_rate.saturating_mul(allowance_ms) / 1000).max(1)
    }
}

fn to_ms(seconds: f64) -> u64 {
    u64::try_from(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).as_millis())
        .unwrap_or(u64::MAX)
}

/// The moment by which one connection must have moved on, in milliseconds of the monotonic clock.
///
/// Written under the connection's lock, read by the I/O thread's tick without it: a stale reading is found out
/// when the tick then takes the lock and reads again.
pub struct Deadline(AtomicU64);

const NEVER: u64 = u64::MAX;

impl Deadline {
    /// So long from now.
    pub fn after(now_ms: u64, allowance_ms: u64) -> Deadline {
        Deadline(AtomicU64::new(now_ms.saturating_add(allowance_ms)))
    }

    pub fn set(&self, now_ms: u64, allowance_ms: u64) {
        self.0.store(now_ms.saturating_add(allowance_ms), Ordering::Relaxed);
    }

    pub fn clear(&self) {
        self.0.store(NEVER, Ordering::Relaxed);
    }

    /// The moment, in monotonic milliseconds; far in the future when there is none.
    pub fn moment_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed) != NEVER
    }

    pub fn has_passed(&self, now_ms: u64) -> bool {
        self.0.load(Ordering::Relaxed) <= now_ms
    }
}

/// Counts the bytes that moved since an allowance began, so that a drip does not earn another.
#[derive(Default, Debug)]
pub struct Progress {
    bytes: u64,
}

impl Progress {
    /// True when enough has moved to begin a new allowance.
    pub fn earns(&mut self, bytes: u64, floor_bytes: u64) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        let earned = self.bytes >= floor_bytes;
        if earned {
            self.bytes = 0;
        }
        earned
    }

    /// Forgets what moved, for the next direction or message.
    pub fn reset(&mut self) {
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_passes_when_its_moment_comes_and_not_before() {
        let deadline = Deadline::after(1_000, 500);
        assert!(!deadline.has_passed(1_499));
        assert!(deadline.has_passed(1_500));
        deadline.clear();
        assert!(!deadline.has_passed(1_500));
    }

    #[test]
    fn a_drip_below_the_floor_earns_nothing_until_it_adds_up() {
        let mut progress = Progress::default();
        assert!(!progress.earns(60, 100));
        assert!(progress.earns(60, 100));
        assert!(!progress.earns(60, 100));
    }
}
