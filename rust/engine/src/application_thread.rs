//! Step 4 of 6 - one application thread's place at the queue: exchanges come out as Python objects.

use crate::answer::Answer;
use crate::dispatch::Taken;
use crate::environ;
use crate::exchange::{Body, Exchange, Run};
use crate::lock;
use crate::recent::Recent;
use crate::response_writer::PyExchange;
use crate::runner::Runner;
use crate::seat::Seat;
use crate::shared::Shared;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyDict};
use std::sync::{Arc, Mutex};

/// Where one application thread takes its exchanges. For the thread that made it.
#[pyclass(frozen, module = "barkeep._engine")]
pub struct ApplicationThread {
    shared: Arc<Shared>,
    seat: Arc<Seat>,
    runner: Arc<Runner>,
    /// One for each listener.
    templates: Vec<Py<PyDict>>,
    recent: Mutex<Recent>,
    /// The lowest that was free, from 1.
    number: usize,
    /// As `threading.get_ident()` says.
    ident: u64,
}

impl ApplicationThread {
    pub fn new(
        py: Python<'_>,
        shared: &Arc<Shared>,
        errors: &Bound<'_, PyAny>,
        file_wrapper: &Bound<'_, PyAny>,
    ) -> PyResult<ApplicationThread> {
        let templates = (0..shared.server_addresses.len())
            .map(|listener| Ok(environ::template(py, shared, listener, errors, file_wrapper)?.unbind()))
            .collect::<PyResult<_>>()?;
        let ident = py.import("threading")?.call_method0("get_ident")?.extract()?;
        let number = shared.scoreboard.enter_thread();
        let runner = shared.add_runner(ident);
        Ok(ApplicationThread {
            shared: Arc::clone(shared),
            seat: Seat::new(),
            runner,
            templates,
            recent: Mutex::default(),
            number,
            ident,
        })
    }
}

#[pymethods]
impl ApplicationThread {
    /// The next exchange; waits without the GIL while there is none. None: the server stops, or another thread has taken
    /// this one's place. An exception that still waits to be raised here belongs to the exchange before, and is forgotten.
    fn take(&self, py: Python<'_>) -> PyResult<Option<PyExchange>> {
        let Some(serial) = self.runner.come_back(py) else { return Ok(None) };
        let hand_over = &self.shared.hand_over;
        if let Some(exchange) = hand_over.take() {
            return self.open(py, exchange, serial).map(Some);
        }
        loop {
            match hand_over.take_or_sit(&self.seat) {
                Taken::Exchange(exchange) => return self.open(py, exchange, serial).map(Some),
                Taken::Closed => return Ok(None),
                Taken::Seated { wakes_io } => {
                    if wakes_io {
                        self.shared.poller.wake();
                    }
                    py.detach(|| hand_over.wait(&self.seat));
                    hand_over.arrived(&self.seat);
                }
            }
        }
    }
}

impl ApplicationThread {
    fn open(&self, py: Python<'_>, mut exchange: Exchange, serial: u64) -> PyResult<PyExchange> {
        exchange.connection.record.running(self.number, self.ident, exchange.times.taken_ns);
        let is_streamed = matches!(exchange.body, Body::Streamed(_));
        let body_bytes = if let Body::Whole(body) = &exchange.body { body.bytes.len() as u64 } else { 0 };
        self.begin(&exchange, serial, body_bytes);
        let template = self.templates.get(usize::from(exchange.connection.listener));
        let template = template.map(|template| template.bind(py).clone()).unwrap_or_else(|| PyDict::new(py));
        // Taken out meanwhile: making an environ may collect garbage, and so run other Python code.
        let mut recent = std::mem::take(&mut *lock(&self.recent));
        let environ = environ::build(&template, &mut recent, &mut exchange, &self.shared);
        *lock(&self.recent) = recent;
        let environ = match environ {
            Ok(environ) => environ,
            Err(error) => {
                // Out of memory, most likely: nobody will answer, and the client must not wait for it.
                exchange.connection.abort_answer(&self.shared, exchange.number, None);
                return Err(error);
            }
        };
        let Exchange { connection, number, head, times, .. } = exchange;
        Ok(PyExchange {
            shared: Arc::clone(&self.shared),
            connection,
            number,
            head,
            times,
            is_streamed,
            body_bytes,
            environ: environ.unbind(),
            answer: Mutex::new(Answer::new()),
        })
    }

    /// From here on the application's time counts.
    fn begin(&self, exchange: &Exchange, serial: u64, body_bytes: u64) {
        let taken_ns = exchange.times.taken_ns;
        let run =
            Run { thread_number: self.runner.number, thread_ident: self.runner.ident, serial, body_bytes };
        let mut state = exchange.connection.lock();
        if let Some(serving) = state.serving(exchange.number) {
            serving.run = Some(run);
            serving.times.taken_ns = taken_ns;
            // Rounded up: never before the deadline that the application was told.
            exchange.connection.application.start(taken_ns.div_ceil(1_000_000), exchange.timeout_ms);
        }
    }
}

impl Drop for ApplicationThread {
    fn drop(&mut self) {
        self.shared.remove_runner(&self.runner);
        self.shared.scoreboard.leave_thread(self.number);
    }
}
