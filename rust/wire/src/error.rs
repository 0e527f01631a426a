//! Step 3 of 6 - why a request is refused: one variant, one status and one sentence per reason (RFC 9110 section 15).

/// What a reader answers when it was not refused. Needing more bytes is a result, never an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<T> {
    /// Complete: the value, and how many bytes of the input it took.
    Done {
        /// What was read.
        value: T,
        /// Bytes of the input that belong to it.
        used: usize,
    },
    /// Correct so far; call again with the same bytes and more.
    NeedMore,
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $variant:ident => $status:literal, $reason:literal;)*) => {
        /// Why a request is refused. The peer is to blame; the connection closes after the answer.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Refusal {
            $(#[doc = $reason] $variant,)*
        }

        impl Refusal {
            /// Every reason there is, in the order of reading.
            pub const ALL: &'static [Refusal] = &[$(Refusal::$variant,)*];

            /// The status of the answer.
            pub const fn status(self) -> u16 {
                match self { $(Refusal::$variant => $status,)* }
            }

            /// One sentence for the log, with the rule that was broken.
            pub const fn reason(self) -> &'static str {
                match self { $(Refusal::$variant => $reason,)* }
            }
        }
    };
}

refusals! {
    RequestLineTooLong => 414, "request line longer than the limit (RFC 9112 3)";
    RequestLineMalformed => 400, "request line is not method, target and version with single spaces (RFC 9112 3)";
    BareLf => 400, "line ends in LF without CR (RFC 9112 2.2)";
    BareCr => 400, "CR without LF (RFC 9112 2.2)";
    MethodInvalid => 400, "byte not allowed in a method (RFC 9110 9.1)";
    MethodTooLong => 501, "method longer than any known one (RFC 9112 3)";
    ConnectUnsupported => 501, "CONNECT is for proxies, this is an origin server (RFC 9110 9.3.6)";
    VersionMalformed => 400, "version is not HTTP/digit.digit (RFC 9112 2.3)";
    VersionUnsupported => 505, "version is neither HTTP/1.0 nor HTTP/1.1 (RFC 9110 15.6.6)";
    TargetByteInvalid => 400, "byte not allowed in a request target (RFC 9112 3.2)";
    TargetFormInvalid => 400, "request target is not in a form this method may have (RFC 9112 3.2)";
    TargetEscapeInvalid => 400, "\"%\" without two hexadecimal digits in the path (RFC 3986 2.1)";
    TargetSchemeUnknown => 400, "absolute target is neither http nor https (RFC 9110 4.2)";
    TargetAuthorityInvalid => 400, "authority of an absolute target is not host or host:port (RFC 9110 4.2)";
    HeadTooLarge => 431, "head larger than the limit (RFC 6585 5)";
    TooManyFields => 431, "more header fields than the limit (RFC 6585 5)";
    FoldedLine => 400, "field line begins with whitespace (RFC 9112 5.2)";
    SpaceBeforeColon => 400, "space before \":\" in a header field (RFC 9112 5.1)";
    FieldNameEmpty => 400, "field line without a name (RFC 9110 5.1)";
    FieldNameInvalid => 400, "byte not allowed in a field name (RFC 9110 5.1)";
    FieldWithoutColon => 400, "field line without \":\" (RFC 9112 5)";
    FieldValueInvalid => 400, "control byte in a field value (RFC 9110 5.5)";
    HostMissing => 400, "HTTP/1.1 request without Host (RFC 9112 3.2)";
    HostRepeated => 400, "more than one Host (RFC 9112 3.2)";
    HostInvalid => 400, "Host is not host or host:port (RFC 9110 7.2)";
    ContentLengthInvalid => 400, "Content-Length is not a decimal number (RFC 9112 6.3)";
    ContentLengthRepeated => 400, "Content-Length given more than once (RFC 9112 6.3)";
    ContentLengthWithTransferEncoding => 400, "both Content-Length and Transfer-Encoding (RFC 9112 6.3)";
    TransferEncodingMalformed => 400, "Transfer-Encoding is not a list of codings (RFC 9112 6.1)";
    TransferEncodingOnHttp10 => 400, "Transfer-Encoding on HTTP/1.0 (RFC 9112 6.1)";
    TransferCodingUnknown => 501, "transfer coding other than chunked (RFC 9112 6.1)";
    ChunkedRepeated => 400, "chunked applied more than once (RFC 9112 7.1)";
    ChunkedNotLast => 400, "chunked is not the last transfer coding (RFC 9112 6.3)";
    ExpectationUnknown => 417, "expectation other than 100-continue (RFC 9110 10.1.1)";
    BodyTooLarge => 413, "body larger than the limit (RFC 9110 15.5.14)";
    ChunkLineTooLong => 400, "chunk-size line longer than the limit (RFC 9112 7.1.1)";
    ChunkSizeInvalid => 400, "chunk size is not 1 to 16 hexadecimal digits (RFC 9112 7.1)";
    ChunkExtensionInvalid => 400, "chunk extension is not name or name=value (RFC 9112 7.1.1)";
    ChunkLinesOutweighData => 400, "chunk extensions far larger than the data (RFC 9112 7.1.1)";
    ChunkTerminatorInvalid => 400, "chunk data not followed by CRLF (RFC 9112 7.1)";
    TrailersTooLarge => 431, "trailer section larger than the limit (RFC 6585 5)";
    TooManyTrailers => 431, "more trailer fields than the limit (RFC 6585 5)";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_client_or_server_status_and_names_its_rule() {
        for refusal in Refusal::ALL {
            assert!(matches!(refusal.status(), 400 | 413 | 414 | 417 | 431 | 501 | 505), "{refusal:?}");
            assert!(refusal.reason().contains("(RFC "), "{refusal:?}");
            assert_ne!(crate::reason_phrase(refusal.status()), "Unknown", "{refusal:?}");
        }
    }
}
