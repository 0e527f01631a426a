//! Step 3c of 6 - the content of a request body, out of its framing, however it is cut (RFC 9112 sections 6 and 7).

use alloc::vec::Vec;

use crate::chunk::read_chunk_line;
use crate::error::Refusal;
use crate::fields::{FieldLine, read_field_line};
use crate::framing::BodyFraming;
use crate::limits::Limits;

/// What comes next in the body.
///
/// ```text
///   Length ------------------------------------------------------------> Done
///   ChunkLine --size--> ChunkData --all of it--> ChunkEnd --CRLF--> ChunkLine
///   ChunkLine --size 0--> Trailers --empty line-----------------------> Done
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Length { bytes_left: u64 },
    ChunkLine,
    ChunkData { bytes_left: u64 },
    ChunkEnd,
    Trailers { fields: usize, bytes: usize },
    Done,
}

/// Decodes one request body. Holds a cut line at most: a chunk-size line or a trailer field, within their limits.
#[derive(Clone, Debug)]
pub struct BodyDecoder {
    next: Next,
    /// Bytes of all chunks whose size line was read.
    content_bytes: u64,
    /// Bytes of chunk lines that the data does not pay for: `Limits::UNPAID_CHUNK_LINE_BYTES`.
    unpaid_line_bytes: u64,
    /// The beginning of a line whose end has not come yet.
    cut_line: Vec<u8>,
}

/// One complete line and how much of the input it took, or none yet.
enum Line {
    Whole { used: usize },
    Cut,
}

impl BodyDecoder {
    /// A decoder at the first byte after the head; allocates nothing.
    pub fn new(framing: BodyFraming) -> BodyDecoder {
        let next = match framing {
            BodyFraming::None | BodyFraming::Length { bytes: 0 } => Next::Done,
            BodyFraming::Length { bytes } => Next::Length { bytes_left: bytes },
            BodyFraming::Chunked => Next::ChunkLine,
        };
        BodyDecoder { next, content_bytes: 0, unpaid_line_bytes: 0, cut_line: Vec::new() }
    }

    /// Decodes `input` into `out`, and answers how many bytes of it were used.
    ///
    /// `room`: how many bytes `out` may grow by. Bytes beyond the body are left alone: they are the next request's.
    /// Fewer used than given means that `room` is spent or the body is done. Trailer fields are checked and dropped
    /// (RFC 9110 section 6.5.1 lets a server drop any). After a refusal the decoder must not be used again.
    pub fn decode(
        &mut self,
        input: &[u8],
        room: usize,
        out: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<usize, Refusal> {
        let mut rest = input;
        let mut room = room;
        loop {
            let used = match self.next {
                Next::Done => break,
                Next::Length { bytes_left } | Next::ChunkData { bytes_left } => {
                    let bytes = copy_content(rest, bytes_left, room, out);
                    self.took(bytes as u64);
                    room -= bytes;
                    bytes
                }
                Next::ChunkLine => self.chunk_line(rest, limits)?,
                Next::ChunkEnd => self.chunk_end(rest)?,
                Next::Trailers { fields, bytes } => self.trailer_line(rest, fields, bytes, limits)?,
            };
            rest = rest.get(used..).unwrap_or(b"");
            if used == 0 {
                break;
            }
        }
        Ok(input.len() - rest.len())
    }

    /// True when the body is complete.
    pub fn is_done(&self) -> bool {
        self.next == Next::Done
    }

    /// Bytes still to come, when a length frames the body: the engine may receive them straight into their place.
    pub fn length_left(&self) -> Option<u64> {
        match self.next {
            Next::Length { bytes_left } => Some(bytes_left),
            Next::ChunkLine
            | Next::ChunkData { .. }
            | Next::ChunkEnd
            | Next::Trailers { .. }
            | Next::Done => None,
        }
    }

    /// Accounts for `bytes` received past the decoder; at most `length_left`. Nothing happens without a length.
    pub fn advance(&mut self, bytes: u64) {
        if self.length_left().is_some() {
            self.took(bytes);
        }
    }

    fn took(&mut self, bytes: u64) {
        self.next = match self.next {
            Next::Length { bytes_left } if bytes_left <= bytes => Next::Done,
            Next::Length { bytes_left } => Next::Length { bytes_left: bytes_left - bytes },
            Next::ChunkData { bytes_left } if bytes_left <= bytes => Next::ChunkEnd,
            Next::ChunkData { bytes_left } => Next::ChunkData { bytes_left: bytes_left - bytes },
            next @ (Next::ChunkLine | Next::ChunkEnd | Next::Trailers { .. } | Next::Done) => next,
        };
    }

    fn chunk_line(&mut self, input: &[u8], limits: &Limits) -> Result<usize, Refusal> {
        let used = match self.take_line(input, limits.chunk_line_bytes, Refusal::ChunkLineTooLong)? {
            Line::Cut => return Ok(input.len()),
            Line::Whole { used } => used,
        };
        let line = whole_line(&self.cut_line, input, used);
        let line_bytes = line.len() as u64;
        let Some(line) = line.strip_suffix(b"\r\n") else {
            return Err(Refusal::BareLf);
        };
        let bytes = read_chunk_line(line)?;
        self.cut_line.clear();
        self.account_for_chunk(bytes, line_bytes, limits)?;
        self.next = match bytes {
            0 => Next::Trailers { fields: 0, bytes: 0 },
            bytes_left => Next::ChunkData { bytes_left },
        };
        Ok(used)
    }

    fn account_for_chunk(&mut self, bytes: u64, line_bytes: u64, limits: &Limits) -> Result<(), Refusal> {
        self.content_bytes = self.content_bytes.saturating_add(bytes);
        if self.content_bytes > limits.body_bytes {
            return Err(Refusal::BodyTooLarge);
        }
        let paid = bytes.saturating_mul(2).saturating_add(16);
        self.unpaid_line_bytes = (self.unpaid_line_bytes + line_bytes).saturating_sub(paid);
        if self.unpaid_line_bytes > Limits::UNPAID_CHUNK_LINE_BYTES {
            return Err(Refusal::ChunkLinesOutweighData);
        }
        Ok(())
    }

    /// CRLF and nothing else after the data of a chunk: whoever takes less reads another message than we do.
    fn chunk_end(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        let end = match (self.cut_line.is_empty(), input) {
            (_, []) => return Ok(0),
            (true, [b'\r']) => {
                self.cut_line.push(b'\r');
                return Ok(1);
            }
            (true, [b'\r', b'\n', ..]) => 2,
            (false, [b'\n', ..]) => 1,
            (true | false, _) => return Err(Refusal::ChunkTerminatorInvalid),
        };
        self.cut_line.clear();
        self.next = Next::ChunkLine;
        Ok(end)
    }

    fn trailer_line(
        &mut self,
        input: &[u8],
        fields: usize,
        section_bytes: usize,
        limits: &Limits,
    ) -> Result<usize, Refusal> {
        let bytes_left = limits.trailer_bytes.saturating_sub(section_bytes);
        let used = match self.take_line(input, bytes_left, Refusal::TrailersTooLarge)? {
            Line::Cut => return Ok(input.len()),
            Line::Whole { used } => used,
        };
        let line = whole_line(&self.cut_line, input, used);
        self.next = match read_field_line(line, 0) {
            Ok(FieldLine::Blank { .. }) => Next::Done,
            Ok(FieldLine::Field { .. } | FieldLine::Cut) | Err(_) if fields >= limits.trailer_fields => {
                return Err(Refusal::TooManyTrailers);
            }
            Ok(FieldLine::Field { end, .. }) => {
                Next::Trailers { fields: fields + 1, bytes: section_bytes + end }
            }
            // A whole line is never cut; were it so, LF would stand where it may not.
            Ok(FieldLine::Cut) => return Err(Refusal::BareLf),
            Err(refusal) => return Err(refusal),
        };
        self.cut_line.clear();
        Ok(used)
    }

    /// Looks for the end of the line that `cut_line` begins. `limit`: bytes that the whole line may have, LF included.
    ///
    /// A line is judged when it is whole or can no longer end within its limit, as in a head.
    fn take_line(&mut self, input: &[u8], limit: usize, too_long: Refusal) -> Result<Line, Refusal> {
        let room = limit.saturating_sub(self.cut_line.len());
        let window = input.get(..room).unwrap_or(input);
        match memchr::memchr(b'\n', window) {
            Some(line_feed) => {
                if !self.cut_line.is_empty() {
                    self.cut_line.extend_from_slice(window.get(..=line_feed).unwrap_or(window));
                }
                Ok(Line::Whole { used: line_feed + 1 })
            }
            None if window.len() == room => Err(too_long),
            None => {
                self.cut_line.extend_from_slice(window);
                Ok(Line::Cut)
            }
        }
    }
}

/// A line that was never cut is read where it stands.
fn whole_line<'a>(cut_line: &'a [u8], input: &'a [u8], used: usize) -> &'a [u8] {
    if cut_line.is_empty() { input.get(..used).unwrap_or(input) } else { cut_line }
}

/// Copies as much of `input` as is content and has room; answers the bytes copied.
fn copy_content(input: &[u8], bytes_left: u64, room: usize, out: &mut Vec<u8>) -> usize {
    let wanted = usize::try_from(bytes_left).unwrap_or(usize::MAX).min(room);
    let content = input.get(..wanted).unwrap_or(input);
    out.extend_from_slice(content);
    content.len()
}
