//! Step 3 of 6 - how much a peer may send before it is refused: every bound of the reader, its unit and its reason.

/// Bounds on one request. A request within them all is read; one beyond any of them is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Request line, in bytes, its CRLF included; longer is 414.
    pub request_line_bytes: usize,
    /// Field lines in a head; more is 431.
    pub fields: usize,
    /// Whole head, in bytes: request line, field lines and the empty line; longer is 431.
    pub head_bytes: usize,
    /// Body content, in bytes after decoding; more is 413, before reading it when the length is declared.
    pub body_bytes: u64,
    /// One chunk-size line with its extensions, in bytes, its CRLF included; longer is 400.
    pub chunk_line_bytes: usize,
    /// Trailer section, in bytes, the last empty line included; longer is 431.
    pub trailer_bytes: usize,
    /// Field lines in a trailer section; more is 431.
    pub trailer_fields: usize,
}

impl Limits {
    /// Longest method that is read, in bytes; longer is 501, as RFC 9112 section 3 advises.
    /// The longest registered one is UPDATEREDIRECTREF, 17 bytes.
    pub const METHOD_BYTES: usize = 64;

    /// Most hexadecimal digits of a chunk size: as many as 64 bits hold, so that no sum can overflow unseen.
    pub const CHUNK_SIZE_DIGITS: usize = 16;

    /// Chunk-line bytes that data need not pay for, in one body; more is 400 (RFC 9112 section 7.1.1 asks for a bound
    /// on the sum). Each chunk pays for 16 bytes of its line and for two per byte of data, so that honest senders never
    /// come near, and one who sends a byte behind 250 bytes of extension is stopped after 70 chunks. Go's choice too.
    pub const UNPAID_CHUNK_LINE_BYTES: u64 = 16 * 1024;
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            // RFC 9112 section 3 asks for at least 8000. Others: Apache 8190, nginx 8 KiB, gunicorn 4094.
            request_line_bytes: 8 * 1024,
            // A browser sends about 20, a chain of proxies adds about 10. Others: gunicorn 100, Apache 100.
            fields: 100,
            // Memory per connection before any check of who it is. Others: h11 16 KiB, waitress 256 KiB.
            head_bytes: 64 * 1024,
            // A disk filled by one request. Others: waitress 1 GiB, Apache 1 GiB.
            body_bytes: 1024 * 1024 * 1024,
            // 16 digits and an extension that signs the chunk (aws-chunked uses about 90 bytes); each byte above
            // that makes a one-byte chunk a cheaper way to burn our time.
            chunk_line_bytes: 256,
            // Checksums and signatures, read only to be checked and dropped.
            trailer_bytes: 8 * 1024,
            // As the bytes above: a handful is usual.
            trailer_fields: 32,
        }
    }
}
