//! Step 6 of 6 - status and header fields as the application gives them, checked (PEP 3333, "The start_response()
//! Callable"). Errors name the fault; the application is to blame.

use crate::python_errors::application_error;
use barkeep_wire::ResponseHead;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyList, PyString, PyTuple};

/// `"200 OK"`: a str of three digits, and a reason that may be empty.
pub fn read_status(status: &Bound<'_, PyAny>, response: &mut ResponseHead) -> PyResult<()> {
    let Ok(text) = status.cast::<PyString>() else {
        return Err(wrong_type("the status must be a str", status));
    };
    let status = with_latin1(text, |bytes| response.set_status(bytes));
    match status {
        Some(Ok(())) => Ok(()),
        Some(Err(fault)) => {
            Err(application_error(format!("{fault} (PEP 3333, The start_response() Callable)")))
        }
        None => {
            Err(application_error("the status has characters outside latin-1 (PEP 3333, Unicode Issues)"))
        }
    }
}

/// A list of tuples of two str.
pub fn read_fields(headers: &Bound<'_, PyAny>, response: &mut ResponseHead) -> PyResult<()> {
    let Ok(list) = headers.cast::<PyList>() else {
        return Err(wrong_type("the headers must be a list", headers));
    };
    for (index, field) in list.iter().enumerate() {
        let Ok(pair) = field.cast::<PyTuple>() else {
            return Err(wrong_type(&format!("header {index} must be a tuple of name and value"), &field));
        };
        let (Ok(name), Ok(value), 2) = (pair.get_borrowed_item(0), pair.get_borrowed_item(1), pair.len())
        else {
            return Err(application_error(format!(
                "header {index} must be a tuple of name and value, found {} items",
                pair.len()
            )));
        };
        read_field(&name, &value, response)?;
    }
    Ok(())
}

fn read_field(
    name: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    response: &mut ResponseHead,
) -> PyResult<()> {
    let Ok(name) = name.cast::<PyString>() else {
        return Err(wrong_type("the name of a header must be a str", name));
    };
    let Ok(value) = value.cast::<PyString>() else {
        return Err(wrong_type(&format!("the value of header {} must be a str", shown(name)), value));
    };
    let added = with_latin1(name, |name| with_latin1(value, |value| response.add_field(name, value)));
    match added {
        Some(Some(Ok(()))) => Ok(()),
        Some(Some(Err(fault))) => Err(application_error(fault.to_string())),
        Some(None) | None => Err(application_error(format!(
            "header {} has characters outside latin-1 (PEP 3333, Unicode Issues)",
            shown(name)
        ))),
    }
}

/// Runs `read` over the text's bytes in latin-1; None when it has others.
fn with_latin1<T>(text: &Bound<'_, PyString>, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
    let text = text.to_str().ok()?;
    if text.is_ascii() {
        return Some(read(text.as_bytes()));
    }
    let bytes: Option<Vec<u8>> =
        text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect();
    Some(read(&bytes?))
}

fn shown(name: &Bound<'_, PyString>) -> String {
    name.repr().map_or_else(|_| "?".to_owned(), |repr| repr.to_string())
}

fn wrong_type(must: &str, found: &Bound<'_, PyAny>) -> PyErr {
    let kind = found.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
    application_error(format!("{must}, found {kind} (PEP 3333, The start_response() Callable)"))
}
