//! Step 3a of 6 - the head of a request, read line by line as its bytes come (RFC 9112 sections 2 to 5).
//!
//! A line is judged when it is complete, or when it can no longer end within its limit, and not before: so the same
//! bytes give the same result however they are cut. Complete lines are read once.

use alloc::vec::Vec;

use crate::error::{Parsed, Refusal};
use crate::fields::{FieldFacts, FieldLine, read_field_line};
use crate::framing::{BodyFraming, body_framing};
use crate::host::is_host_and_port;
use crate::limits::Limits;
use crate::request_line::{RequestLine, Version, read_request_line};
use crate::span::Field;

/// Which line comes next.
///
/// ```text
/// LeadingCrlf --any byte but CR, or one CRLF--> RequestLine --its LF--> Fields --empty line--> Complete
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    LeadingCrlf,
    RequestLine,
    Fields,
    Complete,
}

/// How far into the input the reader has come. Offsets in bytes from the start of this request.
#[derive(Clone, Copy, Debug)]
struct Progress {
    stage: Stage,
    /// Where the request line begins: 0, or 2 after one tolerated CRLF.
    head_start: usize,
    /// Where the first line that is not yet read begins.
    line_start: usize,
    /// No LF stands between `line_start` and here.
    searched: usize,
    /// Input beyond the tolerated CRLF was seen.
    has_started: bool,
}

impl Progress {
    const NEW: Progress =
        Progress { stage: Stage::LeadingCrlf, head_start: 0, line_start: 0, searched: 0, has_started: false };

    fn next_line(&mut self, stage: Stage, line_start: usize) {
        self.stage = stage;
        self.line_start = line_start;
        self.searched = line_start;
    }
}

/// The head of one request. Reusable: `clear` keeps its memory for the next one.
///
/// The parts of the request line are known as soon as that line is read, so that refusals and log lines can name
/// them; all else is empty until `parse` answers `Done`.
#[derive(Clone, Debug)]
pub struct Head {
    /// The head's own copy of its bytes, all spans are into it: the request line as soon as it is read, the rest
    /// when the head is complete.
    bytes: Vec<u8>,
    fields: Vec<Field>,
    progress: Progress,
    line: RequestLine,
    facts: FieldFacts,
    framing: BodyFraming,
    expects_continue: bool,
}

impl Default for Head {
    fn default() -> Head {
        Head::new()
    }
}

impl Head {
    /// An empty head; allocates nothing until bytes come.
    pub fn new() -> Head {
        Head {
            bytes: Vec::new(),
            fields: Vec::new(),
            progress: Progress::NEW,
            line: RequestLine::EMPTY,
            facts: FieldFacts::default(),
            framing: BodyFraming::None,
            expects_continue: false,
        }
    }

    /// Forgets the request, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
        self.progress = Progress::NEW;
        self.line = RequestLine::EMPTY;
        self.facts = FieldFacts::default();
        self.framing = BodyFraming::None;
        self.expects_continue = false;
    }

    /// Bytes of memory that the head keeps when cleared, for whoever pools heads.
    pub fn capacity_bytes(&self) -> usize {
        self.bytes.capacity() + self.fields.capacity() * size_of::<Field>()
    }

    /// Reads on. `input`: everything received since the start of this request; each call gives the same bytes and more.
    ///
    /// On `Done` the head has its own copy, and `used` counts the bytes that were the head's, a tolerated leading CRLF
    /// (RFC 9112 section 2.2) included. After a refusal the head is of no use but to `clear`.
    pub fn parse(&mut self, input: &[u8], limits: &Limits) -> Result<Parsed<()>, Refusal> {
        loop {
            let step = match self.progress.stage {
                Stage::LeadingCrlf => self.skip_leading_crlf(input),
                Stage::RequestLine => self.parse_request_line(input, limits)?,
                Stage::Fields => self.parse_fields(input, limits)?,
                Stage::Complete => {
                    return Ok(Parsed::Done { value: (), used: self.progress.line_start });
                }
            };
            if step == Parsed::NeedMore {
                return Ok(Parsed::NeedMore);
            }
        }
    }

    fn skip_leading_crlf(&mut self, input: &[u8]) -> Parsed<()> {
        let head_start = match input {
            [] | [b'\r'] => return Parsed::NeedMore,
            [b'\r', b'\n', ..] => 2,
            _ => 0,
        };
        self.progress.head_start = head_start;
        self.progress.next_line(Stage::RequestLine, head_start);
        Parsed::Done { value: (), used: head_start }
    }

    fn parse_request_line(&mut self, input: &[u8], limits: &Limits) -> Result<Parsed<()>, Refusal> {
        let start = self.progress.line_start;
        self.progress.has_started = input.len() > start;
        let line_limit = start.saturating_add(limits.request_line_bytes);
        let limit = line_limit.min(self.head_limit(limits));
        let window = input.get(..limit).unwrap_or(input);
        let Some(line_feed) = self.find_line_feed(window) else {
            let too_long =
                if line_limit == limit { Refusal::RequestLineTooLong } else { Refusal::HeadTooLarge };
            return if window.len() == limit { Err(too_long) } else { Ok(Parsed::NeedMore) };
        };
        let line = window.get(start..line_feed).unwrap_or(b"");
        self.line = read_request_line(line, start)?;
        self.copy_up_to(line_feed + 1, window);
        self.progress.next_line(Stage::Fields, line_feed + 1);
        Ok(Parsed::Done { value: (), used: line_feed + 1 })
    }

    fn parse_fields(&mut self, input: &[u8], limits: &Limits) -> Result<Parsed<()>, Refusal> {
        let limit = self.head_limit(limits);
        let window = input.get(..limit).unwrap_or(input);
        loop {
            // A line that was cut before is not read again until its end has come.
            let was_cut = self.progress.searched > self.progress.line_start;
            let read = if was_cut && self.find_line_feed(window).is_none() {
                Ok(FieldLine::Cut)
            } else {
                read_field_line(window, self.progress.line_start)
            };
            match read {
                Ok(FieldLine::Field { field, end }) => {
                    self.note_field(field, window, limits)?;
                    self.progress.next_line(Stage::Fields, end);
                }
                Ok(FieldLine::Blank { end }) => {
                    self.complete(window, end, limits)?;
                    self.progress.next_line(Stage::Complete, end);
                    return Ok(Parsed::Done { value: (), used: end });
                }
                Err(refusal) if self.find_line_feed(window).is_some() => {
                    let is_one_too_many = self.fields.len() >= limits.fields;
                    return Err(if is_one_too_many { Refusal::TooManyFields } else { refusal });
                }
                Ok(FieldLine::Cut) | Err(_) if window.len() == limit => {
                    return Err(Refusal::HeadTooLarge);
                }
                Ok(FieldLine::Cut) | Err(_) => {
                    self.progress.searched = window.len();
                    return Ok(Parsed::NeedMore);
                }
            }
        }
    }

    #[inline]
    fn note_field(&mut self, field: Field, window: &[u8], limits: &Limits) -> Result<(), Refusal> {
        if self.fields.len() >= limits.fields {
            return Err(Refusal::TooManyFields);
        }
        self.fields.push(field);
        self.facts.note(field.name.of(window), field.value.of(window), field.value)
    }

    /// Where the head must have ended, as an offset into the input.
    fn head_limit(&self, limits: &Limits) -> usize {
        self.progress.head_start.saturating_add(limits.head_bytes).min(u32::MAX as usize)
    }

    /// Finds the end of the line that begins at `line_start`; what was searched once is not searched again.
    fn find_line_feed(&mut self, window: &[u8]) -> Option<usize> {
        let from = self.progress.searched.max(self.progress.line_start);
        let found = memchr::memchr(b'\n', window.get(from..).unwrap_or(b""));
        self.progress.searched = found.map_or(window.len(), |offset| from + offset);
        found.map(|offset| from + offset)
    }

    /// Decides what only a complete head can tell, and takes a copy of its bytes. `end`: where it ends in the input.
    fn complete(&mut self, input: &[u8], end: usize, limits: &Limits) -> Result<(), Refusal> {
        let version = self.line.version;
        self.framing = body_framing(self.facts.framing, version, limits)?;
        match (self.facts.host, version) {
            (None, Version::Http11) => return Err(Refusal::HostMissing),
            (None, Version::Http10) => {}
            // An empty Host is what a client sends that has no authority to name (RFC 9112 section 3.2).
            (Some(host), Version::Http10 | Version::Http11) => {
                if !host.is_empty() && !is_host_and_port(host.of(input)) {
                    return Err(Refusal::HostInvalid);
                }
            }
        }
        let asks_for_continue = self.facts.expects_continue(version)?;
        self.expects_continue = asks_for_continue && self.framing != BodyFraming::None;
        self.copy_up_to(end, input);
        Ok(())
    }

    /// Makes `bytes` the first `end` bytes of the input; what is copied already stays.
    fn copy_up_to(&mut self, end: usize, input: &[u8]) {
        let missing = input.get(self.bytes.len()..end);
        self.bytes.extend_from_slice(missing.unwrap_or(b""));
    }

    /// The method, as sent: methods are case-sensitive.
    pub fn method(&self) -> &[u8] {
        self.line.method.of(&self.bytes)
    }

    /// The request target as received, in any of its forms.
    pub fn target(&self) -> &[u8] {
        self.line.target.of(&self.bytes)
    }

    /// The path, still percent-encoded; "*" for the server as a whole, "/" when an absolute target has none.
    pub fn path(&self) -> &[u8] {
        match self.line.path.of(&self.bytes) {
            [] if !self.bytes.is_empty() => b"/",
            path => path,
        }
    }

    /// The query without its "?", as received; empty when there is none.
    pub fn query(&self) -> &[u8] {
        self.line.query.of(&self.bytes)
    }

    /// The version the peer speaks.
    pub fn version(&self) -> Version {
        self.line.version
    }

    /// The authority that is asked for: an absolute target's, else Host's, which may be empty.
    pub fn host(&self) -> Option<&[u8]> {
        let authority = self.line.authority;
        let host = if authority.is_empty() { self.facts.host } else { Some(authority) };
        host.filter(|_| self.is_complete()).map(|span| span.of(&self.bytes))
    }

    /// Names as sent and values without the whitespace around them, in the order received.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let count = self.field_count();
        let of = |field: &Field| (field.name.of(&self.bytes), field.value.of(&self.bytes));
        self.fields.iter().take(count).map(of)
    }

    /// How many fields there are.
    pub fn field_count(&self) -> usize {
        if self.is_complete() { self.fields.len() } else { 0 }
    }

    /// How the end of the body is known.
    pub fn framing(&self) -> BodyFraming {
        self.framing
    }

    /// True when the peer would send another request on this connection (RFC 9112 section 9.3).
    pub fn wants_keep_alive(&self) -> bool {
        self.facts.wants_keep_alive(self.line.version)
    }

    /// True when the peer may be waiting for 100 before it sends the body that it announced (RFC 9110 section 10.1.1).
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// True for HEAD: the answer has no body.
    pub fn is_head(&self) -> bool {
        self.method() == b"HEAD"
    }

    /// True when any byte of a request was seen: a tolerated CRLF alone is none.
    pub fn has_started(&self) -> bool {
        self.progress.has_started
    }

    /// True when `parse` has answered `Done`.
    pub fn is_complete(&self) -> bool {
        self.progress.stage == Stage::Complete
    }
}
