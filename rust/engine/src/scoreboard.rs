//! What this worker tells of itself in memory that the supervisor and its siblings read, also while Python is stuck.
//!
//! No word has two writers at the same time, so a count is a load and a store: nothing here takes a lock on the bus, and
//! a request pays for about thirty stores (docs/adr/0013). `scoreboard_layout.rs` says where each word stands.

use crate::access_log::{Durations, Outcome, Record};
use crate::lock;
use crate::scoreboard_layout as layout;
use crate::scoreboard_record::ExchangeRecord;
use crate::shared_memory::SharedMemory;
use rustix::fd::OwnedFd;
use rustix::io;
use std::cell::Cell;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

const BLOCK_WORDS: usize = layout::BLOCK_BYTES / 8;
const PLACE_WORDS: usize = layout::PLACE_BYTES / 8;
const HEADER_WORDS: usize = layout::HEADER_BYTES / 8;
pub const RECORD_WORDS: usize = layout::RECORD_BYTES / 8;

thread_local! {
    /// (Which scoreboard, which of its blocks) this thread counts in.
    static BLOCK: Cell<(u64, usize)> = const { Cell::new((0, 0)) };
}

/// Tells scoreboards of one process apart.
static MADE: AtomicU64 = AtomicU64::new(0);

/// Who a worker is: written to its place once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity {
    /// Which place of the memory is this worker's alone.
    pub place: usize,
    pub slot: u64,
    pub generation: u64,
}

/// One worker's place in the scoreboard, and the way to those of its siblings.
pub struct Scoreboard {
    id: u64,
    memory: SharedMemory,
    pub identity: Identity,
    /// The first word of its place.
    own: usize,
    /// Others read it: the memory came from a supervisor.
    pub is_shared: bool,
    /// Which numbers of application threads are taken; the first is 1.
    threads: Mutex<Vec<bool>>,
    /// Records that no connection has; the lowest is taken first, so that few pages are touched.
    free_records: Mutex<Vec<usize>>,
}

impl Scoreboard {
    /// Memory that nobody else sees, for a server without a supervisor.
    pub fn private() -> io::Result<Arc<Scoreboard>> {
        let memory = SharedMemory::anonymous(layout::HEADER_BYTES + layout::PLACE_BYTES)?;
        Ok(Scoreboard::new(memory, Identity::default(), false))
    }

    /// One place of a supervisor's memory. Errors say what is wrong with it.
    pub fn of_file(file: &OwnedFd, identity: Identity) -> Result<Arc<Scoreboard>, String> {
        let memory = SharedMemory::of_file(file).map_err(|error| format!("cannot map it: {error}"))?;
        let header = |word: usize| memory.words().get(word).map_or(0, |word| word.load(Ordering::Relaxed));
        if header(layout::HEADER_MAGIC) != layout::MAGIC {
            return Err("it has another layout than this engine".to_owned());
        }
        let places = (memory.words().len().saturating_sub(HEADER_WORDS) / PLACE_WORDS) as u64;
        if identity.place as u64 >= places.min(header(layout::HEADER_PLACES)) {
            return Err(format!("it has {places} places, place {} is not among them", identity.place));
        }
        Ok(Scoreboard::new(memory, identity, true))
    }

    fn new(memory: SharedMemory, identity: Identity, is_shared: bool) -> Arc<Scoreboard> {
        let scoreboard = Scoreboard {
            id: MADE.fetch_add(1, Ordering::Relaxed) + 1,
            memory,
            identity,
            own: HEADER_WORDS + identity.place * PLACE_WORDS,
            is_shared,
            threads: Mutex::default(),
            free_records: Mutex::new((0..layout::RECORDS).rev().collect()),
        };
        if let Some(used) = scoreboard.memory.words().get(layout::HEADER_PLACES_USED) {
            used.fetch_max(identity.place as u64 + 1, Ordering::Release);
        }
        scoreboard.set(layout::PID, u64::from(std::process::id()));
        scoreboard.set(layout::SLOT, identity.slot);
        scoreboard.set(layout::GENERATION, identity.generation);
        Arc::new(scoreboard)
    }

    /// Writes one word of this worker's state. Each has one writer, or a lock that its writers hold.
    pub fn set(&self, field: usize, value: u64) {
        if let Some(word) = self.memory.words().get(self.own + field) {
            word.store(value, Ordering::Release);
        }
    }

    /// Writes a word that only grows; any thread may.
    fn raise(&self, field: usize, value: usize) {
        if self.get(field) < value as u64
            && let Some(word) = self.memory.words().get(self.own + field)
        {
            word.fetch_max(value as u64, Ordering::Release);
        }
    }

    pub fn get(&self, field: usize) -> u64 {
        self.get_of(self.identity.place, field)
    }

    /// A word of a sibling's state.
    pub fn get_of(&self, place: usize, field: usize) -> u64 {
        let word = self.memory.words().get(HEADER_WORDS + place * PLACE_WORDS + field);
        word.map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Places beyond these were never anybody's; to look at one would make its memory.
    pub fn places_used(&self) -> usize {
        let used = self.memory.words().get(layout::HEADER_PLACES_USED);
        used.map_or(0, |used| used.load(Ordering::Acquire) as usize)
    }

    /// The calling thread is the I/O thread: it counts in the first block.
    pub fn enter_io(&self) {
        BLOCK.set((self.id, 0));
        self.raise(layout::BLOCKS_USED, 1);
    }

    /// The calling thread is an application thread. Returns its number, the lowest that is free.
    pub fn enter_thread(&self) -> usize {
        let mut threads = lock(&self.threads);
        let index = threads.iter().position(|is_taken| !is_taken).unwrap_or_else(|| {
            threads.push(true);
            threads.len() - 1
        });
        if let Some(is_taken) = threads.get_mut(index) {
            *is_taken = true;
        }
        let number = index + 1;
        let block = number.min(layout::BLOCKS - 1);
        BLOCK.set((self.id, block));
        self.raise(layout::BLOCKS_USED, block + 1);
        number
    }

    /// The thread of this number has ended.
    pub fn leave_thread(&self, number: usize) {
        if let Some(is_taken) = lock(&self.threads).get_mut(number.wrapping_sub(1)) {
            *is_taken = false;
        }
    }

    /// A record for a new connection, until it is dropped; one that writes nowhere when all are taken.
    pub fn open_record(self: &Arc<Self>) -> ExchangeRecord {
        let index = lock(&self.free_records).pop();
        self.raise(layout::RECORDS_USED, index.map_or(0, |index| index + 1));
        let first_word = index.map(|index| self.first_record() + index * RECORD_WORDS);
        let first_word = first_word.and_then(|word| NonZeroU32::new(word.try_into().ok()?));
        ExchangeRecord::new(Arc::clone(self), first_word)
    }

    pub fn close_record(&self, first_word: NonZeroU32) {
        let index = (first_word.get() as usize - self.first_record()) / RECORD_WORDS;
        lock(&self.free_records).push(index);
    }

    /// The words of a record, from its first one.
    pub fn record_words(&self, first_word: NonZeroU32) -> Option<&[AtomicU64; RECORD_WORDS]> {
        self.memory.words().get(first_word.get() as usize..)?.first_chunk()
    }

    /// The first word of our first record.
    fn first_record(&self) -> usize {
        self.own + layout::FIRST_RECORD
    }

    /// Counts one request whose answer has ended, with the times that the access log shows.
    pub fn count(&self, record: &Record, durations: &Durations) {
        let (id, block) = BLOCK.get();
        // A thread of the application's own may write an answer too.
        let number = if id == self.id {
            block
        } else {
            self.raise(layout::BLOCKS_USED, layout::BLOCKS);
            layout::BLOCKS - 1
        };
        let Some(block) = self.block(number) else { return };
        block.add(layout::REQUESTS, 1);
        block.add(layout::BYTES_IN, record.bytes_received);
        block.add(layout::BYTES_OUT, record.bytes_sent);
        match record.outcome {
            Outcome::Complete => {}
            Outcome::Refused => block.add(layout::REFUSED, 1),
            Outcome::TimedOut => block.add(layout::TIMED_OUT, 1),
            Outcome::Shed => block.add(layout::SHED, 1),
            Outcome::Aborted => block.add(layout::ABORTED, 1),
        }
        block.add_time(layout::HEAD_TIMES, layout::SUMS_US, durations.head_us);
        if record.times.taken_ns != 0 {
            block.add_time(layout::QUEUE_TIMES, layout::SUMS_US + 1, durations.queue_us);
            block.add_time(layout::APPLICATION_TIMES, layout::SUMS_US + 2, durations.app_us);
        }
        block.add_time(layout::WRITE_TIMES, layout::SUMS_US + 3, durations.write_us);
    }

    fn block(&self, number: usize) -> Option<Block<'_>> {
        let begin = self.own + layout::FIRST_BLOCK + number * BLOCK_WORDS;
        let words = self.memory.words().get(begin..)?.first_chunk()?;
        Some(Block { words, has_one_writer: number < layout::BLOCKS - 1 })
    }
}

/// Counters and histograms of one thread.
struct Block<'a> {
    words: &'a [AtomicU64; BLOCK_WORDS],
    has_one_writer: bool,
}

impl Block<'_> {
    fn add(&self, field: usize, more: u64) {
        let Some(word) = self.words.get(field) else { return };
        if self.has_one_writer {
            word.store(word.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
        } else {
            word.fetch_add(more, Ordering::Relaxed);
        }
    }

    fn add_time(&self, buckets: usize, sum: usize, microseconds: u64) {
        self.add(buckets + layout::bucket_of(microseconds), 1);
        self.add(sum, microseconds);
    }
}
