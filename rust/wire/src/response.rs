//! Step 6a of 6 - the head of an answer, checked as it is given and written in one piece (RFC 9112 sections 4 and 5, PEP 3333).

use alloc::vec::Vec;

use crate::exchange::{BodySize, Persistence, RequestFacts, ResponseFraming};
use crate::grammar::{TOKEN, decimal, field_content_length, trim};
use crate::response_fault::ResponseFault;
use crate::status::reason_phrase;

/// The interim answer that tells a waiting peer to send its body (RFC 9110 section 15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// Ends a chunked body (RFC 9112 section 7.1); without it the peer sees that the answer was cut.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What every answer says unless the application says it.
#[derive(Clone, Copy, Debug)]
pub struct CommonFields<'a> {
    /// The time now, from `format_imf_fixdate`.
    pub date: &'a [u8; 29],
    /// The Server field; empty for none. The operator's, so it is trusted to be a field value.
    pub server: &'a [u8],
}

/// The head of one answer. Reusable: `clear` keeps its memory for the next one.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// 0 until a status is set.
    status: u16,
    /// "HTTP/1.1 200 OK\r\n".
    status_line: Vec<u8>,
    /// All fields but Content-Length, as they go out: "Name: value\r\n" each.
    fields: Vec<u8>,
    content_length: Option<u64>,
    has_date: bool,
    has_server: bool,
    has_content_type: bool,
}

impl ResponseHead {
    /// An empty head; allocates nothing until it is filled.
    pub fn new() -> ResponseHead {
        ResponseHead::default()
    }

    /// Forgets the answer, keeps the memory.
    pub fn clear(&mut self) {
        self.status = 0;
        self.status_line.clear();
        self.fields.clear();
        self.content_length = None;
        self.has_date = false;
        self.has_server = false;
        self.has_content_type = false;
    }

    /// Takes a status as PEP 3333 has it: "200 OK", "404 " or "404".
    ///
    /// The last status set counts. The reason goes out as given; RFC 9112 section 4 lets it be empty.
    pub fn set_status(&mut self, status: &[u8]) -> Result<(), ResponseFault> {
        let (code, reason) = match status {
            [hundreds, tens, ones] => (status_code([*hundreds, *tens, *ones]), &b""[..]),
            [hundreds, tens, ones, b' ', reason @ ..] => (status_code([*hundreds, *tens, *ones]), reason),
            _ => (None, &b""[..]),
        };
        let Some(code) = code else {
            return Err(ResponseFault::StatusMalformed { found: status.to_vec() });
        };
        if code < 200 {
            return Err(ResponseFault::StatusInterim { code });
        }
        if field_content_length(reason) != reason.len() {
            return Err(ResponseFault::StatusReasonInvalid { found: status.to_vec() });
        }
        self.status = code;
        self.status_line.clear();
        self.status_line.extend_from_slice(b"HTTP/1.1 ");
        self.status_line.extend_from_slice(status.get(..3).unwrap_or(status));
        self.status_line.push(b' ');
        self.status_line.extend_from_slice(reason);
        self.status_line.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Takes one field, in the order it is to go out; whitespace around the value is dropped.
    pub fn add_field(&mut self, name: &[u8], value: &[u8]) -> Result<(), ResponseFault> {
        if name.is_empty() || !TOKEN.contains_all(name) {
            return Err(ResponseFault::FieldNameInvalid { name: name.to_vec() });
        }
        let content = field_content_length(value);
        if let Some(byte) = value.get(content) {
            return Err(value_fault(name, *byte));
        }
        let value = trim(value);
        if self.note_field(name, value)? == Placement::AsGiven {
            self.fields.extend_from_slice(name);
            self.fields.extend_from_slice(b": ");
            self.fields.extend_from_slice(value);
            self.fields.extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    /// Notes the fields that concern the server. The length of the name picks the candidates.
    ///
    /// Hop-by-hop: the list of `wsgiref.util.is_hop_by_hop`, which PEP 3333 forbids to applications.
    #[inline]
    fn note_field(&mut self, name: &[u8], value: &[u8]) -> Result<Placement, ResponseFault> {
        let is = |known: &[u8]| name == known || name.eq_ignore_ascii_case(known);
        let is_hop_by_hop = match name.len() {
            2 => is(b"te"),
            4 => {
                self.has_date |= is(b"date");
                false
            }
            6 => {
                self.has_server |= is(b"server");
                false
            }
            7 => is(b"upgrade"),
            8 => is(b"trailers"),
            10 => is(b"connection") || is(b"keep-alive"),
            12 => {
                self.has_content_type |= is(b"Content-Type");
                false
            }
            14 if is(b"Content-Length") => {
                self.note_content_length(value)?;
                return Ok(Placement::WithFraming);
            }
            17 => is(b"transfer-encoding"),
            18 => is(b"proxy-authenticate"),
            19 => is(b"proxy-authorization"),
            _ => false,
        };
        if is_hop_by_hop {
            Err(ResponseFault::HopByHop { name: name.to_vec() })
        } else {
            Ok(Placement::AsGiven)
        }
    }

    fn note_content_length(&mut self, value: &[u8]) -> Result<(), ResponseFault> {
        let Some(bytes) = decimal(value) else {
            return Err(ResponseFault::ContentLengthInvalid { found: value.to_vec() });
        };
        match self.content_length.replace(bytes) {
            None => Ok(()),
            Some(_) => Err(ResponseFault::ContentLengthRepeated),
        }
    }

    /// The status code; 0 before one is set.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The Content-Length that the application gave.
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// True when the application gave a Content-Type.
    pub fn has_content_type(&self) -> bool {
        self.has_content_type
    }

    /// True when a status is set.
    pub fn is_set(&self) -> bool {
        self.status != 0
    }

    /// How the peer will know the end of this answer: the single place where that is decided.
    pub fn frame(&self, request: RequestFacts, body: BodySize) -> ResponseFraming {
        ResponseFraming::decide(self.status, self.content_length, request, body)
    }

    /// Appends the complete head, the empty line included, to `out`. Needs a status.
    ///
    /// Date and Server are added unless the application gave them. A body until close always says so.
    pub fn write_to(
        &self,
        out: &mut Vec<u8>,
        framing: &ResponseFraming,
        persistence: Persistence,
        common: &CommonFields<'_>,
    ) {
        // The server's own fields are at most 37 + 24 + 40 bytes and its name.
        out.reserve(self.status_line.len() + self.fields.len() + common.server.len() + 128);
        out.extend_from_slice(&self.status_line);
        out.extend_from_slice(&self.fields);
        if !self.has_server && !common.server.is_empty() {
            write_field(out, b"Server: ", common.server);
        }
        if !self.has_date {
            write_field(out, b"Date: ", common.date);
        }
        write_framing(out, framing);
        write_persistence(out, framing, persistence);
        out.extend_from_slice(b"\r\n");
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placement {
    /// Goes out where the application put it.
    AsGiven,
    /// Written by `write_framing`, if the framing has a place for it.
    WithFraming,
}

fn status_code(digits: [u8; 3]) -> Option<u16> {
    decimal(&digits).and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 100)
}

fn value_fault(name: &[u8], byte: u8) -> ResponseFault {
    match byte {
        b'\r' | b'\n' => ResponseFault::FieldValueLineBreak { name: name.to_vec() },
        _ => ResponseFault::FieldValueControl { name: name.to_vec(), byte },
    }
}

fn write_field(out: &mut Vec<u8>, name_and_colon: &[u8], value: &[u8]) {
    out.extend_from_slice(name_and_colon);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn write_framing(out: &mut Vec<u8>, framing: &ResponseFraming) {
    match framing {
        ResponseFraming::Length { bytes } | ResponseFraming::HeadOnly { content_length: Some(bytes) } => {
            write_field(out, b"Content-Length: ", itoa::Buffer::new().format(*bytes).as_bytes());
        }
        ResponseFraming::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        ResponseFraming::NoBody
        | ResponseFraming::HeadOnly { content_length: None }
        | ResponseFraming::Close => {}
    }
}

/// A body that only the close ends must not be followed by anything, whatever else was wished.
fn write_persistence(out: &mut Vec<u8>, framing: &ResponseFraming, persistence: Persistence) {
    match (framing, persistence) {
        (ResponseFraming::Close, _) | (_, Persistence::Close) => {
            out.extend_from_slice(b"Connection: close\r\n")
        }
        (_, Persistence::KeepAlive10) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        (_, Persistence::KeepAlive11) => {}
    }
}

/// Appends the line before a chunk of `bytes` bytes. The chunk and CRLF follow it. Not for an empty chunk: that would
/// end the body.
pub fn write_chunk_head(out: &mut Vec<u8>, bytes: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit_count = (usize::BITS - bytes.leading_zeros()).div_ceil(4).max(1);
    for position in (0..digit_count).rev() {
        let digit = (bytes >> (4 * position)) & 0xf;
        out.push(DIGITS.get(digit).copied().unwrap_or(b'0'));
    }
    out.extend_from_slice(b"\r\n");
}

/// Seconds after which a client that was shed may come back (RFC 9110 section 10.2.3): a queue lasts no longer.
const RETRY_AFTER_S: &[u8] = b"1";

/// Appends a complete answer made by the server itself: the status as plain text, and the connection closes.
///
/// For refusals, 408, 500, 503 and 504. 503 asks the client to come back after `RETRY_AFTER_S`. `is_head`: the body is left out, its length is told.
pub fn write_refusal(out: &mut Vec<u8>, status: u16, is_head: bool, common: &CommonFields<'_>) {
    let reason = reason_phrase(status).as_bytes();
    let mut number = itoa::Buffer::new();
    let code = number.format(status).as_bytes();
    let body_bytes = code.len() + 1 + reason.len() + 1;
    out.reserve(160 + 2 * body_bytes + common.server.len());
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(code);
    out.push(b' ');
    write_field(out, reason, b"");
    if !common.server.is_empty() {
        write_field(out, b"Server: ", common.server);
    }
    write_field(out, b"Date: ", common.date);
    out.extend_from_slice(b"Content-Type: text/plain; charset=utf-8\r\n");
    if status == 503 {
        write_field(out, b"Retry-After: ", RETRY_AFTER_S);
    }
    write_framing(out, &ResponseFraming::Length { bytes: body_bytes as u64 });
    out.extend_from_slice(b"Connection: close\r\n\r\n");
    if !is_head {
        out.extend_from_slice(code);
        out.push(b' ');
        out.extend_from_slice(reason);
        out.push(b'\n');
    }
}
