//! How long the application may take, by path, and by when one exchange must have moved on. Pure: the caller says what
//! time it is.

use crate::environ::percent_decoded;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Deadlines are kept to an eighth of the shortest, so that two looks are within a quarter of it, and to 125 ms: a caller
/// that waits for its 504 does not notice more.
const LONGEST_TICK_MS: u64 = 125;
const SHORTEST_TICK_MS: u64 = 5;

/// The settings `timeout` and `timeout_for`, in milliseconds. 0 is off.
#[derive(Clone, Debug)]
pub struct Timeouts {
    default_ms: u32,
    /// The longest prefix first.
    by_prefix: Vec<(Box<[u8]>, u32)>,
}

impl Timeouts {
    pub fn new(timeout_s: f64, timeout_for: &[(String, f64)]) -> Timeouts {
        let mut by_prefix: Vec<(Box<[u8]>, u32)> =
            timeout_for.iter().map(|(prefix, seconds)| (prefix.as_bytes().into(), to_ms(*seconds))).collect();
        by_prefix.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Timeouts { default_ms: to_ms(timeout_s), by_prefix }
    }

    /// Whether any request has a deadline.
    pub fn is_on(&self) -> bool {
        self.default_ms > 0 || self.by_prefix.iter().any(|(_, timeout_ms)| *timeout_ms > 0)
    }

    /// For a path as it was sent: the prefixes are those of the decoded path. 0: it may take for ever.
    pub fn of_path(&self, path: &[u8]) -> u32 {
        if self.by_prefix.is_empty() {
            return self.default_ms;
        }
        let decoded;
        let mut path = path;
        if path.contains(&b'%') {
            decoded = percent_decoded(path);
            path = &decoded;
        }
        let found = self.by_prefix.iter().find(|(prefix, _)| is_below(path, prefix));
        found.map_or(self.default_ms, |(_, timeout_ms)| *timeout_ms)
    }

    /// How often running exchanges are looked at.
    pub fn tick_ms(&self) -> u64 {
        let by_prefix = self.by_prefix.iter().map(|(_, timeout_ms)| *timeout_ms);
        let shortest = by_prefix.chain([self.default_ms]).filter(|timeout_ms| *timeout_ms > 0).min();
        shortest.map_or(LONGEST_TICK_MS, |shortest| {
            u64::from(shortest / 8).clamp(SHORTEST_TICK_MS, LONGEST_TICK_MS)
        })
    }
}

/// Whole segments: /reports has /reports and /reports/7 below it, and not /reporters. /reports/ has all but itself.
fn is_below(path: &[u8], prefix: &[u8]) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| prefix.ends_with(b"/") || matches!(rest, [] | [b'/', ..]))
}

/// At least a millisecond unless it is off.
fn to_ms(seconds: f64) -> u32 {
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO);
    let at_least_ms = u32::from(!duration.is_zero());
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX).max(at_least_ms)
}

/// By when the application must have moved on with the exchange of one connection.
///
/// Written under the connection's lock, read by the I/O thread's look without it, as a `Deadline` is. A chunk of an
/// answer costs no reading of a clock: it only leaves a mark, and the look that finds the mark begins the allowance
/// anew.
pub struct ApplicationClock(AtomicU64);

const STOPPED: u64 = u64::MAX;
const MOVED: u64 = 0;

/// What a look at the clock finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nobody is timed, or there is time left.
    InTime,
    /// A chunk has come since the last look.
    Moved,
    Overdue,
}

impl Default for ApplicationClock {
    fn default() -> ApplicationClock {
        ApplicationClock(AtomicU64::new(STOPPED))
    }
}

impl ApplicationClock {
    /// So long from now; 0: for ever.
    pub fn start(&self, now_ms: u64, timeout_ms: u32) {
        let due_ms =
            if timeout_ms == 0 { STOPPED } else { now_ms.saturating_add(u64::from(timeout_ms)).max(1) };
        self.0.store(due_ms, Ordering::Relaxed);
    }

    /// A chunk was given: the next look begins the allowance anew.
    pub fn mark_moved(&self, timeout_ms: u32) {
        if timeout_ms > 0 {
            self.0.store(MOVED, Ordering::Relaxed);
        }
    }

    /// Nobody is timed: there is no exchange, or it waits for its client.
    pub fn stop(&self) {
        self.0.store(STOPPED, Ordering::Relaxed);
    }

    /// As `stop`; returns what is left of the allowance, for `start`. None when nobody was timed.
    pub fn pause(&self, now_ms: u64, timeout_ms: u32) -> Option<NonZeroU32> {
        match self.0.swap(STOPPED, Ordering::Relaxed) {
            STOPPED => None,
            MOVED => NonZeroU32::new(timeout_ms),
            // At least a moment, so that what was not overdue before the pause is looked at once more after it.
            due_ms => {
                let left_ms = u32::try_from(due_ms.saturating_sub(now_ms)).unwrap_or(u32::MAX);
                Some(NonZeroU32::new(left_ms).unwrap_or(NonZeroU32::MIN))
            }
        }
    }

    pub fn look(&self, now_ms: u64) -> Found {
        match self.0.load(Ordering::Relaxed) {
            MOVED => Found::Moved,
            due_ms if due_ms <= now_ms => Found::Overdue,
            _in_time_or_stopped => Found::InTime,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeouts(timeout_s: f64, by_prefix: &[(&str, f64)]) -> Timeouts {
        let by_prefix: Vec<_> =
            by_prefix.iter().map(|(prefix, seconds)| ((*prefix).to_owned(), *seconds)).collect();
        Timeouts::new(timeout_s, &by_prefix)
    }

    #[test]
    fn the_longest_prefix_of_whole_segments_counts() {
        let timeouts =
            timeouts(60.0, &[("/reports", 300.0), ("/reports/live", 0.0), ("/a b", 1.0), ("/d/", 2.0)]);
        for (path, expected_ms) in [
            (&b"/"[..], 60_000),
            (b"/reports", 300_000),
            (b"/reports/7", 300_000),
            (b"/reporters", 60_000),
            (b"/reports/live/now", 0),
            (b"/report%73/7", 300_000),
            (b"/a%20b", 1_000),
            (b"/d", 60_000),
            (b"/d/x", 2_000),
            (b"*", 60_000),
        ] {
            assert_eq!(timeouts.of_path(path), expected_ms, "{}", path.escape_ascii());
        }
    }

    #[test]
    fn the_root_as_prefix_is_every_path() {
        assert_eq!(timeouts(0.0, &[("/", 2.0)]).of_path(b"/any/thing"), 2_000);
    }

    #[test]
    fn it_is_on_when_any_path_has_a_deadline() {
        assert!(!timeouts(0.0, &[("/x", 0.0)]).is_on());
        assert!(timeouts(0.0, &[("/x", 1.0)]).is_on());
        assert!(timeouts(0.000_1, &[]).is_on());
    }

    #[test]
    fn looks_come_within_an_eighth_of_the_shortest_timeout_and_125_ms() {
        assert_eq!(timeouts(60.0, &[]).tick_ms(), 125);
        assert_eq!(timeouts(60.0, &[("/x", 0.4), ("/y", 0.0)]).tick_ms(), 50);
        assert_eq!(timeouts(0.0, &[]).tick_ms(), 125);
    }

    #[test]
    fn a_clock_is_overdue_when_its_time_has_come() {
        let clock = ApplicationClock::default();
        assert_eq!(clock.look(u64::MAX - 1), Found::InTime);
        clock.start(1_000, 500);
        assert_eq!(clock.look(1_499), Found::InTime);
        assert_eq!(clock.look(1_500), Found::Overdue);
        clock.mark_moved(500);
        assert_eq!(clock.look(9_000), Found::Moved);
        clock.start(1_000, 0);
        assert_eq!(clock.look(u64::MAX - 1), Found::InTime);
    }

    #[test]
    fn a_pause_keeps_what_was_left() {
        let clock = ApplicationClock::default();
        clock.start(1_000, 500);
        assert_eq!(clock.pause(1_200, 500), NonZeroU32::new(300));
        assert_eq!(clock.look(9_000), Found::InTime);
        assert_eq!(clock.pause(1_300, 500), None);
        clock.mark_moved(500);
        assert_eq!(clock.pause(1_300, 500), NonZeroU32::new(500));
    }
}
