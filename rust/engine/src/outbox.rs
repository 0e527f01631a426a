//! Step 6 of 6 - what a connection still has to send: bytes and pieces of files, in order.

use crate::transport::Transport;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::collections::VecDeque;

/// Bytes below this are joined to the piece before them; larger ones keep their own buffer.
const JOIN_BELOW_BYTES: usize = 16 * 1024;

/// The largest buffer that pieces are joined into: one or two sends empty it.
const JOINED_BYTES: usize = 128 * 1024;

/// What one sendfile asks for at most, so that one connection does not keep the I/O thread for long.
const FILE_PIECE_BYTES: u64 = 1024 * 1024;

/// What one flush sends at most before other connections have their turn.
const TURN_BYTES: u64 = 4 * 1024 * 1024;

/// A file's bytes, from an offset; the descriptor is the outbox's own and closes with it.
pub struct FilePiece {
    pub file: OwnedFd,
    pub offset: u64,
    pub bytes_left: u64,
}

enum Piece {
    Bytes { buffer: Vec<u8>, sent: usize },
    File(FilePiece),
}

/// How a flush ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Nothing is left to send.
    All,
    /// The socket takes no more now; an event tells when it does.
    Blocked,
    /// Others are due; the socket may take more, so come back.
    Paused,
}

/// Why nothing more can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendFailure {
    /// The peer has gone.
    Gone(Errno),
    /// A file became shorter than was promised.
    FileEnded,
}

/// Pieces waiting to be sent. Bounded by whoever adds: a producer waits above the high-water mark.
#[derive(Default)]
pub struct Outbox {
    pieces: VecDeque<Piece>,
    /// Bytes held in memory; pieces of files count nothing.
    memory_bytes: usize,
}

impl Outbox {
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Adds bytes at the end.
    pub fn add(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.memory_bytes += bytes.len();
        if let Some(Piece::Bytes { buffer, .. }) = self.pieces.back_mut()
            && bytes.len() < JOIN_BELOW_BYTES
            && buffer.len() + bytes.len() <= JOINED_BYTES
        {
            buffer.extend_from_slice(bytes);
            return;
        }
        self.pieces.push_back(Piece::Bytes { buffer: bytes.to_vec(), sent: 0 });
    }

    pub fn add_file(&mut self, piece: FilePiece) {
        if piece.bytes_left > 0 {
            self.pieces.push_back(Piece::File(piece));
        }
    }

    /// Forgets everything: the connection has failed.
    pub fn clear(&mut self) {
        self.pieces = VecDeque::new();
        self.memory_bytes = 0;
    }

    /// Sends until the socket takes no more. Returns the bytes that moved beside how it ended.
    pub fn flush(&mut self, transport: &Transport) -> (u64, Result<Flushed, SendFailure>) {
        let mut moved = 0u64;
        while moved < TURN_BYTES {
            let more_follows = self.pieces.len() > 1;
            let Some(piece) = self.pieces.front_mut() else {
                // No buffer stays with an idle connection.
                self.pieces = VecDeque::new();
                return (moved, Ok(Flushed::All));
            };
            match send_piece(piece, transport, more_follows) {
                Ok(Some(0)) => return (moved, Err(SendFailure::FileEnded)),
                Ok(Some(bytes)) => moved += self.account(bytes),
                Ok(None) => return (moved, Ok(Flushed::Blocked)),
                Err(error) => return (moved, Err(SendFailure::Gone(error))),
            }
        }
        (moved, Ok(if self.pieces.is_empty() { Flushed::All } else { Flushed::Paused }))
    }

    /// Takes what was sent off the first piece, and the piece off the outbox when it is done.
    fn account(&mut self, bytes: usize) -> u64 {
        let is_done = match self.pieces.front_mut() {
            Some(Piece::Bytes { buffer, sent }) => {
                *sent += bytes;
                self.memory_bytes = self.memory_bytes.saturating_sub(bytes);
                *sent >= buffer.len()
            }
            Some(Piece::File(piece)) => {
                piece.offset += bytes as u64;
                piece.bytes_left = piece.bytes_left.saturating_sub(bytes as u64);
                piece.bytes_left == 0
            }
            None => false,
        };
        if is_done {
            self.pieces.pop_front();
        }
        bytes as u64
    }
}

fn send_piece(piece: &Piece, transport: &Transport, more_follows: bool) -> Result<Option<usize>, Errno> {
    match piece {
        Piece::Bytes { buffer, sent } => {
            transport.send(buffer.get(*sent..).unwrap_or_default(), more_follows)
        }
        Piece::File(piece) => {
            let bytes = piece.bytes_left.min(FILE_PIECE_BYTES);
            transport.send_file(&piece.file, piece.offset, usize::try_from(bytes).unwrap_or(usize::MAX))
        }
    }
}
