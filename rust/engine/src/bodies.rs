//! Step 3 of 6 - memory for request bodies that are received whole: how much they may take together, and buffers that
//! are used again, so that a large body is not paid for in page faults.

use crate::lock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Room beyond a body's end: when the last receive does not fill it, the socket is known to be empty.
pub const SPARE_BYTES: usize = 64;

/// Smaller buffers are cheap to allocate; larger ones would pin memory.
const KEPT_FROM_BYTES: usize = 16 * 1024;
const KEPT_TO_BYTES: usize = 1024 * 1024 + SPARE_BYTES;

/// What all kept buffers may take together.
const KEPT_TOTAL_BYTES: usize = 4 * 1024 * 1024;

/// The account of all bodies in memory, and the buffers that wait for the next one.
pub struct Bodies {
    held_bytes: AtomicUsize,
    /// `request_buffer_total`.
    limit_bytes: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

impl Bodies {
    pub fn new(limit_bytes: usize) -> Arc<Bodies> {
        Arc::new(Bodies { held_bytes: AtomicUsize::new(0), limit_bytes, kept: Mutex::default() })
    }

    /// An empty body with room for so many bytes, or None when all together would take too much.
    pub fn begin(self: &Arc<Self>, bytes: usize) -> Option<WholeBody> {
        let mut body = WholeBody { bytes: Vec::new(), held_bytes: 0, home: Arc::clone(self) };
        if !body.hold(bytes) {
            return None;
        }
        body.bytes = self.kept_buffer(bytes + SPARE_BYTES);
        Some(body)
    }

    fn kept_buffer(&self, bytes: usize) -> Vec<u8> {
        if (KEPT_FROM_BYTES..=KEPT_TO_BYTES).contains(&bytes) {
            let mut kept = lock(&self.kept);
            let fitting = kept.buffers.iter().rposition(|buffer| buffer.capacity() >= bytes);
            if let Some(index) = fitting {
                let buffer = kept.buffers.swap_remove(index);
                kept.bytes -= buffer.capacity();
                return buffer;
            }
        }
        Vec::with_capacity(bytes)
    }

    fn keep(&self, mut buffer: Vec<u8>) {
        let bytes = buffer.capacity();
        if !(KEPT_FROM_BYTES..=KEPT_TO_BYTES).contains(&bytes) {
            return;
        }
        let mut kept = lock(&self.kept);
        if kept.bytes + bytes <= KEPT_TOTAL_BYTES {
            buffer.clear();
            kept.bytes += bytes;
            kept.buffers.push(buffer);
        }
    }
}

/// A body in memory, and its share of what all bodies together may take. Both go back when it is dropped.
pub struct WholeBody {
    pub bytes: Vec<u8>,
    held_bytes: usize,
    home: Arc<Bodies>,
}

impl WholeBody {
    /// Accounts for so many bytes in all. False when the total does not allow it; the share stays as it was then.
    pub fn hold(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.held_bytes);
        let before = self.home.held_bytes.fetch_add(more, Ordering::Relaxed);
        if before + more > self.home.limit_bytes {
            self.home.held_bytes.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.held_bytes += more;
        true
    }

    /// The bytes alone: they are no longer accounted for.
    pub fn take_bytes(mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for WholeBody {
    fn drop(&mut self) {
        self.home.held_bytes.fetch_sub(self.held_bytes, Ordering::Relaxed);
        self.home.keep(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_together_stay_below_the_limit_and_give_their_share_back() {
        let bodies = Bodies::new(1000);
        let first = bodies.begin(600).unwrap();
        assert!(bodies.begin(600).is_none());
        drop(first);
        let mut second = bodies.begin(600).unwrap();
        assert!(second.hold(1000));
        assert!(!second.hold(1001));
    }

    #[test]
    fn a_large_buffer_serves_the_next_body_and_all_kept_ones_are_bounded() {
        let bodies = Bodies::new(usize::MAX);
        let mut first = bodies.begin(100_000).unwrap();
        first.bytes.extend_from_slice(b"secret");
        let address = first.bytes.as_ptr();
        drop(first);
        let second = bodies.begin(50_000).unwrap();
        assert_eq!((second.bytes.as_ptr(), second.bytes.len()), (address, 0));
        drop((0..100).map(|_| bodies.begin(1_000_000)).collect::<Vec<_>>());
        assert!(lock(&bodies.kept).bytes <= KEPT_TOTAL_BYTES);
    }
}
