//! Memory that several processes see, as words that are only touched atomically. One of the few places with `unsafe`,
//! allowed by docs/adr/0007.

use rustix::fd::OwnedFd;
use rustix::fs::fstat;
use rustix::io::{self, Errno};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;

/// A mapping, read and written as long as this lives.
pub struct SharedMemory {
    base: NonNull<c_void>,
    bytes: usize,
}

// SAFETY: the pointer is to memory of the whole process, and all access to it is atomic.
unsafe impl Send for SharedMemory {}
// SAFETY: as above.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// The whole of a file, shared with all who map it. It must not become shorter while it is mapped: its maker seals
    /// it (`scoreboard.py`), else a touch beyond the end would end the process.
    pub fn of_file(file: &OwnedFd) -> io::Result<SharedMemory> {
        let bytes = usize::try_from(fstat(file)?.st_size).map_err(|_| Errno::INVAL)?;
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: the kernel chooses an address where nothing is; what others write there is read as atomics only.
        let base = unsafe { mmap(ptr::null_mut(), bytes, access, flags, file, 0)? };
        SharedMemory::at(base, bytes)
    }

    /// Of this process alone, zeroed; pages that are not touched take no memory.
    pub fn anonymous(bytes: usize) -> io::Result<SharedMemory> {
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: the kernel chooses an address where nothing is.
        let base = unsafe { mmap_anonymous(ptr::null_mut(), bytes, access, flags)? };
        SharedMemory::at(base, bytes)
    }

    fn at(base: *mut c_void, bytes: usize) -> io::Result<SharedMemory> {
        let base = NonNull::new(base).ok_or(Errno::NOMEM)?;
        Ok(SharedMemory { base, bytes })
    }

    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping begins at a page, is so long, is not ended before self is, and any bits are a u64. Other
        // processes write to it, which is what an atomic allows.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().cast::<AtomicU64>(), self.bytes / 8) }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: mapped by us with this length, and no slice of it outlives self.
        let _ = unsafe { munmap(self.base.as_ptr(), self.bytes) };
    }
}
