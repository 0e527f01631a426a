//! Step 5 of 6 - the I/O thread looks after the application's deadlines, and whether Python runs at all. It never waits
//! for Python: what is overdue is answered from here.

use crate::application_deadlines::Found;
use crate::connection::{Connection, Phase};
use crate::connections::Connections;
use crate::giving_up::{Verdict, give_up};
use crate::reading::Now;
use crate::scoreboard_layout as layout;
use crate::shared::Shared;
use crate::watch::Kill;
use std::sync::Arc;
use std::time::Duration;

/// Python is asked whether it runs when it has taken nothing for so long.
const PULSE_EVERY_NS: u64 = 250_000_000;

/// Python that does not answer for so long, while a request is overdue, stands still: some C code keeps the GIL.
const STALL_NS: u64 = 1_000_000_000;

/// What the I/O thread keeps between two looks.
#[derive(Default)]
pub struct Overdue {
    next_look_ms: u64,
    was_busy: bool,
    /// Python was seen to run then: it took an exchange, or answered.
    alive_ns: u64,
    /// A request was overdue since Python was last seen to run.
    has_timed_out: bool,
}

impl Overdue {
    /// How long the next wait may be. is_busy: an exchange is queued, or with an application thread. None: an idle server
    /// is not woken.
    pub fn until_look(&mut self, shared: &Shared, is_busy: bool) -> Option<Duration> {
        // Also with nothing to do it must be found out that Python runs again.
        let is_busy = is_busy || shared.is_stalled();
        let began = is_busy && !self.was_busy;
        self.was_busy = is_busy;
        if !is_busy || !is_on(shared) {
            return None;
        }
        let now_ms = crate::clock::now_ms();
        if began {
            // What has only just begun needs no look before a whole tick has passed.
            self.next_look_ms = now_ms + shared.timeouts.tick_ms();
        }
        Some(Duration::from_millis(self.next_look_ms.saturating_sub(now_ms).max(1)))
    }

    /// Once a turn; does something when a look is due, or when Python wants a request ended.
    pub fn look(&mut self, shared: &Arc<Shared>, connections: &Connections, now: Now) {
        for kill in shared.watch.take_kills() {
            let was_ended = end_request(shared, connections, &kill, now);
            // Who asked may have stopped to wait for it.
            let _ = kill.reply.send(was_ended);
        }
        if now.ms < self.next_look_ms || !self.was_busy || !is_on(shared) {
            return;
        }
        self.next_look_ms = now.ms + shared.timeouts.tick_ms();
        self.feel_pulse(shared, now);
        shared.scoreboard.set(layout::PULSE_ASKED_NS, shared.watch.pulse_asked_ns());
        let is_stalled = shared.is_stalled();
        for exchange in shared.hand_over.take_overdue(now.ns, is_stalled) {
            self.has_timed_out = true;
            let verdict = if is_stalled { Verdict::Stalled } else { Verdict::Shed };
            let mut state = exchange.connection.lock();
            give_up(&exchange.connection, &mut state, shared, verdict, now);
        }
        for slot in 0..connections.slots() {
            let Some(connection) = connections.at(slot) else { continue };
            self.look_at(shared, connection, is_stalled, now);
        }
    }

    fn look_at(&mut self, shared: &Shared, connection: &Connection, is_stalled: bool, now: Now) {
        let found = connection.application.look(now.ms);
        if found == Found::InTime && !is_stalled {
            return;
        }
        let mut state = connection.lock();
        let Phase::Serving(serving) = &state.phase else { return };
        if serving.run.is_none() {
            return;
        }
        match connection.application.look(now.ms) {
            _any if is_stalled => give_up(connection, &mut state, shared, Verdict::Stalled, now),
            Found::Overdue => {
                self.has_timed_out = true;
                give_up(connection, &mut state, shared, Verdict::TimedOut, now);
            }
            Found::Moved => connection.application.start(now.ms, serving.timeout_ms),
            Found::InTime => {}
        }
    }

    /// Whether Python runs: it has taken an exchange, or answered. If it did neither for long while a request was overdue,
    /// it stands still.
    fn feel_pulse(&mut self, shared: &Shared, now: Now) {
        let asked_ns = shared.watch.pulse_asked_ns();
        let taken_ns = shared.hand_over.last_taken_ns();
        if asked_ns == 0 || taken_ns > asked_ns {
            shared.watch.forget_pulse();
            self.has_timed_out = false;
            if shared.is_stalled() {
                shared.set_stalled(false);
                shared.log.warning(format_args!("Python runs again"));
            }
            let is_quiet = now.ns.saturating_sub(taken_ns.max(self.alive_ns)) >= PULSE_EVERY_NS;
            if is_quiet {
                self.alive_ns = now.ns;
                shared.watch.ask_pulse(now.ns);
            }
        } else if self.has_timed_out && !shared.is_stalled() && now.ns.saturating_sub(asked_ns) >= STALL_NS {
            shared.set_stalled(true);
            let silent_ms = now.ns.saturating_sub(asked_ns) / 1_000_000;
            shared.log.error(format_args!(
                "Python has not run for {silent_ms} ms: C code keeps the GIL. Every request that waits for Python is \
                 answered 504, and none is accepted until it runs again"
            ));
        }
    }
}

fn is_on(shared: &Shared) -> bool {
    shared.timeouts.is_on() || shared.watch.is_on()
}

/// As if its deadline passed now. False when there is no such request, or the application has answered it already.
fn end_request(shared: &Shared, connections: &Connections, kill: &Kill, now: Now) -> bool {
    let slot = usize::try_from(kill.connection & u64::from(u32::MAX)).unwrap_or(usize::MAX);
    let Some(connection) = connections.at(slot) else { return false };
    if kill.connection > u64::from(u32::MAX) && kill.connection != connection.token {
        return false;
    }
    let mut state = connection.lock();
    let Phase::Serving(serving) = &state.phase else { return false };
    let is_meant = kill.first_byte_ns == 0 || kill.first_byte_ns == serving.times.first_byte_ns;
    if serving.number != kill.number || !is_meant {
        return false;
    }
    // Not with a thread and not in the queue: a thread is just about to begin with it.
    let is_ours = serving.run.is_some() || shared.hand_over.take_out(connection.token, kill.number).is_some();
    if is_ours {
        give_up(connection, &mut state, shared, Verdict::Killed, now);
    }
    is_ours
}
