//! Step 6 of 6 - the body of an answer on its way: joined with the head when short, from where it lies when large, in
//! pieces when it is more than a connection may hold.

use crate::answer::Stage;
use crate::answering::{Gone, Part};
use crate::exchange::Given;
use crate::lock;
use crate::python_errors::{application_error, client_gone};
use crate::response_writer::{JOINED_BYTES, PyExchange};
use barkeep_wire::{BodySize, Persistence, ResponseFraming};
use pyo3::prelude::*;

/// Larger answers are handed to the outbox in pieces, so that its high-water mark means something.
const PIECE_BYTES: usize = 256 * 1024;

/// Above this, sending head and body as two pieces in one call is cheaper than joining them first.
const COPIED_BYTES: usize = 4 * 1024;

impl PyExchange {
    pub fn write_bytes(&self, py: Python<'_>, bytes: &[u8], out: &mut Vec<u8>) -> PyResult<()> {
        out.clear();
        let (bytes, is_first, is_chunked, is_last, keep_alive) = {
            let mut answer = lock(&self.answer);
            let is_first = !answer.stage.is_after_head();
            if is_first {
                self.begin_body(&mut answer, BodySize::Unknown, out)?;
            } else if answer.stage == Stage::Finished {
                return Err(application_error("write() was called after the answer was finished"));
            }
            let (taken, cut) = answer.take_bytes(bytes.len() as u64);
            self.tell_cut(cut);
            let taken = usize::try_from(taken).unwrap_or(bytes.len());
            if answer.stage == Stage::Sent {
                return Ok(());
            }
            // A body that is still read from the socket belongs to this exchange: then the connection stays too.
            let is_last = answer.is_whole() && !self.is_streamed;
            if is_last && taken <= JOINED_BYTES {
                answer.stage = Stage::Sent;
            }
            let is_chunked = answer.framing == ResponseFraming::Chunked;
            (bytes.get(..taken).unwrap_or(bytes), is_first, is_chunked, is_last, answer.keep_alive)
        };
        if is_last && bytes.len() <= JOINED_BYTES {
            out.extend_from_slice(bytes);
            self.complete(out, &[], keep_alive, None);
            return Ok(());
        } else if is_last {
            return self.send_large(py, &[bytes], bytes.len(), keep_alive, out, Stage::Sent);
        }
        if is_chunked && !bytes.is_empty() {
            barkeep_wire::write_chunk_head(out, bytes.len());
        }
        let end: &[u8] = if is_chunked { b"\r\n" } else { b"" };
        if bytes.len() <= JOINED_BYTES {
            out.extend_from_slice(bytes);
            out.extend_from_slice(if bytes.is_empty() { b"" } else { end });
            self.deliver(py, out, &[], is_first)
        } else {
            let (first, rest) = bytes.split_at_checked(PIECE_BYTES).unwrap_or((bytes, &[]));
            self.deliver(py, out, first, is_first)?;
            for piece in rest.chunks(PIECE_BYTES) {
                self.deliver(py, piece, &[], false)?;
            }
            self.deliver(py, end, &[], false)
        }
    }

    /// Gives bytes to the connection, and waits while its outbox is too full.
    fn deliver(&self, py: Python<'_>, bytes: &[u8], more: &[u8], is_first: bool) -> PyResult<()> {
        if bytes.is_empty() && more.is_empty() {
            return Ok(());
        }
        let (connection, shared) = (&*self.connection, &*self.shared);
        let given = {
            let answer = lock(&self.answer);
            Given { status: answer.sent_status(), body_bytes: answer.bytes_sent }
        };
        let part = Part { exchange: self.number, is_first, given };
        let sent = if more.len() > JOINED_BYTES || bytes.len() > 2 * JOINED_BYTES {
            py.detach(|| connection.write(shared, bytes, more, part))
        } else {
            connection.write(shared, bytes, more, part)
        };
        let sent = match sent {
            Ok(()) if connection.is_congested(shared) => {
                py.detach(|| connection.wait_for_room(shared, self.number))
            }
            other => other,
        };
        sent.map_err(|Gone| client_gone())
    }

    pub fn send_known(&self, py: Python<'_>, chunks: &[&[u8]], out: &mut Vec<u8>) -> PyResult<()> {
        let body_bytes = chunks.iter().map(|bytes| bytes.len()).sum::<usize>();
        let (mut bytes_left, keep_alive) = {
            let mut answer = lock(&self.answer);
            let persistence = self.begin_body(&mut answer, BodySize::Known(body_bytes as u64), out)?;
            let (taken, cut) = answer.take_bytes(body_bytes as u64);
            self.tell_cut(cut);
            if answer.is_short() {
                return Err(self.short(&mut answer));
            }
            let taken = usize::try_from(taken).unwrap_or(body_bytes);
            if taken <= JOINED_BYTES {
                answer.stage = Stage::Finished;
            }
            (taken, persistence != Persistence::Close)
        };
        if bytes_left > JOINED_BYTES {
            return self.send_large(py, chunks, bytes_left, keep_alive, out, Stage::Finished);
        }
        if let [only] = chunks
            && bytes_left > COPIED_BYTES
        {
            self.complete(out, only.get(..bytes_left).unwrap_or(only), keep_alive, None);
            return Ok(());
        }
        for bytes in chunks {
            let taken = bytes.get(..bytes_left).unwrap_or(bytes);
            out.extend_from_slice(taken);
            bytes_left -= taken.len();
        }
        self.complete(out, &[], keep_alive, None);
        Ok(())
    }

    /// A body too large to join: the socket takes it from where it lies, and only what it does not take is copied.
    fn send_large(
        &self,
        py: Python<'_>,
        chunks: &[&[u8]],
        mut bytes_left: usize,
        keep_alive: bool,
        out: &[u8],
        then: Stage,
    ) -> PyResult<()> {
        let mut before: &[u8] = out;
        let mut is_first = !out.is_empty();
        for bytes in chunks {
            let taken = bytes.get(..bytes_left).unwrap_or(bytes);
            bytes_left -= taken.len();
            if bytes_left == 0 && taken.len() <= self.shared.options.response_buffer {
                lock(&self.answer).stage = then;
                py.detach(|| self.complete(before, taken, keep_alive, None));
                return Ok(());
            }
            for piece in taken.chunks(PIECE_BYTES) {
                self.deliver(py, std::mem::take(&mut before), piece, is_first)?;
                is_first = false;
            }
        }
        lock(&self.answer).stage = then;
        self.complete(before, &[], keep_alive, None);
        Ok(())
    }
}
