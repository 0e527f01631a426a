//! Step 1 of 6 - when a worker leaves new connections to the siblings that share its listeners.
//!
//! The kernel wakes one waiting process for a connection, most often the same. Two rules make them share:
//! a worker that has no thread left leaves the listeners while a sibling has one, and a worker that has accepted more
//! than the least of its free siblings steps back for a moment. Nobody is asked: each reads the others' words in the
//! scoreboard, and only when a connection comes (docs/adr/0013).

use crate::scoreboard::Scoreboard;
use crate::scoreboard_layout as layout;
use crate::standing::Standing;
use std::sync::Arc;

/// Who the siblings are is looked up this often: workers come and go seldom.
const LOOK_MS: u64 = 100;

/// A worker whose I/O thread has not moved for so long is not counted on. Four heartbeats of an idle one.
const FRESH_NS: u64 = 2_000_000_000;

/// So many connections a worker may be ahead of a sibling that is free: few against thousands, and enough for one that
/// is woken to take what waits.
const MARGIN: u64 = 8;

/// The same for a sibling that works: it may only be slower at this moment.
const BUSY_MARGIN: u64 = 32;

/// A worker that took a request within this time is at work: its threads will be free again shortly.
const MOVING_NS: u64 = 50_000_000;

/// A worker that has fallen behind by more, because it was busy or slow, need not make up for it.
const FORGIVEN: u64 = 256;

/// What one worker knows of those that share its listeners.
pub struct Balance {
    scoreboard: Arc<Scoreboard>,
    /// Places of the siblings that were ready at the last look.
    siblings: Vec<usize>,
    next_look_ms: u64,
    accepted: u64,
}

impl Balance {
    pub fn new(scoreboard: Arc<Scoreboard>) -> Balance {
        let next_look_ms = if scoreboard.is_shared { 0 } else { u64::MAX };
        Balance { scoreboard, siblings: Vec::new(), next_look_ms, accepted: 0 }
    }

    pub fn has_siblings(&self) -> bool {
        !self.siblings.is_empty()
    }

    /// Looks for siblings when that is due. Costs a comparison when it is not, or when there is no scoreboard.
    pub fn look(&mut self, now_ms: u64) {
        if now_ms < self.next_look_ms {
            return;
        }
        self.next_look_ms = now_ms + LOOK_MS;
        let own = self.scoreboard.identity;
        self.siblings = (0..self.scoreboard.places_used())
            .filter(|place| *place != own.place)
            .filter(|place| self.scoreboard.get_of(*place, layout::PID) != 0)
            .filter(|place| self.scoreboard.get_of(*place, layout::GENERATION) == own.generation)
            .filter(|place| self.scoreboard.get_of(*place, layout::STATE) == Standing::Ready as u64)
            .collect();
        let theirs = self.siblings.iter().map(|place| self.scoreboard.get_of(*place, layout::ACCEPTED));
        if let Some(least) = theirs.min() {
            self.accepted = baseline(self.accepted, least);
            self.scoreboard.set(layout::ACCEPTED, self.accepted);
        }
    }

    pub fn note_accepted(&mut self) {
        self.accepted += 1;
        self.scoreboard.set(layout::ACCEPTED, self.accepted);
    }

    /// Whether a sibling takes connections and has, or will shortly have, a thread for them.
    pub fn may_leave_to_siblings(&self, now_ns: u64) -> bool {
        self.siblings.iter().any(|place| self.room_of(*place, now_ns) != Room::None)
    }

    /// Whether it is the turn of a sibling.
    pub fn is_ahead(&self, now_ns: u64) -> bool {
        self.siblings.iter().any(|place| {
            let margin = match self.room_of(*place, now_ns) {
                Room::Free => MARGIN,
                Room::Moving => BUSY_MARGIN,
                Room::None => return false,
            };
            self.accepted > self.scoreboard.get_of(*place, layout::ACCEPTED) + margin
        })
    }

    fn room_of(&self, place: usize, now_ns: u64) -> Room {
        let word = |field| self.scoreboard.get_of(place, field);
        let is_accepting = word(layout::ACCEPTING) == 1
            && word(layout::STATE) == Standing::Ready as u64
            && now_ns.saturating_sub(word(layout::HEARTBEAT_NS)) < FRESH_NS;
        if !is_accepting {
            Room::None
        } else if word(layout::QUEUED) == 0 && word(layout::BUSY_THREADS) < word(layout::THREADS) {
            Room::Free
        } else if now_ns.saturating_sub(word(layout::LAST_TAKEN_NS)) < MOVING_NS {
            Room::Moving
        } else {
            Room::None
        }
    }
}

/// What a sibling could do with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    /// A thread has nothing to do.
    Free,
    /// All have, and take one request after another.
    Moving,
    /// It does not accept, or all its threads are held up.
    None,
}

/// Where a worker stands that has accepted so many, when the least of its siblings has accepted `least`: a new one, or
/// one that was away, begins shortly behind them instead of being given everything.
fn baseline(accepted: u64, least: u64) -> u64 {
    accepted.max(least.saturating_sub(FORGIVEN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoreboard::Identity;
    use rustix::fd::OwnedFd;

    const NOW_NS: u64 = 10 * FRESH_NS;

    /// Memory for three workers of one generation, as `scoreboard.py` makes it; all ready and free.
    fn workers() -> Vec<Arc<Scoreboard>> {
        let path = std::env::temp_dir().join(format!("barkeep-balance-{:?}", std::thread::current().id()));
        let bytes = layout::HEADER_BYTES + 3 * layout::PLACE_BYTES;
        let mut memory = vec![0u8; bytes];
        memory[..8].copy_from_slice(&layout::MAGIC.to_le_bytes());
        memory[8] = 3;
        std::fs::write(&path, memory).unwrap();
        let open = || OwnedFd::from(std::fs::File::options().read(true).write(true).open(&path).unwrap());
        let made = (0..3).map(|place| {
            let identity = Identity { place, slot: place as u64, generation: 1 };
            let scoreboard = Scoreboard::of_file(&open(), identity).unwrap();
            for (field, value) in [
                (layout::STATE, Standing::Ready as u64),
                (layout::HEARTBEAT_NS, NOW_NS),
                (layout::ACCEPTING, 1),
                (layout::THREADS, 4),
            ] {
                scoreboard.set(field, value);
            }
            scoreboard
        });
        let made = made.collect();
        std::fs::remove_file(&path).unwrap();
        made
    }

    fn balance_of(workers: &[Arc<Scoreboard>]) -> Balance {
        let mut balance = Balance::new(Arc::clone(&workers[0]));
        balance.look(0);
        balance
    }

    #[test]
    fn siblings_are_the_ready_workers_of_the_same_generation() {
        let workers = workers();
        assert_eq!(balance_of(&workers).siblings, [1, 2]);
        workers[1].set(layout::GENERATION, 2);
        workers[2].set(layout::STATE, Standing::Draining as u64);
        assert!(!balance_of(&workers).has_siblings());
    }

    #[test]
    fn a_server_without_a_supervisor_has_no_siblings() {
        let mut balance = Balance::new(Scoreboard::private().unwrap());
        balance.look(1_000_000);
        assert!(!balance.has_siblings());
    }

    #[test]
    fn a_sibling_that_does_not_accept_has_no_room() {
        for (field, value) in [
            (layout::ACCEPTING, 0),
            (layout::HEARTBEAT_NS, NOW_NS - FRESH_NS),
            (layout::STATE, Standing::Stalled as u64),
        ] {
            let workers = workers();
            let balance = balance_of(&workers);
            workers[1].set(field, value);
            assert!(balance.may_leave_to_siblings(NOW_NS));
            workers[2].set(field, value);
            assert!(!balance.may_leave_to_siblings(NOW_NS), "{field}");
        }
    }

    #[test]
    fn a_sibling_without_a_free_thread_has_room_only_while_its_threads_take_requests() {
        let workers = workers();
        let balance = balance_of(&workers);
        for (field, value) in [(layout::BUSY_THREADS, 4), (layout::QUEUED, 1)] {
            assert_eq!(balance.room_of(1, NOW_NS), Room::Free);
            workers[1].set(field, value);
            assert_eq!(balance.room_of(1, NOW_NS), Room::None);
            workers[1].set(layout::LAST_TAKEN_NS, NOW_NS - MOVING_NS + 1);
            assert_eq!(balance.room_of(1, NOW_NS), Room::Moving);
            workers[1].set(layout::LAST_TAKEN_NS, 0);
            workers[1].set(field, 0);
        }
    }

    #[test]
    fn a_worker_is_ahead_of_the_least_sibling_with_room_beyond_the_margin() {
        let workers = workers();
        let mut balance = balance_of(&workers);
        workers[1].set(layout::ACCEPTED, 100);
        for _ in 0..MARGIN {
            balance.note_accepted();
            assert!(!balance.is_ahead(NOW_NS));
        }
        balance.note_accepted();
        assert!(balance.is_ahead(NOW_NS));
        workers[2].set(layout::BUSY_THREADS, 4);
        assert!(!balance.is_ahead(NOW_NS));
    }

    #[test]
    fn a_worker_that_was_away_begins_shortly_behind_its_siblings() {
        assert_eq!(baseline(0, 10_000), 10_000 - FORGIVEN);
        assert_eq!(baseline(9_990, 10_000), 9_990);
        assert_eq!(baseline(20_000, 10_000), 20_000);
    }
}
