//! File descriptors that Python hands over as numbers. One of the few places with `unsafe`, allowed by docs/adr/0007.

use rustix::fd::{BorrowedFd, OwnedFd, RawFd};
use std::io;

/// A duplicate that the engine owns; the number stays the caller's to close.
pub fn duplicate(descriptor: RawFd) -> io::Result<OwnedFd> {
    if descriptor < 0 {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: borrowed for this call only, and the number is not -1. Should the caller's number not be open, the
    // system call below fails with EBADF; no memory depends on it.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    Ok(rustix::io::fcntl_dupfd_cloexec(borrowed, 3)?)
}
