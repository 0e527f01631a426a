//! Step 2 of 6 - the I/O thread's table of connections, by token.

use crate::connection::{Connection, Peer};
use crate::deadlines::{Allowances, Deadline};
use crate::scoreboard_record::ExchangeRecord;
use crate::transport::Transport;
use std::sync::Arc;

/// A request that has just been sent may still be on its way.
const IDLE_BEFORE_CLOSE_MS: u64 = 1_000;

/// Generations stay below the bit that marks listeners.
const LAST_GENERATION: u32 = i32::MAX as u32;

/// Slots are reused; a generation in the token tells a late event for a closed connection from one for its heir.
#[derive(Default)]
pub struct Connections {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

struct Slot {
    generation: u32,
    connection: Option<Arc<Connection>>,
}

impl Connections {
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Slots to walk through with `at`.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    pub fn at(&self, slot: usize) -> Option<&Arc<Connection>> {
        self.slots.get(slot)?.connection.as_ref()
    }

    pub fn get(&self, token: u64) -> Option<&Arc<Connection>> {
        let slot = self.slots.get(slot_of(token))?;
        slot.connection.as_ref().filter(|connection| connection.token == token)
    }

    #[allow(clippy::too_many_arguments, reason = "all parts of a connection that is about to be built")]
    pub fn add(
        &mut self,
        listener: usize,
        transport: Transport,
        peer: Peer,
        record: ExchangeRecord,
        now_ms: u64,
        allowance_ms: u64,
    ) -> Arc<Connection> {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, connection: None });
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let generation = self.slots.get(slot as usize).map_or(0, |slot| slot.generation);
        let token = u64::from(generation) << 32 | u64::from(slot);
        let deadline = Deadline::after(now_ms, allowance_ms);
        let listener = u16::try_from(listener).unwrap_or(u16::MAX);
        let connection = Arc::new(Connection::new(token, peer, listener, transport, deadline, record));
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            slot.connection = Some(Arc::clone(&connection));
        }
        connection
    }

    /// The connections that have waited longest for a request, `count` at the most; none that waits for less than
    /// `IDLE_BEFORE_CLOSE_MS`.
    pub fn longest_idle(&self, count: usize, allowances: &Allowances, now_ms: u64) -> Vec<Arc<Connection>> {
        let mut idle: Vec<(u64, &Arc<Connection>)> = self
            .slots
            .iter()
            .filter_map(|slot| slot.connection.as_ref())
            .filter_map(|connection| Some((connection.idle_since_ms(allowances)?, connection)))
            .filter(|(since_ms, _)| now_ms.saturating_sub(*since_ms) >= IDLE_BEFORE_CLOSE_MS)
            .collect();
        idle.sort_unstable_by_key(|(since_ms, _)| *since_ms);
        idle.into_iter().take(count).map(|(_, connection)| Arc::clone(connection)).collect()
    }

    /// Forgets a connection, and returns it if it was there.
    pub fn remove(&mut self, token: u64) -> Option<Arc<Connection>> {
        let slot = self.slots.get_mut(slot_of(token))?;
        let removed = slot.connection.take_if(|connection| connection.token == token)?;
        slot.generation = if slot.generation >= LAST_GENERATION { 0 } else { slot.generation + 1 };
        self.free.push(token as u32);
        Some(removed)
    }
}

fn slot_of(token: u64) -> usize {
    (token & u64::from(u32::MAX)) as usize
}
