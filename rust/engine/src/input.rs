//! Step 4 of 6 - `wsgi.input`: reads as `io.BytesIO` does, for every method and argument (PEP 3333, "Input and Error
//! Streams"). A body that was cut short raises; it never looks complete.

use crate::bodies::WholeBody;
use crate::connection::{BodyFault, Connection};
use crate::exchange::Body;
use crate::shared::Shared;
use crate::{lock, python_errors};
use memchr::memchr;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use std::sync::{Arc, Mutex};

/// What one read asks the connection for.
const PIECE_BYTES: usize = 64 * 1024;

/// The request body as a file-like object.
#[pyclass(frozen, module = "barkeep._engine")]
pub struct Input {
    /// None while a thread reads: reading may wait, and no lock is held then.
    reader: Mutex<Option<Reader>>,
}

/// Bytes at hand, where reading stands, and where more come from.
struct Reader {
    bytes: Held,
    position: usize,
    /// None: all of the body is at hand.
    source: Option<Source>,
}

enum Held {
    Own(Vec<u8>),
    Whole(WholeBody),
}

struct Source {
    connection: Arc<Connection>,
    exchange: u32,
    shared: Arc<Shared>,
}

impl Input {
    pub fn empty() -> Input {
        Input::over(Held::Own(Vec::new()), None)
    }

    pub fn new(body: Body, connection: &Arc<Connection>, exchange: u32, shared: &Arc<Shared>) -> Input {
        match body {
            Body::Empty => Input::empty(),
            Body::Whole(body) => Input::over(Held::Whole(body), None),
            Body::Streamed(begun) => {
                let source =
                    Source { connection: Arc::clone(connection), exchange, shared: Arc::clone(shared) };
                Input::over(Held::Own(begun), Some(source))
            }
        }
    }

    fn over(bytes: Held, source: Option<Source>) -> Input {
        Input { reader: Mutex::new(Some(Reader { bytes, position: 0, source })) }
    }

    /// Runs one reading method with the reader to itself.
    fn with_reader<T>(&self, read: impl FnOnce(&mut Reader) -> PyResult<T>) -> PyResult<T> {
        let Some(mut reader) = lock(&self.reader).take() else {
            return Err(PyRuntimeError::new_err("wsgi.input is being read by another thread"));
        };
        let result = read(&mut reader);
        *lock(&self.reader) = Some(reader);
        result
    }
}

/// A size as `io.BytesIO` takes it: None and negative numbers mean all.
fn wanted(size: Option<isize>) -> usize {
    size.and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX)
}

#[pymethods]
impl Input {
    /// Up to `size` bytes; all that is left without one.
    #[pyo3(signature = (size=None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        let wanted = wanted(size);
        self.with_reader(|reader| {
            reader.fill(py, |at_hand, _| at_hand.len() >= wanted)?;
            Ok(reader.take(py, wanted))
        })
    }

    /// To the end of the line, at most `size` bytes.
    #[pyo3(signature = (size=None, /))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        self.with_reader(|reader| reader.line(py, wanted(size)))
    }

    /// All lines, or lines of at least `hint` bytes together.
    #[pyo3(signature = (hint=None, /))]
    fn readlines<'py>(&self, py: Python<'py>, hint: Option<isize>) -> PyResult<Bound<'py, PyList>> {
        let hint = hint.filter(|hint| *hint > 0).map_or(usize::MAX, |hint| wanted(Some(hint)));
        let lines = PyList::empty(py);
        let mut bytes = 0;
        while bytes < hint {
            let line = self.with_reader(|reader| reader.line(py, usize::MAX))?;
            if line.as_bytes().is_empty() {
                break;
            }
            bytes += line.as_bytes().len();
            lines.append(line)?;
        }
        Ok(lines)
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let line = self.with_reader(|reader| reader.line(py, usize::MAX))?;
        Ok(Some(line).filter(|line| !line.as_bytes().is_empty()))
    }
}

impl Reader {
    fn at_hand(&self) -> &[u8] {
        let bytes = match &self.bytes {
            Held::Own(bytes) => bytes,
            Held::Whole(body) => &body.bytes,
        };
        bytes.get(self.position..).unwrap_or_default()
    }

    /// Receives until there is enough, or the end. `is_enough`: of the bytes at hand, of which the first so many were
    /// there before.
    fn fill(&mut self, py: Python<'_>, is_enough: impl Fn(&[u8], usize) -> bool) -> PyResult<()> {
        let mut known_bytes = 0;
        while let Some(source) = &self.source
            && !is_enough(self.at_hand(), known_bytes)
        {
            known_bytes = self.at_hand().len();
            let Held::Own(bytes) = &mut self.bytes else { return Ok(()) };
            // What was taken before makes room for what comes.
            bytes.drain(..std::mem::take(&mut self.position));
            let Source { connection, exchange, shared } = source;
            match py.detach(|| connection.read_body(shared, *exchange, PIECE_BYTES, bytes)) {
                Ok(0) => self.source = None,
                Ok(_) => {}
                Err(fault) => return Err(body_error(fault)),
            }
        }
        Ok(())
    }

    fn take<'py>(&mut self, py: Python<'py>, wanted: usize) -> Bound<'py, PyBytes> {
        let at_hand = self.at_hand();
        let taken = at_hand.get(..wanted).unwrap_or(at_hand);
        let bytes = PyBytes::new(py, taken);
        self.position += taken.len();
        bytes
    }

    fn line<'py>(&mut self, py: Python<'py>, wanted: usize) -> PyResult<Bound<'py, PyBytes>> {
        self.fill(py, |at_hand, known_bytes| {
            let fresh = at_hand.get(known_bytes..).unwrap_or_default();
            at_hand.len() >= wanted || memchr(b'\n', fresh).is_some()
        })?;
        let at_hand = self.at_hand();
        let within = at_hand.get(..wanted).unwrap_or(at_hand);
        let line_bytes = memchr(b'\n', within).map_or(within.len(), |end| end + 1);
        Ok(self.take(py, line_bytes))
    }
}

fn body_error(fault: BodyFault) -> PyErr {
    let text = match fault {
        BodyFault::Refused(refused) => format!("the request body is malformed: {}", refused.reason()),
        BodyFault::CutShort => {
            "the client closed the connection before the request body was complete".to_owned()
        }
        BodyFault::TooSlow => {
            "the request body came slower than body_timeout and min_data_rate allow".to_owned()
        }
        BodyFault::Gone => "the connection was closed before the request body was complete".to_owned(),
    };
    python_errors::request_body_error(text)
}
