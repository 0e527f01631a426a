//! Step 4 of 6 - a body too large to wait for, read from the socket by the application thread that wants it.
//!
//! What nobody reads stays in the kernel: the peer feels it, and no memory is spent.

use crate::clock::now_ms;
use crate::connection::{BodyFault, BodyStream, Connection, Patience, Phase, Serving, State};
use crate::draining::READ_AWAY_BYTES;
use crate::shared::Shared;
use crate::transport::Received;
use barkeep_wire::CONTINUE;

/// One receive for a chunked body.
const PIECE_BYTES: usize = 16 * 1024;

/// What one attempt gave.
enum Attempt {
    Bytes(usize),
    End,
    MustWait,
}

impl Connection {
    /// Appends at least one and at most `room` decoded bytes to `out`; none at the end of the body. Waits for the
    /// peer: called without the GIL.
    pub fn read_body(
        &self,
        shared: &Shared,
        exchange: u32,
        room: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, BodyFault> {
        loop {
            let mut guard = self.lock();
            if guard.serving(exchange).is_none() {
                // The answer was finished, or the exchange given up; what comes now belongs to others.
                return Err(BodyFault::Gone);
            }
            let attempt = self.try_read(&mut guard, shared, room, out);
            if let Some(serving) = guard.serving(exchange) {
                self.count_wait(serving, matches!(attempt, Ok(Attempt::MustWait)));
            }
            match attempt {
                Ok(Attempt::Bytes(bytes)) => return Ok(bytes),
                Ok(Attempt::End) => return Ok(0),
                Ok(Attempt::MustWait) => {
                    guard.waiters.announce();
                    drop(guard);
                    std::thread::park();
                }
                Err(fault) => {
                    if let Phase::Serving(Serving { stream: Some(stream), .. }) = &mut guard.phase {
                        stream.fault = Some(fault);
                    }
                    return Err(fault);
                }
            }
        }
    }

    /// The application's time stands still while it waits for its client.
    fn count_wait(&self, serving: &mut Serving, must_wait: bool) {
        if must_wait {
            if serving.left_ms.is_none() {
                serving.left_ms = self.application.pause(now_ms(), serving.timeout_ms);
            }
        } else if let Some(left_ms) = serving.left_ms.take() {
            self.application.start(now_ms(), left_ms.get());
        }
    }

    fn try_read(
        &self,
        state: &mut State,
        shared: &Shared,
        room: usize,
        out: &mut Vec<u8>,
    ) -> Result<Attempt, BodyFault> {
        self.send_continue(state, shared);
        let State { phase, inbox, transport, has_unread, progress, .. } = &mut *state;
        let Phase::Serving(Serving { stream: Some(stream), .. }) = phase else { return Ok(Attempt::End) };
        if stream.decoder.is_done() {
            return Ok(Attempt::End);
        }
        let before = out.len();
        decode_inbox(stream, inbox, shared, room, out)?;
        while out.len() == before && !stream.decoder.is_done() {
            if let Some(fault) = stream.fault {
                return Err(fault);
            }
            let Some(transport) = transport else { return Err(BodyFault::Gone) };
            let length_left = stream.decoder.length_left();
            let piece_bytes =
                length_left.map_or(PIECE_BYTES, |left| room.min(usize::try_from(left).unwrap_or(room)));
            inbox.resize(piece_bytes, 0);
            let received = transport.receive(inbox).map_err(|_| BodyFault::Gone)?;
            inbox.truncate(if let Received::Bytes(bytes) = received { bytes } else { 0 });
            match received {
                Received::Bytes(bytes) => {
                    let body_ms = shared.allowances.body_ms;
                    let is_earned = progress.earns(bytes as u64, shared.allowances.floor_bytes(body_ms));
                    self.end_wait(&mut stream.patience, is_earned.then_some(body_ms));
                    decode_inbox(stream, inbox, shared, room, out)?;
                }
                Received::End => return Err(BodyFault::CutShort),
                Received::NotYet => {
                    *has_unread = false;
                    self.begin_wait(&mut stream.patience);
                    self.register(state, shared);
                    return Ok(Attempt::MustWait);
                }
            }
        }
        let bytes = out.len() - before;
        stream.bytes_read += bytes as u64;
        Ok(if bytes > 0 { Attempt::Bytes(bytes) } else { Attempt::End })
    }

    fn begin_wait(&self, patience: &mut Patience) {
        if patience.waits_since_ms.is_none() {
            let now_ms = now_ms();
            patience.waits_since_ms = Some(now_ms);
            self.deadline.set(now_ms, patience.left_ms);
        }
    }

    /// renewed_ms: enough has come to begin anew.
    fn end_wait(&self, patience: &mut Patience, renewed_ms: Option<u64>) {
        if let Some(since_ms) = patience.waits_since_ms.take() {
            patience.left_ms = patience.left_ms.saturating_sub(now_ms().saturating_sub(since_ms));
            self.deadline.clear();
        }
        patience.left_ms = renewed_ms.unwrap_or(patience.left_ms);
    }

    /// The application reads: now the peer may send (RFC 9110 section 10.1.1).
    fn send_continue(&self, state: &mut State, shared: &Shared) {
        if let Phase::Serving(Serving { stream: Some(stream), given, .. }) = &mut state.phase
            && !given.is_something()
            && std::mem::take(&mut stream.is_continue_due)
        {
            state.outbox.add(CONTINUE);
            self.flush(state, shared, now_ms());
        }
    }

    /// Whether the exchange is still the connection's: it was neither finished nor given up.
    pub fn has_exchange(&self, exchange: u32) -> bool {
        self.lock().serving(exchange).is_some()
    }

    /// Decoded bytes of a streamed body that were read so far.
    pub fn body_bytes_read(&self) -> u64 {
        match &self.lock().phase {
            Phase::Serving(Serving { stream: Some(stream), .. }) => stream.bytes_read,
            _ => 0,
        }
    }

    /// Whether an answer may say that the connection stays open though the body was not read: the rest is little.
    pub fn may_read_away(&self) -> bool {
        match &self.lock().phase {
            Phase::Serving(Serving { stream: Some(stream), .. }) => {
                let is_clean = stream.fault.is_none() && !stream.is_continue_due;
                is_clean && stream.decoder.length_left().is_none_or(|left| left <= READ_AWAY_BYTES)
            }
            _ => true,
        }
    }

    /// Why the body could not be read, if it could not.
    pub fn body_fault(&self) -> Option<BodyFault> {
        match &self.lock().phase {
            Phase::Serving(Serving { stream: Some(stream), .. }) => stream.fault,
            _ => None,
        }
    }
}

fn decode_inbox(
    stream: &mut BodyStream,
    inbox: &mut Vec<u8>,
    shared: &Shared,
    room: usize,
    out: &mut Vec<u8>,
) -> Result<(), BodyFault> {
    if inbox.is_empty() {
        return Ok(());
    }
    let used = stream.decoder.decode(inbox, room, out, &shared.limits).map_err(BodyFault::Refused)?;
    inbox.drain(..used);
    if inbox.is_empty() {
        *inbox = Vec::new();
    }
    Ok(())
}
