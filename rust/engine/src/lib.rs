//! `barkeep._engine` - the engine of Barkeep: sockets, HTTP, deadlines and buffers; Python decides the rest.
//!
//! The six steps: listen (`listener`) -> connection (`connection`) -> head and body (`reading`, crate `barkeep-wire`)
//! -> environ (`dispatch`, `environ`, `input`) -> application (`wsgi.py`) -> response (`response_writer`, `answering`).
#![allow(missing_docs, reason = "a private crate: items say what is not plain from their names")]

mod accepting;
mod access_format;
mod access_log;
mod answer;
mod answering;
mod application_deadlines;
mod application_thread;
mod balance;
mod bell;
mod bodies;
mod body_stream;
mod body_writer;
mod clock;
mod connection;
mod connections;
mod date;
mod deadlines;
mod descriptors;
mod dispatch;
mod draining;
mod ended;
mod engine;
mod environ;
mod event_loop;
mod exchange;
mod giving_up;
mod health;
mod input;
mod listener;
mod log;
mod options;
mod orphans;
mod outbox;
mod overdue;
mod phase;
mod poller;
mod python_errors;
mod python_values;
mod reading;
mod recent;
mod refusal;
mod response_writer;
mod runner;
mod scoreboard;
mod scoreboard_layout;
mod scoreboard_record;
mod seat;
mod shared;
mod shared_memory;
mod standing;
mod texts;
mod transport;
mod waiters;
mod watch;
mod watching;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock. A panic under one, which is a bug, must not take the server down with it: the data is used on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The extension module. Nothing in it relies on the GIL for safety.
#[pyo3::pymodule(gil_used = false)]
mod _engine {
    use pyo3::prelude::*;
    use pyo3::types::PyDict;

    #[pymodule_export]
    use crate::application_thread::ApplicationThread;
    #[pymodule_export]
    use crate::engine::Engine;
    #[pymodule_export]
    use crate::input::Input;
    #[pymodule_export]
    use crate::orphans::adopt_orphans;
    #[pymodule_export]
    use crate::response_writer::PyExchange;

    /// Names that an access-log format may have between braces.
    #[pymodule_export]
    const ACCESS_LOG_FIELDS: [&str; 24] = crate::access_format::FIELDS;

    /// `SCOREBOARD_LAYOUT`: name -> (offset, size) in bytes, as `scoreboard.py` must have it.
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let layout = PyDict::new(module.py());
        for (name, offset, bytes) in crate::scoreboard_layout::LAYOUT {
            layout.set_item(name, (offset, bytes))?;
        }
        module.add("SCOREBOARD_LAYOUT", layout)
    }
}
