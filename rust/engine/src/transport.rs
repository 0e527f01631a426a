//! Step 2 of 6 - the bytes of one client socket. Plain today; the seam where TLS will sit.
//!
//! Every call is non-blocking. Whoever holds the connection's lock may call; the socket closes when dropped.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{self, Errno};
use rustix::net::{self, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};
use std::io::IoSlice;
use std::time::Duration;

/// One client socket.
pub enum Transport {
    /// Bytes go over the socket as they are.
    Plain(OwnedFd),
}

/// What came of one attempt to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing there now; an event tells when there is.
    NotYet,
    /// The peer has finished its side.
    End,
}

/// No SIGPIPE where a flag can say so; elsewhere the listener's sockets carry SO_NOSIGPIPE.
#[cfg(not(target_vendor = "apple"))]
const SEND: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
const SEND: SendFlags = SendFlags::empty();

impl Transport {
    /// Receives into `buffer`, at most its length.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Received, Errno> {
        let Transport::Plain(fd) = self;
        told(io::retry_on_intr(|| {
            net::recv(fd, &mut *buffer, RecvFlags::empty()).map(|(_, received)| received)
        }))
    }

    /// Receives into the spare capacity of `buffer`, of which there must be some.
    pub fn receive_more(&self, buffer: &mut Vec<u8>) -> Result<Received, Errno> {
        let Transport::Plain(fd) = self;
        told(io::retry_on_intr(|| {
            let room = rustix::buffer::spare_capacity(buffer);
            net::recv(fd, room, RecvFlags::empty()).map(|(_, received)| received)
        }))
    }

    /// Whether bytes have arrived that were not received yet.
    pub fn has_unread(&self) -> bool {
        let Transport::Plain(fd) = self;
        io::ioctl_fionread(fd).is_ok_and(|bytes| bytes > 0)
    }

    /// Sends what the socket takes; None when it takes nothing now.
    pub fn send(&self, bytes: &[u8], more_follows: bool) -> Result<Option<usize>, Errno> {
        let Transport::Plain(fd) = self;
        taken(io::retry_on_intr(|| net::send(fd, bytes, send_flags(more_follows))))
    }

    /// As `send`, for two pieces in one call.
    pub fn send_two(&self, first: &[u8], second: &[u8]) -> Result<Option<usize>, Errno> {
        let Transport::Plain(fd) = self;
        let pieces = [IoSlice::new(first), IoSlice::new(second)];
        taken(io::retry_on_intr(|| net::sendmsg(fd, &pieces, &mut SendAncillaryBuffer::default(), SEND)))
    }

    /// Sends a piece of a file without copying it through this process. `Some(0)` means that the file has ended.
    #[cfg(target_os = "linux")]
    pub fn send_file(&self, file: &OwnedFd, offset: u64, bytes: usize) -> Result<Option<usize>, Errno> {
        let Transport::Plain(fd) = self;
        let mut offset = offset;
        taken(rustix::fs::sendfile(fd, file, Some(&mut offset), bytes))
    }

    /// Where there is no such call with this meaning, a piece of the file is read and sent.
    #[cfg(not(target_os = "linux"))]
    pub fn send_file(&self, file: &OwnedFd, offset: u64, bytes: usize) -> Result<Option<usize>, Errno> {
        let mut piece = vec![0u8; bytes.min(64 * 1024)];
        let read = io::pread(file, &mut piece[..], offset)?;
        match piece.get(..read) {
            Some([]) | None => Ok(Some(0)),
            Some(bytes) => self.send(bytes, false),
        }
    }

    /// Tells the peer that nothing more will come.
    pub fn finish(&self) {
        let Transport::Plain(fd) = self;
        // A peer that is gone already needs no telling.
        let _ = net::shutdown(fd, Shutdown::Write);
    }

    /// Closes so that the peer sees a reset: an answer that was cut may never look complete.
    pub fn abort(self) {
        let Transport::Plain(fd) = self;
        let _ = net::sockopt::set_socket_linger(&fd, Some(Duration::ZERO));
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let Transport::Plain(fd) = self;
        fd.as_fd()
    }
}

fn send_flags(more_follows: bool) -> SendFlags {
    #[cfg(target_os = "linux")]
    if more_follows {
        return SEND | SendFlags::MORE;
    }
    let _ = more_follows;
    SEND
}

fn told(received: io::Result<usize>) -> Result<Received, Errno> {
    match received {
        Ok(0) => Ok(Received::End),
        Ok(bytes) => Ok(Received::Bytes(bytes)),
        Err(Errno::AGAIN) => Ok(Received::NotYet),
        Err(error) => Err(error),
    }
}

fn taken(sent: io::Result<usize>) -> Result<Option<usize>, Errno> {
    match sent {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Errno::AGAIN) => Ok(None),
        Err(error) => Err(error),
    }
}
