//! What the I/O thread and the application threads share. Every field says who may touch it and what guards it.

use crate::access_log::AccessLog;
use crate::application_deadlines::Timeouts;
use crate::bodies::Bodies;
use crate::deadlines::Allowances;
use crate::dispatch::HandOver;
use crate::lock;
use crate::log::Log;
use crate::options::Options;
use crate::poller::Poller;
use crate::runner::Runner;
use crate::scoreboard::Scoreboard;
use crate::scoreboard_layout as layout;
use crate::standing::Standings;
use crate::watch::Watch;
use barkeep_wire::{Head, Limits};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Heads kept for reuse at most; each keeps the memory of a usual request, about 2 KiB.
const SPARE_HEADS: usize = 256;

/// A head that grew beyond this is not kept: one large request may not pin memory.
const SPARE_HEAD_BYTES: usize = 8 * 1024;

/// Closed connections that are forgotten without hurry, so that a close costs no wake-up.
const CLOSED_BEFORE_WAKE: usize = 64;

/// SERVER_NAME and SERVER_PORT of requests that arrive at one listener.
#[derive(Clone, Debug)]
pub struct ServerAddress {
    pub name: String,
    pub port: String,
}

/// Everything that outlives a connection. Read-only but for the fields with their own guard.
pub struct Shared {
    pub options: Options,
    pub limits: Limits,
    pub allowances: Allowances,
    pub timeouts: Timeouts,
    /// Field names with an underscore are refused, not dropped (docs/adr/0006).
    pub refuses_underscores: bool,
    /// One per listener, in their order.
    pub server_addresses: Vec<ServerAddress>,
    /// Thread-safe by itself: the system call is.
    pub poller: Poller,
    pub hand_over: HandOver,
    /// What others may see of us; each word has its writer.
    pub scoreboard: Arc<Scoreboard>,
    pub standings: Standings,
    pub log: Arc<Log>,
    /// None: off.
    pub access_log: Option<AccessLog>,
    /// Set once, by `drain`; then every answer says `Connection: close`.
    is_draining: AtomicBool,
    /// Set once, by `abort`.
    is_aborting: AtomicBool,
    /// Guarded by itself.
    pub watch: Watch,
    /// Application threads, also those that were given up, until they end.
    runners: Mutex<Runners>,
    /// Connections that the I/O thread is asked to look at.
    attention: Mutex<Attention>,
    /// Memory for request bodies; guarded by itself.
    pub bodies: Arc<Bodies>,
    /// Heads for reuse: taken by the I/O thread, given back by application threads.
    spare_heads: Mutex<Vec<Arc<Head>>>,
}

#[derive(Default)]
struct Runners {
    running: Vec<Arc<Runner>>,
    last_number: Option<NonZeroU32>,
}

#[derive(Default)]
struct Attention {
    tokens: Vec<u64>,
    closed: Vec<u64>,
    is_woken: bool,
}

impl Shared {
    pub fn new(
        options: Options,
        server_addresses: Vec<ServerAddress>,
        runs_in_parallel: bool,
        scoreboard: Arc<Scoreboard>,
        log: Arc<Log>,
        access_log: Option<AccessLog>,
    ) -> rustix::io::Result<Shared> {
        let bodies = Bodies::new(options.request_buffer_total);
        Ok(Shared {
            limits: options.limits(),
            allowances: Allowances::new(&options),
            timeouts: Timeouts::new(options.timeout, &options.timeout_for),
            refuses_underscores: options.underscore_headers == "refuse",
            options,
            server_addresses,
            poller: Poller::new()?,
            hand_over: HandOver::new(runs_in_parallel, Arc::clone(&scoreboard)),
            standings: Standings::new(Arc::clone(&scoreboard)),
            scoreboard,
            log,
            access_log,
            is_draining: AtomicBool::new(false),
            is_aborting: AtomicBool::new(false),
            watch: Watch::default(),
            runners: Mutex::default(),
            attention: Mutex::default(),
            bodies,
            spare_heads: Mutex::default(),
        })
    }

    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// Take nothing new, finish what was begun.
    pub fn drain(&self) {
        self.is_draining.store(true, Ordering::Release);
        self.standings.set_draining();
        self.poller.wake();
    }

    /// Whether a connection may stay open after an answer, for all that the server knows.
    pub fn keeps_connections(&self) -> bool {
        !self.is_draining() && !self.standings.is_lame_duck()
    }

    pub fn is_aborting(&self) -> bool {
        self.is_aborting.load(Ordering::Relaxed)
    }

    /// Close everything now.
    pub fn abort(&self) {
        self.is_draining.store(true, Ordering::Release);
        self.standings.set_draining();
        self.is_aborting.store(true, Ordering::Release);
        self.poller.wake();
    }

    /// Whether connections of this listener get health answers and nothing else.
    pub fn is_health_listener(&self, listener: u16) -> bool {
        usize::from(listener) >= self.server_addresses.len()
    }

    /// Whether C code keeps the GIL while requests are overdue.
    pub fn is_stalled(&self) -> bool {
        self.standings.is_stalled()
    }

    pub fn set_stalled(&self, is_stalled: bool) {
        self.standings.set_stalled(is_stalled);
    }

    /// Counts the calling thread in. ident: as Python has it.
    pub fn add_runner(&self, ident: u64) -> Arc<Runner> {
        self.hand_over.join();
        let mut runners = lock(&self.runners);
        let number = runners.last_number.map_or(NonZeroU32::MIN, |last| last.saturating_add(1));
        runners.last_number = Some(number);
        let runner = Arc::new(Runner::new(number, ident));
        runners.running.push(Arc::clone(&runner));
        runner
    }

    /// The thread ends, or the engine forgets it.
    pub fn remove_runner(&self, runner: &Arc<Runner>) {
        lock(&self.runners).running.retain(|other| !Arc::ptr_eq(other, runner));
        self.show_quarantined();
        if !runner.is_quarantined() {
            self.hand_over.leave();
        }
    }

    /// Tells the scoreboard how many threads were given up and have not come back.
    pub fn show_quarantined(&self) {
        let runners = lock(&self.runners);
        let quarantined = runners.running.iter().filter(|runner| runner.is_quarantined()).count();
        self.scoreboard.set(layout::QUARANTINED, quarantined as u64);
    }

    pub fn runner(&self, ident: u64) -> Option<Arc<Runner>> {
        lock(&self.runners).running.iter().find(|runner| runner.ident == ident).map(Arc::clone)
    }

    /// Asks the I/O thread to flush and read this connection: one wake-up for all that ask before it comes.
    pub fn attend(&self, token: u64) {
        let wake = {
            let mut attention = lock(&self.attention);
            attention.tokens.push(token);
            !std::mem::replace(&mut attention.is_woken, true)
        };
        if wake {
            self.poller.wake();
        }
    }

    /// Tells the I/O thread to forget a connection whose socket is closed already.
    pub fn forget(&self, token: u64) {
        let wake = {
            let mut attention = lock(&self.attention);
            attention.closed.push(token);
            let is_due = attention.closed.len() >= CLOSED_BEFORE_WAKE || self.is_draining();
            is_due && !std::mem::replace(&mut attention.is_woken, true)
        };
        if wake {
            self.poller.wake();
        }
    }

    /// The I/O thread's side of `attend` and `forget`: (to look at, to forget), swapped into the given buffers.
    pub fn take_attention(&self, tokens: &mut Vec<u64>, closed: &mut Vec<u64>) {
        let mut attention = lock(&self.attention);
        attention.is_woken = false;
        std::mem::swap(&mut attention.tokens, tokens);
        std::mem::swap(&mut attention.closed, closed);
    }

    /// A head to parse into.
    pub fn spare_head(&self) -> Arc<Head> {
        lock(&self.spare_heads).pop().unwrap_or_else(|| Arc::new(Head::new()))
    }

    /// Gives a head back for reuse.
    pub fn return_head(&self, mut head: Arc<Head>) {
        // Whoever drops the last share of it gives it back.
        let Some(own) = Arc::get_mut(&mut head) else { return };
        if own.capacity_bytes() > SPARE_HEAD_BYTES {
            return;
        }
        own.clear();
        let mut spare = lock(&self.spare_heads);
        if spare.len() < SPARE_HEADS {
            spare.push(head);
        }
    }
}
