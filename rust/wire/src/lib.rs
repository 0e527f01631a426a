//! HTTP/1.1 as values - bytes in; value, need more, or refusal out (RFC 9110, RFC 9112).
//!
//! Steps 3 and 6 of the six steps. No sockets, clock, threads, Python or `unsafe`: the engine owns those, and this
//! crate cannot even name them, as it is built without the standard library. However a peer cuts its bytes, the
//! result is the same.
//!
//! Reading: [`Head`] (3a) -> [`BodyFraming`] (3b) -> [`BodyDecoder`] (3c), or a [`Refusal`].
//! Writing: [`ResponseHead`] -> [`ResponseFraming`] -> bytes (6a), or a [`ResponseFault`].
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

mod body;
mod chunk;
mod date;
mod error;
mod exchange;
mod fields;
mod framing;
mod grammar;
mod head;
mod host;
mod limits;
mod request_line;
mod response;
mod response_fault;
mod span;
mod status;

pub use body::BodyDecoder;
pub use date::{civil_date, format_imf_fixdate};
pub use error::{Parsed, Refusal};
pub use exchange::{BodySize, Persistence, RequestFacts, ResponseFraming, persistence};
pub use framing::BodyFraming;
pub use head::Head;
pub use limits::Limits;
pub use request_line::Version;
pub use response::{CONTINUE, CommonFields, LAST_CHUNK, ResponseHead, write_chunk_head, write_refusal};
pub use response_fault::ResponseFault;
pub use status::reason_phrase;
