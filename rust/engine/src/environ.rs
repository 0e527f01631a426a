//! Step 4 of 6 - a request becomes the environ, exactly a dict of str (PEP 3333, "environ Variables").
//!
//! The only place where a header field becomes an environ key. Texts are "bytes in str": each character stands for one
//! byte, latin-1 (PEP 3333, "Unicode Issues").

use crate::exchange::{Body, Exchange};
use crate::input::Input;
use crate::recent::Recent;
use crate::shared::Shared;
use crate::texts::{Texts, USUAL_METHODS, latin1, texts};
use barkeep_wire::{Head, Version};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::sync::Arc;

/// Stands in the template, so that most requests need not set it.
const MOST_USUAL_METHOD: &str = "GET";

/// Keys that grow the template's table to 64 entries, and few enough for CPython to copy the table as it is: it does
/// that when at least two thirds of the entries ever made are in use.
const SPARE_KEYS: usize = 4;

/// What every environ of one application thread and one listener begins with.
pub fn template<'py>(
    py: Python<'py>,
    shared: &Shared,
    listener: usize,
    errors: &Bound<'py, PyAny>,
    file_wrapper: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyDict>> {
    let address = shared.server_addresses.get(listener);
    let environ = PyDict::new(py);
    // First the keys that requests set, so that their environ need not grow for them.
    environ.set_item("REQUEST_METHOD", PyString::intern(py, MOST_USUAL_METHOD))?;
    for key in ["PATH_INFO", "QUERY_STRING", "REMOTE_ADDR", "REMOTE_PORT", "REQUEST_URI", "RAW_URI"] {
        environ.set_item(PyString::intern(py, key), PyString::intern(py, ""))?;
    }
    environ.set_item("SCRIPT_NAME", latin1(py, shared.options.root_path.as_bytes()))?;
    environ.set_item("SERVER_NAME", address.map_or("localhost", |address| &address.name))?;
    environ.set_item("SERVER_PORT", address.map_or("80", |address| &address.port))?;
    environ.set_item("SERVER_PROTOCOL", "HTTP/1.1")?;
    environ.set_item("SERVER_SOFTWARE", concat!("barkeep/", env!("CARGO_PKG_VERSION")))?;
    environ.set_item("wsgi.version", (1, 0))?;
    environ.set_item("wsgi.url_scheme", "http")?;
    environ.set_item("wsgi.input", Input::empty())?;
    environ.set_item("wsgi.errors", errors)?;
    environ.set_item("wsgi.multithread", shared.options.threads > 1)?;
    // A worker has siblings, or an heir that begins while it ends.
    environ.set_item("wsgi.multiprocess", shared.scoreboard.is_shared)?;
    environ.set_item("wsgi.run_once", false)?;
    environ.set_item("wsgi.file_wrapper", file_wrapper)?;
    environ.set_item("wsgi.input_terminated", true)?;
    environ.set_item("barkeep.worker_slot", shared.scoreboard.identity.slot)?;
    if shared.timeouts.is_on() {
        environ.set_item(&texts(py).deadline, 0.0)?;
    }
    // A copy has the room of what it was copied from: let it have some for the header fields.
    let room: Vec<String> = (0..SPARE_KEYS).map(|number| format!("spare-{number}")).collect();
    for key in &room {
        environ.set_item(key, py.None())?;
    }
    for key in &room {
        environ.del_item(key)?;
    }
    Ok(environ)
}

/// The environ of one request. Takes the body out of the exchange.
pub fn build<'py>(
    template: &Bound<'py, PyDict>,
    recent: &mut Recent,
    exchange: &mut Exchange,
    shared: &Arc<Shared>,
) -> PyResult<Bound<'py, PyDict>> {
    let py = template.py();
    let texts = texts(py);
    let environ = template.copy()?;
    let body = std::mem::replace(&mut exchange.body, Body::Empty);
    let head = &exchange.head;
    let body_bytes = if let Body::Whole(body) = &body { Some(body.bytes.len()) } else { None };
    set_method(&environ, texts, head.method())?;
    set_target(&environ, texts, head, &shared.options.root_path)?;
    if head.version() == Version::Http10 {
        environ.set_item(&texts.server_protocol, &texts.http_1_0)?;
    }
    let peer = recent.peer(py, &exchange.connection);
    environ.set_item(&texts.remote_addr, peer.address)?;
    if let Some(port) = peer.port {
        environ.set_item(&texts.remote_port, port)?;
    }
    set_deadline(&environ, texts, exchange, shared)?;
    set_fields(&environ, texts, recent, head, body_bytes)?;
    if !matches!(body, Body::Empty) {
        environ
            .set_item(&texts.wsgi_input, Input::new(body, &exchange.connection, exchange.number, shared))?;
    }
    Ok(environ)
}

/// By when the application must have begun its answer, on the clock of `time.monotonic()`; not for requests that may take
/// for ever.
fn set_deadline(
    environ: &Bound<'_, PyDict>,
    texts: &Texts,
    exchange: &Exchange,
    shared: &Shared,
) -> PyResult<()> {
    if exchange.timeout_ms > 0 {
        let deadline_ns = exchange.times.taken_ns + u64::from(exchange.timeout_ms) * 1_000_000;
        environ.set_item(&texts.deadline, deadline_ns as f64 / 1e9)
    } else if shared.timeouts.is_on() {
        environ.del_item(&texts.deadline)
    } else {
        Ok(())
    }
}

fn set_method(environ: &Bound<'_, PyDict>, texts: &Texts, method: &[u8]) -> PyResult<()> {
    if method == MOST_USUAL_METHOD.as_bytes() {
        return Ok(());
    }
    let usual = USUAL_METHODS.iter().position(|usual| usual.as_bytes() == method);
    match usual.and_then(|index| texts.methods.get(index)) {
        Some(method) => environ.set_item(&texts.request_method, method),
        None => environ.set_item(&texts.request_method, latin1(environ.py(), method)),
    }
}

/// PATH_INFO, QUERY_STRING, and the target as it was received.
fn set_target(environ: &Bound<'_, PyDict>, texts: &Texts, head: &Head, root_path: &str) -> PyResult<()> {
    let py = environ.py();
    let target = latin1(py, head.target());
    environ.set_item(&texts.request_uri, &target)?;
    environ.set_item(&texts.raw_uri, &target)?;
    if !head.query().is_empty() {
        environ.set_item(&texts.query_string, latin1(py, head.query()))?;
    }
    let decoded;
    let mut path = head.path();
    if path.contains(&b'%') {
        decoded = percent_decoded(path);
        path = &decoded;
    }
    if let Some(rest) = path.strip_prefix(root_path.as_bytes())
        && matches!(rest, [] | [b'/', ..])
    {
        path = rest;
    }
    if path == b"*" {
        // Server-wide OPTIONS: no path, and PEP 3333 has no other word for that than the empty one.
        return Ok(());
    }
    if path == head.target() {
        return environ.set_item(&texts.path_info, target);
    }
    environ.set_item(&texts.path_info, latin1(py, path))
}

/// Each escape once; the wire has refused those that are not two hexadecimal digits.
pub fn percent_decoded(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let escape = if byte == b'%' { after.split_first_chunk::<2>() } else { None };
        match escape.and_then(|(digits, after)| Some((hex_byte(*digits)?, after))) {
            Some((escaped, after)) => {
                decoded.push(escaped);
                rest = after;
            }
            None => decoded.push(byte),
        }
    }
    decoded
}

fn hex_byte([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

/// CONTENT_TYPE, CONTENT_LENGTH and HTTP_*.
///
/// body_bytes: of a body that is here whole: then its length is told even if the peer sent it in chunks, and the coding
/// that is no more is not.
fn set_fields(
    environ: &Bound<'_, PyDict>,
    texts: &Texts,
    recent: &mut Recent,
    head: &Head,
    body_bytes: Option<usize>,
) -> PyResult<()> {
    let py = environ.py();
    // A bit per kind of name seen: only when it is seen again can a field be a repeated one.
    let mut seen = 0u64;
    for (name, value) in head.fields() {
        if let Some(field) = texts.field(name) {
            let value = match field.repeated {
                Some(number) => recent.value(py, number, value),
                None => latin1(py, value),
            };
            set_field(environ, field.key.bind(py), name, value, &mut seen)?;
            continue;
        }
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        if is(b"content-type") {
            set_field(environ, texts.content_type.bind(py), name, latin1(py, value), &mut seen)?;
        } else if is(b"content-length") {
            environ.set_item(&texts.content_length, latin1(py, value))?;
        } else if !is(b"proxy") && !name.contains(&b'_') {
            // HTTP_PROXY would be taken for the environment variable of that name (httpoxy), and X_Role must not pass for
            // X-Role (docs/adr/0006).
            set_field(environ, &environ_key(py, name), name, latin1(py, value), &mut seen)?;
        }
    }
    if !head.target().starts_with(b"/")
        && let (Some(host), Some(field)) = (head.host(), texts.field(b"host"))
    {
        // The authority of an absolute target stands above the Host field (RFC 9112 section 3.2.2).
        environ.set_item(&field.key, latin1(py, host))?;
    }
    if let Some(body_bytes) = body_bytes {
        let length = PyString::new(py, itoa::Buffer::new().format(body_bytes));
        environ.set_item(&texts.content_length, length)?;
        if let Some(field) = texts.field(b"transfer-encoding")
            && environ.contains(&field.key)?
        {
            environ.del_item(&field.key)?;
        }
    }
    Ok(())
}

/// Sets or, for a repeated field, joins: Cookie with "; " (RFC 6265 5.4), all others with "," (RFC 9110 5.3).
fn set_field(
    environ: &Bound<'_, PyDict>,
    key: &Bound<'_, PyString>,
    name: &[u8],
    value: Bound<'_, PyString>,
    seen: &mut u64,
) -> PyResult<()> {
    let bit =
        1u64 << ((name.len().wrapping_mul(7) ^ usize::from(name.last().map_or(0, |last| last | 0x20))) % 64);
    if std::mem::replace(seen, *seen | bit) & bit != 0
        && let Some(before) = environ.get_item(key)?
    {
        let separator = if name.eq_ignore_ascii_case(b"cookie") { "; " } else { "," };
        let joined = before.add(separator)?.add(value)?;
        return environ.set_item(key, joined);
    }
    environ.set_item(key, value)
}

fn environ_key<'py>(py: Python<'py>, name: &[u8]) -> Bound<'py, PyString> {
    let mut key = String::with_capacity(name.len() + 5);
    key.push_str("HTTP_");
    key.extend(
        name.iter().map(|byte| if *byte == b'-' { '_' } else { char::from(byte.to_ascii_uppercase()) }),
    );
    PyString::new(py, &key)
}
