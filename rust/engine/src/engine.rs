//! The engine as Python sees it: made from listeners and settings, started, drained, aborted, closed.

use crate::access_format::Format;
use crate::access_log::AccessLog;
use crate::application_thread::ApplicationThread;
use crate::ended::Ended;
use crate::event_loop::EventLoop;
use crate::listener::Listener;
use crate::log::{AccessSink, Level, Log, Writer};
use crate::options::Options;
use crate::python_errors::{self, setting_error};
use crate::scoreboard::{Identity, Scoreboard};
use crate::shared::{ServerAddress, Shared};
use crate::watch::{Kill, TimedOut};
use crate::{descriptors, lock};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyBytes, PyString, PyType};
use std::io;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Up to this, memory is kept: a body of `request_buffer` by default, and a copy of it in Python.
const TAUGHT_BYTES: usize = 1024 * 1024 + 4096;

/// The I/O thread is there within microseconds, unless the machine is at its end.
const KILL_ANSWER: Duration = Duration::from_secs(2);

/// A request that was timed out: kind, thread ident, serial, request, age in ms, thread number.
type Event = (&'static str, u64, u64, String, u64, u32);

/// One HTTP server: an I/O thread, a log writer, and the queue that application threads take from.
#[pyclass(frozen, module = "barkeep._engine")]
pub struct Engine {
    shared: Arc<Shared>,
    ended: Arc<Ended>,
    parts: Mutex<Parts>,
}

/// What exists before the start, and what runs after it.
enum Parts {
    Made { event_loop: Box<EventLoop>, access: AccessSink },
    Running { io_thread: JoinHandle<()>, log_writer: Writer },
    Closed,
}

#[pymethods]
impl Engine {
    /// listeners: (descriptor, SERVER_NAME, SERVER_PORT); the descriptors are duplicated, the caller closes its own.
    /// options: `Settings.engine_options()`. Nothing runs yet.
    /// health_listeners: as listeners; they answer /livez and /readyz and nothing else, from start to end.
    /// scoreboard_fd: the supervisor's memory, duplicated; without it nobody sees this engine from outside.
    /// place: which part of it is this engine's alone. slot, generation: who the worker is.
    #[new]
    #[pyo3(signature = (listeners, options, *, health_listeners=Vec::new(), scoreboard_fd=None, place=0, slot=0, generation=0))]
    #[allow(clippy::too_many_arguments, reason = "keywords in Python")]
    fn new(
        py: Python<'_>,
        listeners: Vec<(i32, String, String)>,
        options: Options,
        health_listeners: Vec<(i32, String, String)>,
        scoreboard_fd: Option<i32>,
        place: usize,
        slot: u64,
        generation: u64,
    ) -> PyResult<Engine> {
        python_errors::load(py)?;
        let scoreboard = open_scoreboard(scoreboard_fd, Identity { place, slot, generation })?;
        let level = Level::named(&options.log_level);
        let level = level
            .ok_or_else(|| PyValueError::new_err(format!("unknown log level {:?}", options.log_level)))?;
        let format = Format::parse(&options.access_log_format)
            .map_err(|fault| PyValueError::new_err(format!("access_log_format: {fault:?}")))?;
        let access = AccessSink::open(options.access_log.as_deref()).map_err(|error| {
            let path = options.access_log.as_deref().unwrap_or_default();
            setting_error(format!(
                "--access-log must be a file that can be written, found {path:?}: {error}."
            ))
        })?;
        let log = Log::new(level);
        let access_log = options.access_log.is_some().then(|| AccessLog::new(format, Arc::clone(&log)));
        let mut sockets = Vec::with_capacity(listeners.len());
        let mut addresses = Vec::with_capacity(listeners.len());
        for (descriptor, name, port) in listeners {
            sockets.push(Listener { socket: descriptors::duplicate(descriptor)? });
            addresses.push(ServerAddress { name, port });
        }
        let health = health_listeners
            .into_iter()
            .map(|(descriptor, _, _)| Ok(Listener { socket: descriptors::duplicate(descriptor)? }))
            .collect::<io::Result<Vec<_>>>()?;
        let shared = Arc::new(
            Shared::new(options, addresses, runs_in_parallel(py), scoreboard, log, access_log)
                .map_err(io::Error::from)?,
        );
        let event_loop = Box::new(EventLoop::new(Arc::clone(&shared), sockets, health));
        Ok(Engine { shared, ended: Arc::default(), parts: Mutex::new(Parts::Made { event_loop, access }) })
    }

    /// Starts the I/O thread and the log writer. Once.
    /// wait_for_ready: only health listeners are accepted from until `ready` is called.
    #[pyo3(signature = (*, wait_for_ready=false))]
    fn start(&self, wait_for_ready: bool) -> PyResult<()> {
        let mut parts = lock(&self.parts);
        match std::mem::replace(&mut *parts, Parts::Closed) {
            Parts::Made { event_loop, access } => {
                teach_allocator();
                if !wait_for_ready {
                    self.shared.standings.set_ready();
                }
                let log_writer = self.shared.log.start(access)?;
                let ended = Arc::clone(&self.ended);
                let io_thread = std::thread::Builder::new()
                    .name("barkeep-io".to_owned())
                    .spawn(move || event_loop.run(&ended))?;
                *parts = Parts::Running { io_thread, log_writer };
                Ok(())
            }
            other => {
                *parts = other;
                Err(PyRuntimeError::new_err("the engine was started before"))
            }
        }
    }

    /// The worker is ready: it accepts from now on, and says so.
    fn ready(&self, py: Python<'_>) {
        // The application was loaded since we were made: one of its extensions may have brought the GIL back.
        self.shared.hand_over.set_parallel(runs_in_parallel(py));
        self.shared.standings.set_ready();
        self.shared.poller.wake();
    }

    /// `/readyz` says no from now on and answers say `Connection: close`, while accepting goes on.
    fn lame_duck(&self) {
        self.shared.standings.set_lame_duck();
    }

    /// A place at the queue for the calling thread, with the parts of its environs that do not change.
    fn application_thread(
        &self,
        py: Python<'_>,
        errors: &Bound<'_, PyAny>,
        file_wrapper: &Bound<'_, PyAny>,
    ) -> PyResult<ApplicationThread> {
        ApplicationThread::new(py, &self.shared, errors, file_wrapper)
    }

    /// Take nothing new, finish what was begun: the accept queue is emptied, answers say `Connection: close`.
    fn drain(&self) {
        self.shared.drain();
    }

    /// Closes every connection now so that its client can see it; logs each unfinished request.
    fn abort(&self) {
        self.shared.abort();
    }

    /// Waits until every connection is closed after `drain` or `abort`; False when `timeout` seconds have passed before.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> bool {
        let timeout = timeout.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO));
        py.detach(|| self.ended.wait(timeout))
    }

    /// Ends both threads and writes what is left of the logs. Aborts first if it still serves.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let parts = std::mem::replace(&mut *lock(&self.parts), Parts::Closed);
        let Parts::Running { io_thread, log_writer } = parts else { return Ok(()) };
        self.shared.abort();
        py.detach(|| {
            let io_ended = io_thread.join();
            self.shared.log.close();
            log_writer.join();
            io_ended
        })
        .map_err(|_| PyOSError::new_err("a thread of the engine panicked; this is a bug in barkeep"))
    }

    /// One event for the log, written by the engine's log thread.
    /// Text that has no UTF-8 form, such as a file name from outside, is shown with backslashes.
    fn log(&self, level: &str, text: &Bound<'_, PyString>) -> PyResult<()> {
        let level = Level::named(level)
            .ok_or_else(|| PyValueError::new_err(format!("unknown log level {level:?}")))?;
        match text.to_str() {
            Ok(text) => self.shared.log.write(level, format_args!("{text}")),
            Err(_) => {
                let escaped = text.call_method1("encode", ("utf-8", "backslashreplace"))?;
                let escaped = String::from_utf8_lossy(escaped.cast::<PyBytes>()?.as_bytes()).into_owned();
                self.shared.log.write(level, format_args!("{escaped}"));
            }
        }
        Ok(())
    }

    /// Opens the access log's file anew, after a rotation.
    fn reopen_logs(&self) {
        self.shared.log.reopen();
    }

    /// A descriptor that is readable when `take_events` is to be called; the engine's, which closes it. From the first
    /// call on events are kept, and Python is asked whether it runs.
    fn events_fileno(&self) -> PyResult<i32> {
        Ok(self.shared.watch.descriptor().map_err(io::Error::from)?)
    }

    /// Ends a wait for the events' descriptor.
    fn wake_watch(&self) {
        self.shared.watch.ring();
    }

    /// What has come since the last call: ("timed_out", thread ident, serial, request, age in ms, thread number). Being
    /// called is the answer to the question whether Python runs.
    fn take_events(&self) -> Vec<Event> {
        let events = self.shared.watch.take().into_iter();
        let told = events.map(|event| {
            let TimedOut { thread_ident, serial, request, age_ms, thread_number } = event;
            ("timed_out", thread_ident, serial, request, age_ms, thread_number)
        });
        told.collect()
    }

    /// Whether C code keeps the GIL while requests are overdue.
    #[getter]
    fn is_stalled(&self) -> bool {
        self.shared.is_stalled()
    }

    /// Whether that thread still runs that exchange.
    fn is_running(&self, thread_ident: u64, serial: u64) -> bool {
        self.shared.runner(thread_ident).is_some_and(|runner| runner.runs(serial))
    }

    /// Raises an exception of this type at the thread's next instruction of Python, if it still runs that exchange and
    /// for the first time; never in another exchange.
    fn raise_in_thread(&self, thread_ident: u64, serial: u64, exception: &Bound<'_, PyType>) -> bool {
        self.shared.runner(thread_ident).is_some_and(|runner| runner.raise(serial, exception))
    }

    /// Gives the thread up if it still runs that exchange: it does not count as an application thread any more, and ends
    /// when it comes back. The caller starts another in its place.
    fn quarantine(&self, thread_ident: u64, serial: u64) -> bool {
        let is_given_up = self.shared.runner(thread_ident).is_some_and(|runner| runner.quarantine(serial));
        if is_given_up {
            self.shared.hand_over.leave();
            self.shared.show_quarantined();
        }
        is_given_up
    }

    /// Ends a request as if its deadline passed now. connection: a slot of the scoreboard; number: of its exchanges;
    /// first_byte_ns: must be that of the request, unless it is 0. False when there is no such request any more.
    #[pyo3(signature = (connection, number, first_byte_ns=0))]
    fn kill_request(&self, py: Python<'_>, connection: u64, number: u32, first_byte_ns: u64) -> bool {
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        self.shared.watch.ask_kill(Kill { connection, number, first_byte_ns, reply });
        self.shared.poller.wake();
        py.detach(move || answer.recv_timeout(KILL_ANSWER).unwrap_or(false))
    }
}

/// The memory of the supervisor, or some of our own.
fn open_scoreboard(descriptor: Option<i32>, identity: Identity) -> PyResult<Arc<Scoreboard>> {
    match descriptor {
        None => Ok(Scoreboard::private().map_err(io::Error::from)?),
        Some(descriptor) => {
            Scoreboard::of_file(&descriptors::duplicate(descriptor)?, identity).map_err(|fault| {
                PyValueError::new_err(format!("scoreboard_fd {descriptor} is not a scoreboard: {fault}"))
            })
        }
    }
}

/// Allocates and frees one block of the usual largest body, once. From then on glibc keeps freed memory of that size
/// for the next request (mallopt(3), M_MMAP_THRESHOLD is dynamic) instead of returning each page to the system and
/// faulting it in again. Other allocators are not harmed.
fn teach_allocator() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(TAUGHT_BYTES)));
}

/// True on a free-threaded Python whose GIL is off.
fn runs_in_parallel(py: Python<'_>) -> bool {
    let is_gil_enabled = py.import("sys").and_then(|sys| sys.call_method0("_is_gil_enabled"));
    is_gil_enabled.and_then(|enabled| enabled.is_truthy()).is_ok_and(|enabled| !enabled)
}
