//! What one connection is doing, for whoever looks from outside: its request, since when, and which thread has it.
//!
//! A seqlock: the number in front is odd while the record is written, and a reader that saw it odd or changed reads
//! again. Who may write follows the exchange: the holder of the connection's lock, and from the hand-over to the end of
//! the answer the application thread that has the exchange. The two never meet, because the queue and that lock lie
//! between them.

use crate::connection::Peer;
use crate::scoreboard::{RECORD_WORDS, Scoreboard};
use crate::scoreboard_layout as layout;
use barkeep_wire::Head;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

/// What a listed exchange waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordPhase {
    /// Nothing: the connection has no request.
    None = 0,
    /// The rest of the request.
    Reading = 1,
    /// An application thread.
    Queued = 2,
    /// The application.
    Running = 3,
    /// The client, to read the answer.
    Writing = 4,
}

type Words = [AtomicU64; RECORD_WORDS];

/// The record of one connection. It goes back when the connection is dropped: an exchange that still runs holds it, so
/// that a request whose client has gone is seen for as long as it takes a thread.
pub struct ExchangeRecord {
    scoreboard: Arc<Scoreboard>,
    /// Its first word in the memory. None: all were taken.
    first_word: Option<NonZeroU32>,
    /// The request was given up, but its thread is still at it: what stands here stays until the thread lets go.
    is_kept: AtomicBool,
}

impl ExchangeRecord {
    pub fn new(scoreboard: Arc<Scoreboard>, first_word: Option<NonZeroU32>) -> ExchangeRecord {
        ExchangeRecord { scoreboard, first_word, is_kept: AtomicBool::new(false) }
    }

    /// Writes all that stays the same for the life of the connection.
    pub fn introduce(&self, token: u64, peer: &Peer) {
        self.write(|words| {
            put(words, layout::PHASE, RecordPhase::None as u64);
            put(words, layout::CONNECTION, token);
            put(words, layout::PORT, u64::from(peer.port.unwrap_or(0)));
            put_text(
                words,
                layout::CLIENT,
                layout::CLIENT_BYTES,
                layout::CLIENT_LENGTH,
                peer.address.as_bytes(),
            );
        });
    }

    /// The request is on its way in; `head` as far as it was read.
    pub fn reading(&self, number: u32, head: &Head, first_byte_ns: u64) {
        self.begin(RecordPhase::Reading, number, head, first_byte_ns, first_byte_ns);
    }

    /// The request is complete, or its application reads the rest.
    pub fn queued(&self, number: u32, head: &Head, first_byte_ns: u64, now_ns: u64) {
        self.begin(RecordPhase::Queued, number, head, first_byte_ns, now_ns);
    }

    fn begin(&self, phase: RecordPhase, number: u32, head: &Head, first_byte_ns: u64, now_ns: u64) {
        self.write(|words| {
            put(words, layout::PHASE, phase as u64);
            put(words, layout::NUMBER, u64::from(number));
            put(words, layout::FIRST_BYTE_NS, first_byte_ns);
            put(words, layout::SINCE_NS, now_ns);
            put(words, layout::THREAD, 0);
            put(words, layout::THREAD_IDENT, 0);
            put_text(words, layout::METHOD, layout::METHOD_BYTES, layout::METHOD_LENGTH, head.method());
            put_text(words, layout::TARGET, layout::TARGET_BYTES, layout::TARGET_LENGTH, head.target());
        });
    }

    /// An application thread has it.
    pub fn running(&self, thread: usize, ident: u64, taken_ns: u64) {
        self.write(|words| {
            put(words, layout::PHASE, RecordPhase::Running as u64);
            put(words, layout::SINCE_NS, taken_ns);
            put(words, layout::THREAD, thread as u64);
            put(words, layout::THREAD_IDENT, ident);
        });
    }

    /// A thread is stuck with a request whose client was answered, and whose connection ends: it stays listed until the
    /// thread comes back.
    pub fn keep(&self) {
        self.is_kept.store(true, Ordering::Relaxed);
    }

    /// The answer is complete and waits for the client.
    pub fn writing(&self, now_ns: u64) {
        self.write(|words| {
            put(words, layout::PHASE, RecordPhase::Writing as u64);
            put(words, layout::SINCE_NS, now_ns);
            put(words, layout::THREAD, 0);
            put(words, layout::THREAD_IDENT, 0);
        });
    }

    /// The exchange is over.
    pub fn none(&self) {
        if !self.is_kept.load(Ordering::Relaxed) {
            self.clear();
        }
    }

    fn words(&self) -> Option<&Words> {
        self.scoreboard.record_words(self.first_word?)
    }

    fn write(&self, change: impl FnOnce(&Words)) {
        if let Some(words) = self.words()
            && !self.is_kept.load(Ordering::Relaxed)
        {
            write_consistently(words, change);
        }
    }

    /// One word, so a reader sees it or does not: no sequence is needed.
    fn clear(&self) {
        if let Some(words) = self.words() {
            put(words, layout::PHASE, RecordPhase::None as u64);
        }
    }
}

impl Drop for ExchangeRecord {
    fn drop(&mut self) {
        self.clear();
        if let Some(first_word) = self.first_word {
            self.scoreboard.close_record(first_word);
        }
    }
}

/// The writer's half of the seqlock.
fn write_consistently(words: &Words, change: impl FnOnce(&Words)) {
    let Some(sequence) = words.get(layout::SEQUENCE) else { return };
    // A writer that died in the middle left it odd; its heir goes on from an odd number all the same.
    let odd = sequence.load(Ordering::Relaxed) | 1;
    sequence.store(odd, Ordering::Relaxed);
    fence(Ordering::Release);
    change(words);
    sequence.store(odd.wrapping_add(1), Ordering::Release);
}

fn put(words: &Words, field: usize, value: u64) {
    if let Some(word) = words.get(field) {
        word.store(value, Ordering::Relaxed);
    }
}

/// As much of a text as there is room for, and its whole length beside it.
fn put_text(words: &Words, field: usize, room: usize, length_field: usize, text: &[u8]) {
    put(words, length_field, text.len() as u64);
    let text = text.get(..room).unwrap_or(text);
    let (whole, rest) = text.as_chunks::<8>();
    for (index, eight) in whole.iter().enumerate() {
        put(words, field + index, u64::from_le_bytes(*eight));
    }
    if !rest.is_empty() {
        put(words, field + whole.len(), last_word(rest));
    }
}

/// The first of up to seven bytes stands lowest. Four or more are two halves that overlap, which is several times as
/// fast as byte by byte.
fn last_word(rest: &[u8]) -> u64 {
    if let (Some(low), Some(high)) = (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
        let (low, high) = (u32::from_le_bytes(*low), u32::from_le_bytes(*high));
        return u64::from(low) | u64::from(high) << (8 * (rest.len() - 4));
    }
    rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(words: &Words, field: usize, bytes: usize) -> Vec<u8> {
        let all = words[field..].iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes());
        all.take(bytes).collect()
    }

    fn empty() -> Words {
        std::array::from_fn(|_| AtomicU64::new(0))
    }

    #[test]
    fn a_text_of_any_length_is_cut_to_its_room_and_no_further_byte_is_touched() {
        let text: Vec<u8> = (0..200).collect();
        for length in 0..=200 {
            let words = empty();
            put_text(&words, layout::TARGET, layout::TARGET_BYTES, layout::TARGET_LENGTH, &text[..length]);
            let kept = length.min(layout::TARGET_BYTES);
            assert_eq!(text_of(&words, layout::TARGET, kept), &text[..kept]);
            assert_eq!(words[layout::TARGET_LENGTH].load(Ordering::Relaxed), length as u64);
            assert_eq!(words[layout::CLIENT].load(Ordering::Relaxed), 0);
        }
    }

    #[test]
    fn a_reader_that_sees_an_even_and_unchanged_number_sees_one_whole_writing() {
        let words = empty();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..=200_000u64 {
                    write_consistently(&words, |words| {
                        for field in layout::PHASE..words.len() {
                            put(words, field, round);
                        }
                    });
                }
                is_over.store(true, Ordering::Release);
            });
            while !is_over.load(Ordering::Acquire) {
                let before = words[layout::SEQUENCE].load(Ordering::Acquire);
                let copy: Vec<u64> = words[1..].iter().map(|word| word.load(Ordering::Relaxed)).collect();
                fence(Ordering::Acquire);
                let after = words[layout::SEQUENCE].load(Ordering::Relaxed);
                if before == after && before.is_multiple_of(2) {
                    assert!(copy.iter().all(|value| *value == copy[0]), "{copy:?}");
                }
            }
        });
        assert_eq!(words[layout::SEQUENCE].load(Ordering::Relaxed), 400_000);
    }

    #[test]
    fn a_record_whose_writer_died_half_way_is_whole_again_after_the_next_writing() {
        let words = empty();
        words[layout::SEQUENCE].store(7, Ordering::Relaxed);
        write_consistently(&words, |words| put(words, layout::NUMBER, 1));
        assert_eq!(words[layout::SEQUENCE].load(Ordering::Relaxed), 8);
    }
}
