//! Readiness of sockets, edge-triggered: epoll on Linux, kqueue elsewhere. The only file that knows which.
//!
//! A connection is registered once, for reading and writing, and never changed: no system call per request.

pub use system::Poller;

/// What the system told of one descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// As given at registration.
    pub token: u64,
    /// Bytes, a connection or the end of the stream wait to be read.
    pub is_readable: bool,
    /// There is room to write again.
    pub is_writable: bool,
    /// The peer has shut its side or the connection has failed: read until the end is seen.
    pub is_ending: bool,
}

/// How many events one wait brings at most; more come with the next.
const EVENTS_PER_WAIT: usize = 256;

/// The token of the waker; connections and listeners have others.
pub const WAKER: u64 = u64::MAX;

#[cfg(target_os = "linux")]
mod system {
    use super::{EVENTS_PER_WAIT, Ready, WAKER};
    use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
    use rustix::fd::{AsFd, OwnedFd};
    use rustix::io;
    use std::time::Duration;

    /// An epoll instance and the eventfd that wakes it.
    pub struct Poller {
        epoll: OwnedFd,
        waker: OwnedFd,
    }

    /// A second's worth of nanoseconds is a second.
    fn carried(time: &Timespec) -> Timespec {
        let (seconds, nanoseconds) = (time.tv_nsec / 1_000_000_000, time.tv_nsec % 1_000_000_000);
        Timespec { tv_sec: time.tv_sec + seconds, tv_nsec: nanoseconds }
    }

    impl Poller {
        pub fn new() -> io::Result<Poller> {
            let poller = Poller {
                epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
                waker: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            };
            // Edge-triggered, so each write wakes once and nobody needs to read the counter back.
            let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
            epoll::add(&poller.epoll, &poller.waker, epoll::EventData::new_u64(WAKER), flags)?;
            Ok(poller)
        }

        /// Level-triggered, so that a queue left because descriptors ran out is told again; exclusive, so that
        /// one connection wakes one of the processes that share the listener.
        pub fn add_listener(&self, listener: impl AsFd, token: u64) -> io::Result<()> {
            let flags = epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE;
            epoll::add(&self.epoll, listener, epoll::EventData::new_u64(token), flags)
        }

        /// Edge-triggered for both directions, once for the life of the connection.
        pub fn add_connection(&self, connection: impl AsFd, token: u64) -> io::Result<()> {
            let flags = epoll::EventFlags::IN
                | epoll::EventFlags::OUT
                | epoll::EventFlags::RDHUP
                | epoll::EventFlags::ET;
            epoll::add(&self.epoll, connection, epoll::EventData::new_u64(token), flags)
        }

        pub fn remove(&self, source: impl AsFd) -> io::Result<()> {
            epoll::delete(&self.epoll, source)
        }

        /// Ends a wait that is under way, or the next one. Any thread may call it.
        pub fn wake(&self) {
            // The counter can only be full when 2^64 wakes are pending; then the wait ends anyway.
            let _ = io::write(&self.waker, &1u64.to_ne_bytes());
        }

        /// Waits until something is ready, or the timeout (None: for ever), and fills `ready`.
        pub fn wait(&self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
            ready.clear();
            let timeout = timeout.map(|t| Timespec {
                tv_sec: i64::try_from(t.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(t.subsec_nanos()),
            });
            let mut events = [std::mem::MaybeUninit::<epoll::Event>::uninit(); EVENTS_PER_WAIT];
            let (events, _) = match epoll::wait(&self.epoll, &mut events[..], timeout.as_ref()) {
                Err(io::Errno::INTR) => return Ok(()),
                // Before Linux 5.11 only whole milliseconds can be waited for.
                Err(io::Errno::NOSYS) => {
                    let rounded = timeout
                        .map(|t| Timespec { tv_nsec: (t.tv_nsec + 999_999) / 1_000_000 * 1_000_000, ..t });
                    epoll::wait(&self.epoll, &mut events[..], rounded.as_ref().map(carried).as_ref())?
                }
                other => other?,
            };
            ready.extend(events.iter().map(|event| {
                let flags = event.flags;
                let failed = epoll::EventFlags::HUP | epoll::EventFlags::ERR;
                Ready {
                    token: event.data.u64(),
                    is_readable: flags.contains(epoll::EventFlags::IN),
                    is_writable: flags.contains(epoll::EventFlags::OUT),
                    is_ending: flags.intersects(failed | epoll::EventFlags::RDHUP),
                }
            }));
            Ok(())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{EVENTS_PER_WAIT, Ready, WAKER};
    use rustix::event::Timespec;
    use rustix::event::kqueue::{
        Event, EventFilter, EventFlags, UserDefinedFlags, UserFlags, kevent, kqueue,
    };
    use rustix::fd::{AsFd, AsRawFd, OwnedFd};
    use rustix::io;
    use std::time::Duration;

    /// A kqueue with a user event as its waker.
    pub struct Poller {
        kqueue: OwnedFd,
    }

    impl Poller {
        pub fn new() -> io::Result<Poller> {
            let poller = Poller { kqueue: kqueue()? };
            poller.change(&[user_event(EventFlags::ADD | EventFlags::CLEAR, UserFlags::NOINPUT)])?;
            Ok(poller)
        }

        pub fn add_listener(&self, listener: impl AsFd, token: u64) -> io::Result<()> {
            let fd = listener.as_fd().as_raw_fd();
            self.change(&[event(EventFilter::Read(fd), EventFlags::ADD, token)])
        }

        pub fn add_connection(&self, connection: impl AsFd, token: u64) -> io::Result<()> {
            let fd = connection.as_fd().as_raw_fd();
            let flags = EventFlags::ADD | EventFlags::CLEAR;
            self.change(&[
                event(EventFilter::Read(fd), flags, token),
                event(EventFilter::Write(fd), flags, token),
            ])
        }

        pub fn remove(&self, source: impl AsFd) -> io::Result<()> {
            let fd = source.as_fd().as_raw_fd();
            self.change(&[event(EventFilter::Read(fd), EventFlags::DELETE, 0)])
        }

        pub fn wake(&self) {
            let _ = self.change(&[user_event(EventFlags::empty(), UserFlags::TRIGGER)]);
        }

        pub fn wait(&self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
            ready.clear();
            let timeout = timeout.and_then(|t| Timespec::try_from(t).ok());
            let mut events: Vec<Event> = Vec::with_capacity(EVENTS_PER_WAIT);
            // SAFETY: no descriptor is changed by this call; `events` is owned here.
            let waited = unsafe {
                let room = rustix::buffer::spare_capacity(&mut events);
                rustix::event::kqueue::kevent_timespec(&self.kqueue, &[], room, timeout.as_ref())
            };
            match waited {
                Err(io::Errno::INTR) => return Ok(()),
                other => other?,
            };
            ready.extend(events.iter().map(|event| Ready {
                token: event.udata() as usize as u64,
                is_readable: matches!(event.filter(), EventFilter::Read(_)),
                is_writable: matches!(event.filter(), EventFilter::Write(_)),
                is_ending: event.flags().contains(EventFlags::EOF),
            }));
            Ok(())
        }

        fn change(&self, changes: &[Event]) -> io::Result<()> {
            // SAFETY: the descriptors named in `changes` are borrowed by the callers for the length of the call,
            // and a closed descriptor leaves the kqueue by itself.
            unsafe { kevent(&self.kqueue, changes, &mut [] as &mut [Event], Some(Duration::ZERO)) }
                .map(|_| ())
        }
    }

    fn event(filter: EventFilter, flags: EventFlags, token: u64) -> Event {
        Event::new(filter, flags, token as usize as *mut std::ffi::c_void)
    }

    fn user_event(flags: EventFlags, user: UserFlags) -> Event {
        let filter = EventFilter::User { ident: 0, flags: user, user_flags: UserDefinedFlags::new(0) };
        event(filter, flags, WAKER)
    }
}
