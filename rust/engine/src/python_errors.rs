//! The exceptions of `barkeep.errors`, raised from the engine.
//!
//! Making one runs no Python, which may be done under a lock: whoever waits for that lock is attached to the interpreter,
//! so Python that switched threads, or stopped them all for a collection, would wait for us for ever.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

static APPLICATION_ERROR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static REQUEST_BODY_ERROR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static SETTING_ERROR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static CLIENT_GONE: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// Imports them all, before anything can fail: later that would run Python.
pub fn load(py: Python<'_>) -> PyResult<()> {
    for (class, name) in [
        (&APPLICATION_ERROR, "ApplicationError"),
        (&REQUEST_BODY_ERROR, "RequestBodyError"),
        (&SETTING_ERROR, "SettingError"),
        (&CLIENT_GONE, "ClientGone"),
    ] {
        class.import(py, "barkeep.errors", name)?;
    }
    Ok(())
}

/// The application broke a rule of PEP 3333.
pub fn application_error(text: impl Into<String>) -> PyErr {
    raise(&APPLICATION_ERROR, "ApplicationError", text.into())
}

/// The request body cannot be read to its end.
pub fn request_body_error(text: impl Into<String>) -> PyErr {
    raise(&REQUEST_BODY_ERROR, "RequestBodyError", text.into())
}

/// A setting cannot be used; the operator is to blame.
pub fn setting_error(text: impl Into<String>) -> PyErr {
    raise(&SETTING_ERROR, "SettingError", text.into())
}

/// Nobody is left to answer.
pub fn client_gone() -> PyErr {
    raise(
        &CLIENT_GONE,
        "ClientGone",
        "the client closed the connection before its answer was complete".to_owned(),
    )
}

fn raise(class: &'static PyOnceLock<Py<PyType>>, name: &str, text: String) -> PyErr {
    Python::attach(|py| match class.import(py, "barkeep.errors", name) {
        Ok(class) => PyErr::from_type(class.clone(), text),
        Err(error) => error,
    })
}
