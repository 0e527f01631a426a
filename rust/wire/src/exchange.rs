//! Step 6a of 6 - how an answer ends and whether the connection lives on (RFC 9110 section 6.4.1, RFC 9112 sections 6.3, 9.3).
//!
//! Both are decided here and nowhere else, from values: what was asked, what the application gave.

use crate::request_line::Version;

/// What the framing of an answer must know of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestFacts {
    /// The method is HEAD.
    pub is_head: bool,
    /// The version the peer speaks.
    pub version: Version,
}

/// What is known of the body's size when the head of the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodySize {
    /// All of it is at hand: so many bytes.
    Known(u64),
    /// It is still being made.
    Unknown,
}

/// How the peer knows where the answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFraming {
    /// The status allows neither a body nor a length: 204.
    NoBody,
    /// No body, but the length that one would have may be told: HEAD and 304.
    HeadOnly {
        /// The Content-Length to tell, if any.
        content_length: Option<u64>,
    },
    /// Exactly so many bytes of body.
    Length {
        /// Bytes of body; the engine cuts what is more and aborts when there are fewer.
        bytes: u64,
    },
    /// Chunks and a last chunk.
    Chunked,
    /// All until the connection closes: HTTP/1.0 has no other way for a body of unknown size.
    Close,
}

impl ResponseFraming {
    /// True when body bytes of the application go to the peer.
    pub fn has_body(self) -> bool {
        match self {
            ResponseFraming::NoBody | ResponseFraming::HeadOnly { .. } => false,
            ResponseFraming::Length { .. } | ResponseFraming::Chunked | ResponseFraming::Close => true,
        }
    }

    /// Decides the framing of an answer. Sources: RFC 9110 sections 8.6, 9.3.2, 15.3.5, 15.3.6 and 15.4.5; RFC 9112
    /// section 6.
    ///
    /// `declared`: the application's Content-Length, which stays even when the size is known to differ: the engine
    /// then cuts or aborts, so that the fault is seen where it was made.
    pub(crate) fn decide(
        status: u16,
        declared: Option<u64>,
        request: RequestFacts,
        body: BodySize,
    ) -> ResponseFraming {
        match (status, declared, body) {
            (204, _, _) => ResponseFraming::NoBody,
            // The length of a 304 is that of the 200 it stands for; the body at hand is not it.
            (304, content_length, _) => ResponseFraming::HeadOnly { content_length },
            // 205 tells a form to clear itself and may have no content; a length of zero says so on every version.
            (205, _, _) => ResponseFraming::Length { bytes: 0 },
            (_, Some(bytes), _) if request.is_head => {
                ResponseFraming::HeadOnly { content_length: Some(bytes) }
            }
            // An empty body on HEAD may be one the application left out, so it tells nothing about GET's.
            (_, None, BodySize::Known(0) | BodySize::Unknown) if request.is_head => {
                ResponseFraming::HeadOnly { content_length: None }
            }
            (_, None, BodySize::Known(bytes)) if request.is_head => {
                ResponseFraming::HeadOnly { content_length: Some(bytes) }
            }
            (_, Some(bytes), _) | (_, None, BodySize::Known(bytes)) => ResponseFraming::Length { bytes },
            (_, None, BodySize::Unknown) => match request.version {
                Version::Http11 => ResponseFraming::Chunked,
                Version::Http10 => ResponseFraming::Close,
            },
        }
    }
}

/// Whether the connection lives on after this answer, in the words the peer's version needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// HTTP/1.1 lives on unless told: no field.
    KeepAlive11,
    /// HTTP/1.0 closes unless told: `Connection: keep-alive`.
    KeepAlive10,
    /// `Connection: close`.
    Close,
}

/// Decides whether the connection lives on (RFC 9112 section 9.3).
///
/// `wants_keep_alive`: the peer's wish, `Head::wants_keep_alive`. `may_reuse`: the server's own: false while draining,
/// and when the request's body will not be read to its end.
pub fn persistence(
    request: RequestFacts,
    framing: ResponseFraming,
    wants_keep_alive: bool,
    may_reuse: bool,
) -> Persistence {
    match (framing, request.version) {
        (ResponseFraming::Close, Version::Http10 | Version::Http11) => Persistence::Close,
        _ if !(wants_keep_alive && may_reuse) => Persistence::Close,
        (_, Version::Http11) => Persistence::KeepAlive11,
        (_, Version::Http10) => Persistence::KeepAlive10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use BodySize::{Known, Unknown};
    use ResponseFraming::{Chunked, Close, HeadOnly, Length, NoBody};

    const GET: RequestFacts = RequestFacts { is_head: false, version: Version::Http11 };
    const HEAD: RequestFacts = RequestFacts { is_head: true, version: Version::Http11 };
    const GET10: RequestFacts = RequestFacts { is_head: false, version: Version::Http10 };

    #[test]
    fn a_body_of_unknown_size_is_chunked_or_ends_with_the_connection() {
        assert_eq!(ResponseFraming::decide(200, None, GET, Unknown), Chunked);
        assert_eq!(ResponseFraming::decide(200, None, GET10, Unknown), Close);
    }

    #[test]
    fn the_length_the_application_declared_wins_over_the_size_at_hand() {
        assert_eq!(ResponseFraming::decide(200, None, GET, Known(5)), Length { bytes: 5 });
        assert_eq!(ResponseFraming::decide(200, Some(7), GET, Known(5)), Length { bytes: 7 });
        assert_eq!(ResponseFraming::decide(200, Some(7), GET10, Unknown), Length { bytes: 7 });
    }

    #[test]
    fn an_answer_to_head_has_no_body_and_tells_only_a_length_that_get_would_have() {
        assert_eq!(
            ResponseFraming::decide(200, Some(7), HEAD, Known(0)),
            HeadOnly { content_length: Some(7) }
        );
        assert_eq!(ResponseFraming::decide(200, None, HEAD, Known(5)), HeadOnly { content_length: Some(5) });
        assert_eq!(ResponseFraming::decide(200, None, HEAD, Known(0)), HeadOnly { content_length: None });
        assert_eq!(ResponseFraming::decide(200, None, HEAD, Unknown), HeadOnly { content_length: None });
    }

    #[test]
    fn statuses_without_a_body_have_none_whatever_the_application_gave() {
        for request in [GET, HEAD, GET10] {
            assert_eq!(ResponseFraming::decide(204, Some(7), request, Known(7)), NoBody);
            assert_eq!(
                ResponseFraming::decide(304, None, request, Known(7)),
                HeadOnly { content_length: None }
            );
            assert_eq!(
                ResponseFraming::decide(304, Some(7), request, Unknown),
                HeadOnly { content_length: Some(7) }
            );
            assert_eq!(ResponseFraming::decide(205, Some(7), request, Known(7)), Length { bytes: 0 });
        }
    }

    #[test]
    fn a_connection_lives_on_when_both_sides_wish_it_and_the_end_can_be_seen() {
        let length = Length { bytes: 1 };
        assert_eq!(persistence(GET, length, true, true), Persistence::KeepAlive11);
        assert_eq!(persistence(GET10, length, true, true), Persistence::KeepAlive10);
        assert_eq!(persistence(GET10, Close, true, true), Persistence::Close);
        assert_eq!(persistence(GET, length, false, true), Persistence::Close);
        assert_eq!(persistence(GET, Chunked, true, false), Persistence::Close);
    }
}
