//! One request on its way to the application: what crosses the hand-over, by move.

use crate::bodies::WholeBody;
use crate::connection::Connection;
use barkeep_wire::Head;
use std::num::NonZeroU32;
use std::sync::Arc;

/// One request whose head is complete, and whose body is too unless it is streamed.
pub struct Exchange {
    pub connection: Arc<Connection>,
    /// Which exchange of its connection.
    pub number: u32,
    pub head: Arc<Head>,
    pub body: Body,
    pub times: Times,
    /// How long it may wait for a thread, and then how long the application may take; 0: for ever.
    pub timeout_ms: u32,
}

/// The body as the application will find it behind `wsgi.input`.
pub enum Body {
    /// The request has none.
    Empty,
    /// All of it, decoded.
    Whole(WholeBody),
    /// Its beginning, decoded; the rest is still with the connection.
    Streamed(Vec<u8>),
}

/// Moments in the life of an exchange, in monotonic nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Its first byte had been received.
    pub first_byte_ns: u64,
    /// It was ready for the application.
    pub ready_ns: u64,
    /// An application thread took it; 0: none did.
    pub taken_ns: u64,
}

/// An exchange with an application thread.
pub struct Run {
    pub thread_number: NonZeroU32,
    pub thread_ident: u64,
    /// Of the thread's exchanges (runner.rs).
    pub serial: u64,
    /// Of a body that was received whole.
    pub body_bytes: u64,
}

/// What has been given of an answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given {
    /// 0: nothing yet.
    pub status: u16,
    /// Of its body, without framing.
    pub body_bytes: u64,
}

impl Given {
    pub fn is_something(self) -> bool {
        self.status != 0
    }
}
