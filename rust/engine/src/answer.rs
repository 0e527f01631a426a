//! Step 6 of 6 - how far one answer has come, and how many bytes it still may have.

use barkeep_wire::{ResponseFraming, ResponseHead};

/// How far an answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// start_response was not called.
    NoHead,
    /// Status and fields are there and can still be replaced.
    HeadSet,
    /// The head is on its way.
    Body,
    /// Every byte that Content-Length promised is on its way, and the connection has moved on, though the application
    /// has not finished: what it still gives is cut.
    Sent,
    /// Nothing more is accepted.
    Finished,
}

impl Stage {
    pub fn is_after_head(self) -> bool {
        matches!(self, Stage::Body | Stage::Sent | Stage::Finished)
    }
}

/// Bytes beyond Content-Length are cut, and the first time is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Nothing,
    First { bytes: u64 },
    Again,
}

/// The state of one answer.
pub struct Answer {
    pub response: ResponseHead,
    pub stage: Stage,
    pub framing: ResponseFraming,
    pub keep_alive: bool,
    /// The status that was sent when it was not the application's; else 0.
    pub status: u16,
    /// Bytes of the body, without framing.
    pub bytes_sent: u64,
    is_cut: bool,
}

impl Answer {
    pub fn new() -> Answer {
        Answer {
            response: ResponseHead::new(),
            stage: Stage::NoHead,
            framing: ResponseFraming::NoBody,
            keep_alive: false,
            status: 0,
            bytes_sent: 0,
            is_cut: false,
        }
    }

    /// The status on its way to the client.
    pub fn sent_status(&self) -> u16 {
        if self.status == 0 { self.response.status() } else { self.status }
    }

    pub fn begin(&mut self, framing: ResponseFraming, keep_alive: bool) {
        self.stage = Stage::Body;
        self.framing = framing;
        self.keep_alive = keep_alive;
    }

    /// How many of these bytes go to the client.
    pub fn take_bytes(&mut self, bytes: u64) -> (u64, Cut) {
        let taken = match self.framing {
            ResponseFraming::NoBody | ResponseFraming::HeadOnly { .. } => return (0, Cut::Nothing),
            ResponseFraming::Length { .. } => bytes.min(self.bytes_missing()),
            ResponseFraming::Chunked | ResponseFraming::Close => bytes,
        };
        self.bytes_sent += taken;
        if taken == bytes {
            return (taken, Cut::Nothing);
        }
        let cut = if self.is_cut { Cut::Again } else { Cut::First { bytes: bytes - taken } };
        self.is_cut = true;
        (taken, cut)
    }

    /// Bytes that Content-Length promises and that were not given yet.
    pub fn bytes_missing(&self) -> u64 {
        match self.framing {
            ResponseFraming::Length { bytes } => bytes.saturating_sub(self.bytes_sent),
            ResponseFraming::NoBody
            | ResponseFraming::HeadOnly { .. }
            | ResponseFraming::Chunked
            | ResponseFraming::Close => 0,
        }
    }

    /// Whether the peer has all that it can get, whatever the application still gives.
    pub fn is_whole(&self) -> bool {
        match self.framing {
            ResponseFraming::Length { .. } => self.bytes_missing() == 0,
            ResponseFraming::NoBody | ResponseFraming::HeadOnly { .. } => true,
            ResponseFraming::Chunked | ResponseFraming::Close => false,
        }
    }

    /// No more bytes come, and there are fewer than promised.
    pub fn is_short(&self) -> bool {
        self.bytes_missing() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_beyond_the_length_are_cut_and_told_once() {
        let mut answer = Answer::new();
        answer.begin(ResponseFraming::Length { bytes: 5 }, true);
        assert_eq!(answer.take_bytes(3), (3, Cut::Nothing));
        assert!(answer.is_short());
        assert_eq!(answer.take_bytes(4), (2, Cut::First { bytes: 2 }));
        assert_eq!(answer.take_bytes(4), (0, Cut::Again));
        assert!(!answer.is_short());
    }

    #[test]
    fn an_answer_without_body_takes_no_bytes_and_is_never_short() {
        let mut answer = Answer::new();
        answer.begin(ResponseFraming::HeadOnly { content_length: Some(7) }, true);
        assert_eq!(answer.take_bytes(7), (0, Cut::Nothing));
        assert!(!answer.is_short());
    }
}
