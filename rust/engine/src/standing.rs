//! How a worker stands: what `/readyz` and the scoreboard say of it.
//!
//! ```text
//!   starting --ready()--> ready --drain()--> draining --end--> gone
//!                          |  ^                |  ^
//!            Python stands v  | and runs again v  |
//!                         stalled             stalled
//! ```

use crate::lock;
use crate::scoreboard::Scoreboard;
use crate::scoreboard_layout as layout;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// As the scoreboard shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Starting = 0,
    Ready = 1,
    Draining = 2,
    /// Python has not moved for longer than a request may take.
    Stalled = 3,
    Gone = 4,
}

/// What happened so far. Rarely written, by any thread.
#[derive(Clone, Copy, Default)]
struct Happened {
    is_ready: bool,
    is_lame_duck: bool,
    is_stalled: bool,
    is_draining: bool,
    is_gone: bool,
}

impl Happened {
    fn standing(self) -> Standing {
        match self {
            Happened { is_gone: true, .. } => Standing::Gone,
            // A worker that drains and stands still would not come to its end.
            Happened { is_stalled: true, .. } => Standing::Stalled,
            Happened { is_draining: true, .. } => Standing::Draining,
            Happened { is_ready: true, .. } => Standing::Ready,
            Happened { .. } => Standing::Starting,
        }
    }
}

/// Keeps a worker's standing and tells the scoreboard of each change.
pub struct Standings {
    scoreboard: Arc<Scoreboard>,
    happened: Mutex<Happened>,
    /// Copies of what is asked for with each answer, so that no lock is taken for it.
    standing: AtomicU64,
    lame_duck: AtomicBool,
    stalled: AtomicBool,
}

impl Standings {
    pub fn new(scoreboard: Arc<Scoreboard>) -> Standings {
        let standings = Standings {
            scoreboard,
            happened: Mutex::default(),
            standing: AtomicU64::new(0),
            lame_duck: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
        };
        standings.change(|_| ());
        standings
    }

    fn change(&self, change: impl FnOnce(&mut Happened)) {
        let mut happened = lock(&self.happened);
        change(&mut happened);
        let standing = happened.standing() as u64;
        self.standing.store(standing, Ordering::Release);
        self.lame_duck.store(happened.is_lame_duck, Ordering::Release);
        self.stalled.store(happened.is_stalled, Ordering::Release);
        self.scoreboard.set(layout::STATE, standing);
        self.scoreboard.set(layout::LAME_DUCK, u64::from(happened.is_lame_duck));
    }

    pub fn set_ready(&self) {
        self.change(|happened| happened.is_ready = true);
    }

    /// `/readyz` says no from now on, and everything else goes on.
    pub fn set_lame_duck(&self) {
        self.change(|happened| happened.is_lame_duck = true);
    }

    pub fn set_stalled(&self, is_stalled: bool) {
        self.change(|happened| happened.is_stalled = is_stalled);
    }

    pub fn set_draining(&self) {
        self.change(|happened| happened.is_draining = true);
    }

    /// The I/O thread has ended.
    pub fn set_gone(&self) {
        self.change(|happened| happened.is_gone = true);
    }

    pub fn now(&self) -> Standing {
        let all =
            [Standing::Starting, Standing::Ready, Standing::Draining, Standing::Stalled, Standing::Gone];
        let stored = self.standing.load(Ordering::Acquire);
        all.into_iter().find(|standing| *standing as u64 == stored).unwrap_or(Standing::Gone)
    }

    pub fn is_ready(&self) -> bool {
        self.now() == Standing::Ready
    }

    /// Also while it drains.
    pub fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }

    pub fn is_lame_duck(&self) -> bool {
        self.lame_duck.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_counts_more_than_a_drain_and_a_drain_more_than_being_ready() {
        let standings = Standings::new(Scoreboard::private().unwrap());
        assert_eq!(standings.now(), Standing::Starting);
        standings.set_ready();
        assert_eq!(standings.now(), Standing::Ready);
        standings.set_stalled(true);
        assert_eq!(standings.now(), Standing::Stalled);
        standings.set_stalled(false);
        standings.set_lame_duck();
        assert!(standings.is_ready() && standings.is_lame_duck());
        standings.set_draining();
        assert_eq!(standings.now(), Standing::Draining);
        assert_eq!(standings.scoreboard.get(layout::STATE), Standing::Draining as u64);
        standings.set_stalled(true);
        assert!(standings.is_stalled());
        assert_eq!(standings.scoreboard.get(layout::STATE), Standing::Stalled as u64);
    }
}
