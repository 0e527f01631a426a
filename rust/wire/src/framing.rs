//! Step 3b of 6 - how the end of a request body is known: decided here and nowhere else (RFC 9112 section 6.3).

use crate::error::Refusal;
use crate::grammar::{TOKEN, decimal, list_elements};
use crate::limits::Limits;
use crate::request_line::Version;

/// How the end of a request body is known. "Until close" is not among them: a request cannot end so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyFraming {
    /// No body follows the head.
    #[default]
    None,
    /// Exactly so many bytes follow; more than none.
    Length {
        /// Bytes of body.
        bytes: u64,
    },
    /// Chunks follow, then a trailer section.
    Chunked,
}

#[derive(Clone, Copy, Debug, Default)]
enum DeclaredLength {
    #[default]
    Absent,
    Bytes(u64),
    /// A number that 64 bits cannot hold, so above any limit.
    Beyond,
}

#[derive(Clone, Copy, Debug, Default)]
enum Coding {
    #[default]
    Absent,
    Chunked,
    /// At least one coding that is not chunked, with or without chunked after it.
    Unknown,
}

/// What the fields of a head say about its body.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FramingFacts {
    length: DeclaredLength,
    coding: Coding,
}

impl FramingFacts {
    /// Notes one Content-Length field. A list or a second field is refused even when all numbers are equal: which
    /// one a proxy before us took cannot be known.
    pub(crate) fn note_content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        match self.length {
            DeclaredLength::Absent => {}
            DeclaredLength::Bytes(_) | DeclaredLength::Beyond => {
                return Err(Refusal::ContentLengthRepeated);
            }
        }
        self.length = match decimal(value) {
            Some(bytes) => DeclaredLength::Bytes(bytes),
            None if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => DeclaredLength::Beyond,
            None if value.contains(&b',') => return Err(Refusal::ContentLengthRepeated),
            None => return Err(Refusal::ContentLengthInvalid),
        };
        Ok(())
    }

    /// Notes one Transfer-Encoding field; several are one list (RFC 9110 section 5.3).
    pub(crate) fn note_transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        for coding in list_elements(value) {
            if coding.is_empty() || !TOKEN.contains_all(coding) {
                return Err(Refusal::TransferEncodingMalformed);
            }
            let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
            self.coding = match self.coding {
                Coding::Absent if is_chunked => Coding::Chunked,
                Coding::Chunked if is_chunked => return Err(Refusal::ChunkedRepeated),
                Coding::Chunked => return Err(Refusal::ChunkedNotLast),
                Coding::Absent | Coding::Unknown => Coding::Unknown,
            };
        }
        Ok(())
    }
}

/// How many bytes of body follow this head. Source: RFC 9112 section 6.3, rules 3 to 7.
///
/// Errors: both ways to frame at once, a coding on HTTP/1.0, a coding we do not have, a length above the limit.
pub(crate) fn body_framing(
    facts: FramingFacts,
    version: Version,
    limits: &Limits,
) -> Result<BodyFraming, Refusal> {
    match (facts.coding, facts.length) {
        (Coding::Absent, DeclaredLength::Absent | DeclaredLength::Bytes(0)) => Ok(BodyFraming::None),
        (Coding::Absent, DeclaredLength::Bytes(bytes)) if bytes <= limits.body_bytes => {
            Ok(BodyFraming::Length { bytes })
        }
        (Coding::Absent, DeclaredLength::Bytes(_) | DeclaredLength::Beyond) => Err(Refusal::BodyTooLarge),
        (Coding::Chunked | Coding::Unknown, DeclaredLength::Bytes(_) | DeclaredLength::Beyond) => {
            Err(Refusal::ContentLengthWithTransferEncoding)
        }
        (Coding::Chunked | Coding::Unknown, DeclaredLength::Absent) if version == Version::Http10 => {
            Err(Refusal::TransferEncodingOnHttp10)
        }
        (Coding::Unknown, DeclaredLength::Absent) => Err(Refusal::TransferCodingUnknown),
        (Coding::Chunked, DeclaredLength::Absent) => Ok(BodyFraming::Chunked),
    }
}
