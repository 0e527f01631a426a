//! Step 3 of 6 - reading away what the application left of a request body, so that the next request is found.

use crate::connection::{Connection, Leftover, Phase, State};
use crate::reading::{Now, Step};
use crate::shared::Shared;
use barkeep_wire::BodyDecoder;
use std::sync::Arc;

/// More than this is not worth reading for the sake of one connection: it is closed instead.
pub const READ_AWAY_BYTES: u64 = 64 * 1024;

/// One step of decoding into nothing.
const PIECE_BYTES: usize = 16 * 1024;

/// What is left of a body, if it is little enough to read away.
pub fn leftover(decoder: BodyDecoder) -> Option<Leftover> {
    match decoder.length_left() {
        Some(bytes) if bytes > READ_AWAY_BYTES => None,
        Some(_) | None => Some(Leftover { decoder, bytes_left: READ_AWAY_BYTES }),
    }
}

/// Decodes and forgets; the connection is idle again when the body has ended.
pub fn read_away(
    connection: &Arc<Connection>,
    state: &mut State,
    shared: &Arc<Shared>,
    mut leftover: Box<Leftover>,
    rest: &mut &[u8],
    now: Now,
) -> Step {
    let mut forgotten = Vec::new();
    loop {
        forgotten.clear();
        let Ok(used) = leftover.decoder.decode(rest, PIECE_BYTES, &mut forgotten, &shared.limits) else {
            // The answer is out already; there is nothing to tell and nothing to find.
            connection.leave(state, shared, true, now.ms);
            return Step::Wait;
        };
        *rest = rest.get(used..).unwrap_or_default();
        leftover.bytes_left = leftover.bytes_left.saturating_sub(used as u64);
        if leftover.decoder.is_done() {
            state.phase = Phase::Idle;
            connection.deadline.set(now.ms, shared.allowances.keep_alive_ms);
            return Step::Again;
        }
        if leftover.bytes_left == 0 {
            connection.leave(state, shared, true, now.ms);
            return Step::Wait;
        }
        if used == 0 {
            state.phase = Phase::Draining(leftover);
            return Step::Wait;
        }
    }
}
