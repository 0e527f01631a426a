//! Step 6 of 6 - the answer of the application, from Python's objects to bytes on their way (PEP 3333, "The
//! start_response() Callable" and "Handling the Content-Length Header").
//!
//! What one exchange offers to `wsgi.py`. Its state has a lock of its own, held for moments and never while the GIL is
//! waited for; an application may call from any of its threads.

use crate::access_log::{Outcome, Record};
use crate::answer::{Answer, Cut, Stage};
use crate::answering::End;
use crate::connection::Connection;
use crate::date::Date;
use crate::exchange::Times;
use crate::outbox::FilePiece;
use crate::python_errors::application_error;
use crate::python_values::{read_fields, read_status};
use crate::refusal::Reason;
use crate::shared::Shared;
use crate::{descriptors, lock};
use barkeep_wire::{
    BodySize, CommonFields, Head, Persistence, RequestFacts, ResponseFraming, ResponseHead, persistence,
    write_refusal,
};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyBytes, PyDict, PyList, PyString};
use std::cell::Cell;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Bodies up to this are joined with their head and sent in one call with the GIL held: about 10 us.
pub const JOINED_BYTES: usize = 32 * 1024;

/// What stands in for a head that has gone back to the pool.
static NO_HEAD: LazyLock<Arc<Head>> = LazyLock::new(Arc::default);

thread_local! {
    /// The buffer that heads and short bodies are joined in, kept between exchanges.
    static OUT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// The memory of the last answer's head, for the next.
    static SPARE_RESPONSE: Cell<Option<ResponseHead>> = const { Cell::new(None) };
}

/// One request and its answer, as the application thread has it.
#[pyclass(frozen, module = "barkeep._engine", name = "Exchange")]
pub struct PyExchange {
    pub shared: Arc<Shared>,
    pub connection: Arc<Connection>,
    /// Of the connection's exchanges.
    pub number: u32,
    pub head: Arc<Head>,
    pub times: Times,
    /// Its body is read from the socket by the application.
    pub is_streamed: bool,
    pub body_bytes: u64,
    #[pyo3(get)]
    pub environ: Py<PyDict>,
    pub answer: Mutex<Answer>,
}

#[pymethods]
impl PyExchange {
    /// Method and target for a log line, escaped.
    #[getter]
    fn request(&self) -> String {
        format!("{} {}", self.head.method().escape_ascii(), self.head.target().escape_ascii())
    }

    /// Whether the head is on its way: from then on it cannot be replaced.
    #[getter]
    fn head_is_sent(&self) -> bool {
        lock(&self.answer).stage.is_after_head()
    }

    /// Takes status and header fields of the answer; nothing is sent yet. Returns the exchange, which writes when it is
    /// called: a bound method would have to be made for each request, and hardly any calls it. What it means to be called
    /// again, with exc_info, is for `wsgi.py` to say.
    #[pyo3(signature = (status, headers, exc_info=None, /))]
    fn start_response<'py>(
        this: &Bound<'py, Self>,
        status: &Bound<'py, PyAny>,
        headers: &Bound<'py, PyAny>,
        exc_info: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Self>> {
        match exc_info {
            None => this.get().set_head(status, headers)?,
            Some(exc_info) => {
                let wsgi = this.py().import("barkeep.wsgi")?;
                wsgi.call_method1("start_again", (this, status, headers, exc_info))?;
            }
        }
        Ok(this.clone())
    }

    /// PEP 3333, "The write() Callable".
    fn __call__(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        self.write(py, data)
    }

    /// Takes a head in place of one that was set but not sent: the application had an error.
    fn replace_head(&self, status: &Bound<'_, PyAny>, headers: &Bound<'_, PyAny>) -> PyResult<()> {
        let response = read_head(status, headers)?;
        let mut answer = lock(&self.answer);
        if !answer.stage.is_after_head() {
            answer.stage = Stage::HeadSet;
            answer.response = response;
            return Ok(());
        }
        drop(answer);
        Err(application_error("start_response was called after the head was sent"))
    }

    /// Sends one chunk of the body, with the head before the first that is not empty. It is on its way when this
    /// returns. Waits, without the GIL, while the client is slow and the outbox full.
    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let bytes = chunk(data)?;
        let bytes = bytes.as_bytes();
        if bytes.is_empty() {
            return Ok(());
        }
        let mut out = OUT.take();
        let sent = self.write_bytes(py, bytes, &mut out);
        keep(out);
        sent
    }

    /// Sends a body whose chunks are all at hand, and finishes the answer.
    fn send_all(&self, py: Python<'_>, chunks: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Ok(list) = chunks.cast::<PyList>()
            && list.len() == 1
        {
            return self.send_chunks(py, &[list.get_item(0)?]);
        }
        self.send_chunks(py, &chunks.try_iter()?.collect::<PyResult<Vec<_>>>()?)
    }

    /// Sends a file's bytes from `offset`, as many as Content-Length says and `available` allows, and finishes the
    /// answer. The descriptor is duplicated: the caller may close its own at once.
    fn send_file(&self, descriptor: i32, offset: u64, available: u64) -> PyResult<()> {
        let file = descriptors::duplicate(descriptor)?;
        let mut out = Vec::with_capacity(512);
        let (bytes_left, keep_alive) = {
            let mut answer = lock(&self.answer);
            let persistence = self.begin_body(&mut answer, BodySize::Known(available), &mut out)?;
            let bytes = match answer.framing {
                ResponseFraming::Length { bytes } => bytes.min(available),
                ResponseFraming::NoBody | ResponseFraming::HeadOnly { .. } => 0,
                ResponseFraming::Chunked | ResponseFraming::Close => available,
            };
            let (_, cut) = answer.take_bytes(bytes);
            self.tell_cut(cut);
            if answer.is_short() {
                return Err(self.short(&mut answer));
            }
            answer.stage = Stage::Finished;
            (bytes, persistence != Persistence::Close)
        };
        let piece = FilePiece { file, offset, bytes_left };
        self.complete(&out, &[], keep_alive, (bytes_left > 0).then_some(piece));
        Ok(())
    }

    /// Ends the answer. Without one chunk the head is sent now; a body that is too short aborts the connection.
    fn finish(&self) -> PyResult<()> {
        let mut out = OUT.take();
        out.clear();
        let finished = self.finish_into(&mut out);
        keep(out);
        finished
    }

    /// The application failed: answers with this status if the head is not out, else aborts so that the client can see
    /// it. A request body that could not be read names the status itself. Returns what became of it, for the log.
    fn fail(&self, status: u16) -> String {
        let fault = self.is_streamed.then(|| self.connection.body_fault()).flatten();
        let status = fault.and_then(Reason::of_body_fault).map_or(status, |reason| reason.status);
        let may_answer = {
            let mut answer = lock(&self.answer);
            let may_answer = matches!(answer.stage, Stage::NoHead | Stage::HeadSet);
            if matches!(answer.stage, Stage::Sent | Stage::Finished) {
                answer.stage = Stage::Finished;
                return format!("had been answered {}", answer.sent_status());
            }
            answer.stage = Stage::Finished;
            if !self.connection.has_exchange(self.number) {
                return "had been timed out".to_owned();
            }
            answer.status = if may_answer { status } else { answer.response.status() };
            may_answer
        };
        if !may_answer {
            self.connection.abort_answer(&self.shared, self.number, Some(self.record(Outcome::Aborted)));
            return "aborted".to_owned();
        }
        let mut out = Vec::with_capacity(256);
        write_refusal(&mut out, status, self.head.is_head(), &common(&Date::now(), &self.shared));
        self.complete(&out, &[], false, None);
        format!("answered {status}")
    }
}

impl PyExchange {
    fn set_head(&self, status: &Bound<'_, PyAny>, headers: &Bound<'_, PyAny>) -> PyResult<()> {
        let response = read_head(status, headers)?;
        let mut answer = lock(&self.answer);
        if answer.stage == Stage::NoHead {
            answer.stage = Stage::HeadSet;
            answer.response = response;
            return Ok(());
        }
        drop(answer);
        Err(application_error(
            "start_response was called a second time without exc_info (PEP 3333, The start_response() Callable)",
        ))
    }

    /// The answer when nobody else can have it: no lock is needed.
    fn own_answer(&mut self) -> &mut Answer {
        self.answer.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    fn send_chunks(&self, py: Python<'_>, chunks: &[Bound<'_, PyAny>]) -> PyResult<()> {
        if self.head_is_sent() {
            for data in chunks {
                self.write(py, data)?;
            }
            return self.finish();
        }
        let mut out = OUT.take();
        out.clear();
        let sent = match chunks {
            [only] => chunk(only).and_then(|bytes| self.send_known(py, &[bytes.as_bytes()], &mut out)),
            several => {
                let bytes = several.iter().map(|data| chunk(data).map(|bytes| bytes.as_bytes()));
                bytes.collect::<PyResult<Vec<_>>>().and_then(|bytes| self.send_known(py, &bytes, &mut out))
            }
        };
        keep(out);
        sent
    }

    /// Decides framing and persistence, and renders the head into `out`.
    pub fn begin_body(
        &self,
        answer: &mut Answer,
        size: BodySize,
        out: &mut Vec<u8>,
    ) -> PyResult<Persistence> {
        match answer.stage {
            Stage::NoHead => return Err(never_started()),
            Stage::HeadSet => {}
            Stage::Body | Stage::Sent | Stage::Finished => {
                return Err(application_error("the answer was already finished"));
            }
        }
        let request = RequestFacts { is_head: self.head.is_head(), version: self.head.version() };
        let framing = answer.response.frame(request, size);
        let may_reuse =
            self.shared.keeps_connections() && (!self.is_streamed || self.connection.may_read_away());
        let persistence = persistence(request, framing, self.head.wants_keep_alive(), may_reuse);
        answer.response.write_to(out, &framing, persistence, &common(&Date::now(), &self.shared));
        answer.begin(framing, persistence != Persistence::Close);
        Ok(persistence)
    }

    fn finish_into(&self, out: &mut Vec<u8>) -> PyResult<()> {
        let keep_alive = {
            let mut answer = lock(&self.answer);
            if !answer.stage.is_after_head() {
                self.begin_body(&mut answer, BodySize::Known(0), out)?;
            } else if matches!(answer.stage, Stage::Sent | Stage::Finished) {
                answer.stage = Stage::Finished;
                return Ok(());
            }
            if answer.is_short() {
                return Err(self.short(&mut answer));
            }
            if answer.framing == ResponseFraming::Chunked {
                out.extend_from_slice(barkeep_wire::LAST_CHUNK);
            }
            answer.stage = Stage::Finished;
            answer.keep_alive
        };
        self.complete(out, &[], keep_alive, None);
        Ok(())
    }

    /// Gives the end of the answer to the connection, and a request that was sent ahead to the queue.
    pub fn complete(&self, bytes: &[u8], more: &[u8], keep_alive: bool, file: Option<FilePiece>) {
        let end = End { exchange: self.number, keep_alive, file };
        let next = self.connection.complete(&self.shared, bytes, more, end, self.record(Outcome::Complete));
        if let Some(next) = next {
            self.shared.hand_over.push_behind(next);
            // This thread takes it next, unless the application keeps it: the I/O thread looks after that.
            self.shared.poller.wake();
        }
    }

    /// Fewer bytes than Content-Length promised: the client must not take the answer for complete.
    pub fn short(&self, answer: &mut Answer) -> PyErr {
        let text = format!(
            "the body is {} bytes shorter than Content-Length (PEP 3333, Handling the Content-Length Header)",
            answer.bytes_missing()
        );
        application_error(text)
    }

    pub fn tell_cut(&self, cut: Cut) {
        if let Cut::First { bytes } = cut {
            self.shared.log.warning(format_args!(
                "{}: the application's body is longer than its Content-Length; {bytes} bytes and more were cut",
                self.request(),
            ));
        }
    }

    /// For the scoreboard, and the access log when there is one.
    fn record(&self, outcome: Outcome) -> Record {
        let answer = lock(&self.answer);
        let bytes_received =
            if self.is_streamed { self.connection.body_bytes_read() } else { self.body_bytes };
        let names = self.shared.names_for_log(&self.connection, Some(&self.head));
        Record {
            names,
            status: answer.sent_status(),
            bytes_sent: answer.bytes_sent,
            bytes_received,
            times: self.times,
            done_ns: crate::clock::now_ns(),
            outcome,
        }
    }
}

impl Drop for PyExchange {
    fn drop(&mut self) {
        // Every way through wsgi.py finishes or fails; should one not, the client must not wait for ever.
        let is_finished = matches!(self.own_answer().stage, Stage::Sent | Stage::Finished);
        if !is_finished {
            self.connection.abort_answer(&self.shared, self.number, Some(self.record(Outcome::Aborted)));
        }
        SPARE_RESPONSE.set(Some(std::mem::take(&mut self.own_answer().response)));
        // The pool takes it from its last owner only.
        self.shared.return_head(std::mem::replace(&mut self.head, Arc::clone(&NO_HEAD)));
    }
}

/// Status and fields, checked. Without a lock: making an exception may run other Python code.
fn read_head(status: &Bound<'_, PyAny>, headers: &Bound<'_, PyAny>) -> PyResult<ResponseHead> {
    let mut response = SPARE_RESPONSE.take().unwrap_or_default();
    response.clear();
    read_status(status, &mut response)?;
    read_fields(headers, &mut response)?;
    Ok(response)
}

fn never_started() -> PyErr {
    application_error(
        "start_response was not called before the first chunk of the body (PEP 3333, Specification Details)",
    )
}

fn common<'a>(date: &'a Date, shared: &'a Shared) -> CommonFields<'a> {
    CommonFields { date: date.as_bytes(), server: shared.options.server_header.as_bytes() }
}

/// A chunk must be bytes.
fn chunk<'a, 'py>(data: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyBytes>> {
    data.cast::<PyBytes>().map_err(|_| {
        let kind = data.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
        let hint = if data.is_instance_of::<PyString>() { "; encode the text first" } else { "" };
        application_error(format!(
            "a chunk of the body must be bytes, found {kind}{hint} (PEP 3333, Unicode Issues)"
        ))
    })
}

/// Keeps the thread's buffer for the next answer, unless one large answer has made it large.
fn keep(mut out: Vec<u8>) {
    if out.capacity() <= 4 * JOINED_BYTES {
        out.clear();
        OUT.set(out);
    }
}
