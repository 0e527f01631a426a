//! Step 2 of 6 - where a connection stands, and what belongs to each phase; `connection` has the drawing.

use crate::bodies::WholeBody;
use crate::exchange::{Given, Run, Times};
use barkeep_wire::{BodyDecoder, Head, Refusal};
use std::num::NonZeroU32;
use std::sync::Arc;

/// Where the connection stands.
pub enum Phase {
    Idle,
    Head(HeadUnderWay),
    Body(Box<BodyUnderWay>),
    Serving(Serving),
    /// The answer was given and the rest of its request is read away, so that the next one can be found.
    Draining(Box<Leftover>),
    /// The last answer is on its way out; `linger`: the peer may still be sending.
    Leaving {
        linger: bool,
    },
    /// The answer is out and our side shut; what still comes is read and forgotten, so much at most.
    Lingering {
        bytes_left: usize,
    },
    Closed,
}

/// A request that is queued, or with an application thread.
pub struct Serving {
    /// Counts the exchanges of the connection: an input that outlives its exchange must not read the next one's body.
    pub number: u32,
    /// Shared with the exchange, to tell which request is unfinished.
    pub head: Arc<Head>,
    pub times: Times,
    /// How long the application may take; 0: for ever.
    pub timeout_ms: u32,
    /// What is left of that, while the application waits for its client.
    pub left_ms: Option<NonZeroU32>,
    /// None: it is queued.
    pub run: Option<Run>,
    /// Bytes of the answer were given: nothing else may be sent before its end.
    pub given: Given,
    /// Its access-log line is written: the server stopped before the application had finished.
    pub is_logged: bool,
    /// The part of the body that the application reads itself.
    pub stream: Option<Box<BodyStream>>,
}

/// A head that is not complete.
pub struct HeadUnderWay {
    pub head: Arc<Head>,
    pub first_byte_ns: u64,
}

/// A body that is received whole before an application thread is spent on it.
pub struct BodyUnderWay {
    pub head: Arc<Head>,
    pub decoder: BodyDecoder,
    pub body: WholeBody,
    pub first_byte_ns: u64,
}

/// A body that the application reads from the socket itself.
pub struct BodyStream {
    pub decoder: BodyDecoder,
    /// `100 Continue` is owed at the first read.
    pub is_continue_due: bool,
    /// Why no more of it can be read.
    pub fault: Option<BodyFault>,
    /// Decoded bytes that have gone to the application.
    pub bytes_read: u64,
    pub patience: Patience,
}

/// How long the application may still wait for the peer. Only its waiting counts, not its work between two reads.
pub struct Patience {
    pub left_ms: u64,
    pub waits_since_ms: Option<u64>,
}

/// Why a request body cannot be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// The peer broke the framing.
    Refused(Refusal),
    /// The peer closed before the end.
    CutShort,
    /// The peer was too slow.
    TooSlow,
    /// The connection failed, or the server stops.
    Gone,
}

/// What is still to be read away of an answered request.
pub struct Leftover {
    pub decoder: BodyDecoder,
    /// Bytes that reading away may still cost.
    pub bytes_left: u64,
}
