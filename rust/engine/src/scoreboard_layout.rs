//! Where everything stands in the scoreboard's memory: the one place on this side of the language seam.
//! `src/barkeep/scoreboard.py` has the same table, and a test compares the two.
//!
//! ```text
//!   HEADER | PLACE 0 | PLACE 1 | ...                  a place belongs to one worker process
//!   place:  STATE | BLOCK 0 | BLOCK 1 | ...           a block of counters belongs to one thread; 0: the I/O thread
//!                 | RECORD 0 | RECORD 1 | ...         a record belongs to one connection
//! ```
//!
//! All numbers are little-endian u64 at multiples of 8; times are nanoseconds of the monotonic clock, which is the same
//! in all processes of a machine. Fields that different threads write are on different cache lines.

/// Begins the header: memory of another shape is not written to.
pub const MAGIC: u64 = u64::from_le_bytes(*b"barkeep1");

pub const HEADER_BYTES: usize = 4096;

/// Counters and histograms of one thread.
pub const BLOCK_BYTES: usize = 4096;
/// The last block is shared by all threads beyond: it alone is counted in with locked instructions.
pub const BLOCKS: usize = 64;

pub const RECORD_BYTES: usize = 256;
/// Connections beyond these are counted, not listed.
pub const RECORDS: usize = 1024;

pub const STATE_BYTES: usize = 4096;
pub const PLACE_BYTES: usize = STATE_BYTES + BLOCKS * BLOCK_BYTES + RECORDS * RECORD_BYTES;

/// Of one histogram; see `bucket_of`.
pub const BUCKETS: usize = 112;

/// Room for texts in a record; longer ones are cut.
pub const METHOD_BYTES: usize = 16;
pub const CLIENT_BYTES: usize = 40;
pub const TARGET_BYTES: usize = 104;

/// Names a field, for the table that Python sees, and its offset in words, for us.
macro_rules! layout {
    ($($(#[$doc:meta])* $field:ident, $name:literal, $offset:expr, $bytes:expr;)*) => {
        $(
            #[allow(dead_code, reason = "some are only written, or only read, on the other side")]
            $(#[$doc])*
            pub const $field: usize = $offset / 8;
        )*
        /// (name, offset in bytes within its part, size in bytes).
        pub const LAYOUT: &[(&str, usize, usize)] = &[$(($name, $offset, $bytes)),*];
    };
}

layout! {
    HEADER_MAGIC, "header.magic", 0, 8;
    /// Places that the memory has room for.
    HEADER_PLACES, "header.places", 8, 8;
    /// One more than the highest place that an engine was ever made for.
    HEADER_PLACES_USED, "header.places_used", 16, 8;

    /// The parts: where they begin, and the size of one.
    FIRST_PLACE, "place", HEADER_BYTES, PLACE_BYTES;
    FIRST_BLOCK, "block", STATE_BYTES, BLOCK_BYTES;
    FIRST_RECORD, "record", STATE_BYTES + BLOCKS * BLOCK_BYTES, RECORD_BYTES;

    // Written once, when the engine is made.
    PID, "state.pid", 0, 8;
    SLOT, "state.slot", 8, 8;
    GENERATION, "state.generation", 16, 8;

    // The I/O thread's.
    /// A `Standing`, and one more when the process has no place any more.
    STATE, "state.state", 64, 8;
    HEARTBEAT_NS, "state.heartbeat_ns", 72, 8;
    CONNECTIONS, "state.connections", 80, 8;
    /// 1 while the listeners are watched.
    ACCEPTING, "state.accepting", 88, 8;
    /// Connections accepted, beginning where the least of its siblings stood.
    ACCEPTED, "state.accepted", 96, 8;
    LAME_DUCK, "state.lame_duck", 104, 8;
    /// When Python was asked whether it still runs; 0: it was not.
    PULSE_ASKED_NS, "state.pulse_asked_ns", 112, 8;

    // Guarded by the queue's lock.
    THREADS, "state.threads", 128, 8;
    BUSY_THREADS, "state.busy_threads", 136, 8;
    QUEUED, "state.queued", 144, 8;
    /// When a thread last took a request.
    LAST_TAKEN_NS, "state.last_taken_ns", 160, 8;
    /// Threads that never came back from a request that was timed out.
    QUARANTINED, "state.quarantined", 152, 8;

    // A reader looks no further: even to read a page of this memory makes it.
    BLOCKS_USED, "state.blocks_used", 256, 8;
    RECORDS_USED, "state.records_used", 264, 8;

    /// The supervisor's word to the worker.
    COMMAND, "state.command", 192, 8;

    // A block: each request is counted in one of them when its answer has ended.
    REQUESTS, "block.requests", 0, 8;
    REFUSED, "block.refused", 8, 8;
    TIMED_OUT, "block.timed_out", 16, 8;
    ABORTED, "block.aborted", 24, 8;
    /// Answered 503 because of load.
    SHED, "block.shed", 32, 8;
    /// Of request bodies, decoded.
    BYTES_IN, "block.bytes_in", 40, 8;
    /// Of the bodies of answers.
    BYTES_OUT, "block.bytes_out", 48, 8;
    /// Microseconds of all requests together, one sum for each histogram, in their order.
    SUMS_US, "block.sums_us", 64, 32;
    HEAD_TIMES, "block.head", 128, BUCKETS * 8;
    QUEUE_TIMES, "block.queue", 128 + BUCKETS * 8, BUCKETS * 8;
    APPLICATION_TIMES, "block.application", 128 + 2 * BUCKETS * 8, BUCKETS * 8;
    WRITE_TIMES, "block.write", 128 + 3 * BUCKETS * 8, BUCKETS * 8;

    // A record: what one connection is doing.
    /// Odd while the record is being written: a reader that saw it change reads again.
    SEQUENCE, "record.sequence", 0, 8;
    /// A `RecordPhase`.
    PHASE, "record.phase", 8, 8;
    /// Of its connection: the first request is 1.
    NUMBER, "record.number", 16, 8;
    FIRST_BYTE_NS, "record.first_byte_ns", 24, 8;
    /// When the phase began.
    SINCE_NS, "record.since_ns", 32, 8;
    /// 0: none has it.
    THREAD, "record.thread", 40, 8;
    /// As `threading.get_ident()` says.
    THREAD_IDENT, "record.thread_ident", 48, 8;
    PORT, "record.port", 56, 8;
    /// Lengths of the texts, whole: what is more than the room was cut.
    METHOD_LENGTH, "record.method_length", 64, 8;
    TARGET_LENGTH, "record.target_length", 72, 8;
    CLIENT_LENGTH, "record.client_length", 80, 8;
    /// Names the connection, with the number names the request.
    CONNECTION, "record.connection", 88, 8;
    METHOD, "record.method", 96, METHOD_BYTES;
    TARGET, "record.target", 112, TARGET_BYTES;
    CLIENT, "record.client", 216, CLIENT_BYTES;
}

/// Which bucket a time in microseconds falls into: below 4 one each, then four to each power of two, so that a
/// percentile is off by an eighth at the most. The last takes all from 7.8 minutes on.
pub fn bucket_of(microseconds: u64) -> usize {
    if microseconds < 4 {
        return microseconds as usize;
    }
    let exponent = microseconds.ilog2() as usize;
    let quarter = (microseconds >> (exponent - 2)) as usize & 3;
    ((exponent - 1) * 4 + quarter).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_lies_within_its_part_and_none_over_another() {
        for (name, offset, bytes) in LAYOUT {
            let part = name.split('.').next().unwrap();
            let room = match part {
                "header" => HEADER_BYTES,
                "state" => STATE_BYTES,
                "block" => BLOCK_BYTES,
                _ => RECORD_BYTES,
            };
            if !name.contains('.') {
                continue;
            }
            assert!(offset % 8 == 0 && offset + bytes <= room, "{name}");
            for (other, other_offset, other_bytes) in LAYOUT {
                let apart = offset + bytes <= *other_offset || other_offset + other_bytes <= *offset;
                assert!(name == other || !other.starts_with(&format!("{part}.")) || apart, "{name} {other}");
            }
        }
    }

    #[test]
    fn buckets_follow_one_another_without_a_gap() {
        let mut last = 0;
        for microseconds in 0..3_000_000u64 {
            let bucket = bucket_of(microseconds);
            assert!(bucket == last || bucket == last + 1, "{microseconds}");
            last = bucket;
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }
}
