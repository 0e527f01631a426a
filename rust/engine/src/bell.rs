//! A descriptor that becomes readable when it is rung, for whoever waits in Python: an eventfd on Linux, a pipe elsewhere.

pub use system::Bell;

#[cfg(target_os = "linux")]
mod system {
    use rustix::event::{EventfdFlags, eventfd};
    use rustix::fd::OwnedFd;
    use rustix::io;
    use std::os::fd::{AsRawFd, RawFd};

    /// Rung by one thread, waited for by another.
    pub struct Bell(OwnedFd);

    impl Bell {
        pub fn new() -> io::Result<Bell> {
            Ok(Bell(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
        }

        /// To wait for; stays ours.
        pub fn descriptor(&self) -> RawFd {
            self.0.as_raw_fd()
        }

        pub fn ring(&self) {
            // Full only after 2^64 rings that nobody heard; it is readable then too.
            let _ = io::write(&self.0, &1u64.to_ne_bytes());
        }

        /// Not readable until it is rung again.
        pub fn silence(&self) {
            let _ = io::read(&self.0, &mut [0u8; 8]);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use rustix::fd::OwnedFd;
    use rustix::io;
    use std::os::fd::{AsRawFd, RawFd};

    /// Rung by one thread, waited for by another.
    pub struct Bell {
        reader: OwnedFd,
        writer: OwnedFd,
    }

    impl Bell {
        pub fn new() -> io::Result<Bell> {
            let (reader, writer) = rustix::pipe::pipe()?;
            for end in [&reader, &writer] {
                io::fcntl_setfd(end, io::FdFlags::CLOEXEC)?;
                io::ioctl_fionbio(end, true)?;
            }
            Ok(Bell { reader, writer })
        }

        /// To wait for; stays ours.
        pub fn descriptor(&self) -> RawFd {
            self.reader.as_raw_fd()
        }

        pub fn ring(&self) {
            // A full pipe is readable, which is all that is wanted.
            let _ = io::write(&self.writer, &[0]);
        }

        /// Not readable until it is rung again.
        pub fn silence(&self) {
            let mut forgotten = [0u8; 512];
            while io::read(&self.reader, &mut forgotten).is_ok_and(|bytes| bytes == forgotten.len()) {}
        }
    }
}
