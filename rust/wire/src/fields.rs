//! Step 3 of 6 - one field line, and what the reader itself must know of the fields (RFC 9112 section 5).

use crate::error::Refusal;
use crate::framing::FramingFacts;
use crate::grammar::{TOKEN, field_content_length, list_elements, trim_end, trim_start};
use crate::request_line::Version;
use crate::span::{Field, Span};

/// What stands at the beginning of a line.
pub(crate) enum FieldLine {
    /// A field; `end` is where the next line begins.
    Field { field: Field, end: usize },
    /// The empty line that ends the section; `end` is what follows it.
    Blank { end: usize },
    /// The bytes end before the line does; none of them is LF.
    Cut,
}

/// Reads the field line that begins at `start`.
///
/// A refusal may come before the line is complete; who wants the same refusal however the bytes are cut waits for LF.
#[inline]
pub(crate) fn read_field_line(bytes: &[u8], start: usize) -> Result<FieldLine, Refusal> {
    let line = bytes.get(start..).unwrap_or(b"");
    let name_bytes = TOKEN.run_length(line);
    let (name, after_name) = line.split_at_checked(name_bytes).unwrap_or((line, b""));
    let after_colon = match after_name {
        [b':', rest @ ..] if !name.is_empty() => rest,
        [b'\r', b'\n', ..] if name.is_empty() => return Ok(FieldLine::Blank { end: start + 2 }),
        [] | [b'\r'] => return Ok(FieldLine::Cut),
        _ => return Err(name_fault(name, after_name)),
    };
    let content = trim_start(after_colon);
    let content_bytes = field_content_length(content);
    let (value, after_value) = content.split_at_checked(content_bytes).unwrap_or((content, b""));
    match after_value {
        [b'\r', b'\n', ..] => {}
        [] | [b'\r'] => return Ok(FieldLine::Cut),
        [b'\r', ..] => return Err(Refusal::BareCr),
        [b'\n', ..] => return Err(Refusal::BareLf),
        _ => return Err(Refusal::FieldValueInvalid),
    }
    let value_start = start + (line.len() - content.len());
    let field =
        Field { name: Span::at(start, name_bytes), value: Span::at(value_start, trim_end(value).len()) };
    Ok(FieldLine::Field { field, end: value_start + content_bytes + 2 })
}

/// `after_name`: what stands where ":" should; not empty.
fn name_fault(name: &[u8], after_name: &[u8]) -> Refusal {
    match after_name {
        [b' ' | b'\t', ..] if name.is_empty() => Refusal::FoldedLine,
        [b':', ..] if name.is_empty() => Refusal::FieldNameEmpty,
        [b' ' | b'\t', rest @ ..] => match trim_start(rest) {
            [b':', ..] => Refusal::SpaceBeforeColon,
            _ => Refusal::FieldNameInvalid,
        },
        [b'\r', b'\n', ..] => Refusal::FieldWithoutColon,
        [b'\r', ..] => Refusal::BareCr,
        [b'\n', ..] => Refusal::BareLf,
        _ => Refusal::FieldNameInvalid,
    }
}

/// What the Connection fields ask for. Only these two options concern an origin server (RFC 9112 section 9.3).
#[derive(Clone, Copy, Debug, Default)]
struct ConnectionOptions {
    close: bool,
    keep_alive: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expectation {
    #[default]
    Absent,
    Continue,
    Unknown,
}

/// Facts noted while the fields are read, so that nothing is searched for a second time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FieldFacts {
    pub(crate) framing: FramingFacts,
    pub(crate) host: Option<Span>,
    connection: ConnectionOptions,
    expectation: Expectation,
}

impl FieldFacts {
    /// Notes one field of the head. The length of the name picks the only candidate.
    #[inline]
    pub(crate) fn note(&mut self, name: &[u8], value: &[u8], value_at: Span) -> Result<(), Refusal> {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.note_host(value_at),
            6 if name.eq_ignore_ascii_case(b"expect") => {
                self.note_expect(value);
                Ok(())
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.note_connection(value);
                Ok(())
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.framing.note_content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.framing.note_transfer_encoding(value)
            }
            _ => Ok(()),
        }
    }

    fn note_host(&mut self, value_at: Span) -> Result<(), Refusal> {
        match self.host.replace(value_at) {
            None => Ok(()),
            Some(_) => Err(Refusal::HostRepeated),
        }
    }

    fn note_connection(&mut self, value: &[u8]) {
        for option in list_elements(value) {
            self.connection.close |= option.eq_ignore_ascii_case(b"close");
            self.connection.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn note_expect(&mut self, value: &[u8]) {
        for expectation in list_elements(value).filter(|element| !element.is_empty()) {
            let is_continue = expectation.eq_ignore_ascii_case(b"100-continue");
            self.expectation = match self.expectation {
                Expectation::Absent | Expectation::Continue if is_continue => Expectation::Continue,
                Expectation::Absent | Expectation::Continue | Expectation::Unknown => Expectation::Unknown,
            };
        }
    }

    /// True when the peer would use this connection again (RFC 9112 section 9.3): "close" wins over all.
    pub(crate) fn wants_keep_alive(&self, version: Version) -> bool {
        match version {
            Version::Http11 => !self.connection.close,
            Version::Http10 => self.connection.keep_alive && !self.connection.close,
        }
    }

    /// True when the peer waits for 100. On HTTP/1.0 the field is ignored (RFC 9110 section 10.1.1).
    pub(crate) fn expects_continue(&self, version: Version) -> Result<bool, Refusal> {
        match (version, self.expectation) {
            (Version::Http10, Expectation::Absent | Expectation::Continue | Expectation::Unknown) => {
                Ok(false)
            }
            (Version::Http11, Expectation::Absent) => Ok(false),
            (Version::Http11, Expectation::Continue) => Ok(true),
            (Version::Http11, Expectation::Unknown) => Err(Refusal::ExpectationUnknown),
        }
    }
}
