//! Step 4 of 6 - texts that are the same for every request, made once: keys of the environ, methods, usual field names.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Fields that many requests have, and mostly with the same value: their keys are made once, and `recent` keeps values.
const REPEATED_FIELDS: &str = "accept accept-charset accept-encoding accept-language cache-control connection dnt host \
    keep-alive origin pragma priority purpose referer sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest \
    sec-fetch-mode sec-fetch-site sec-fetch-user sec-gpc te upgrade-insecure-requests user-agent via x-forwarded-host \
    x-forwarded-port x-forwarded-proto x-requested-with";

/// Fields whose value is of one request, or not to be kept: only their keys are made once. Others are made per request.
const USUAL_FIELDS: &str = "authorization cookie date expect forwarded from if-match if-modified-since if-none-match \
    if-range if-unmodified-since max-forwards range traceparent tracestate trailer transfer-encoding upgrade x-csrftoken \
    x-forwarded-for x-real-ip x-request-id";

/// Methods whose text is made once.
pub const USUAL_METHODS: [&str; 7] = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"];

/// Longest usual field name; a longer one is not looked up.
const USUAL_NAME_BYTES: usize = 32;

/// Names and values that are the same for every request, interned.
pub struct Texts {
    /// By name in lower case.
    fields: HashMap<Box<[u8]>, Field, BuildHasherDefault<NameHasher>>,
    pub methods: [Py<PyString>; USUAL_METHODS.len()],
    pub request_method: Py<PyString>,
    pub path_info: Py<PyString>,
    pub query_string: Py<PyString>,
    pub content_type: Py<PyString>,
    pub content_length: Py<PyString>,
    pub server_protocol: Py<PyString>,
    pub http_1_0: Py<PyString>,
    pub remote_addr: Py<PyString>,
    pub remote_port: Py<PyString>,
    pub request_uri: Py<PyString>,
    pub raw_uri: Py<PyString>,
    pub wsgi_input: Py<PyString>,
    pub deadline: Py<PyString>,
}

/// A usual field.
pub struct Field {
    pub key: Py<PyString>,
    /// Which of the repeated ones, if it is one.
    pub repeated: Option<usize>,
}

/// FNV-1a: short names, a table that never changes, so nobody can choose what collides.
struct NameHasher(u64);

impl Default for NameHasher {
    fn default() -> NameHasher {
        NameHasher(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn write_usize(&mut self, _length: usize) {
        // The length of a slice comes before its bytes; names need no such prefix.
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

static TEXTS: PyOnceLock<Texts> = PyOnceLock::new();

pub fn texts(py: Python<'_>) -> &Texts {
    TEXTS.get_or_init(py, || {
        let intern = |text: &str| PyString::intern(py, text).unbind();
        let key = |name: &str| intern(&format!("HTTP_{}", name.to_uppercase().replace('-', "_")));
        let field = |(name, repeated): (&str, Option<usize>)| {
            (name.as_bytes().into(), Field { key: key(name), repeated })
        };
        let repeated = REPEATED_FIELDS.split(' ').enumerate().map(|(number, name)| (name, Some(number)));
        Texts {
            fields: repeated.chain(USUAL_FIELDS.split(' ').map(|name| (name, None))).map(field).collect(),
            methods: USUAL_METHODS.map(intern),
            request_method: intern("REQUEST_METHOD"),
            path_info: intern("PATH_INFO"),
            query_string: intern("QUERY_STRING"),
            content_type: intern("CONTENT_TYPE"),
            content_length: intern("CONTENT_LENGTH"),
            server_protocol: intern("SERVER_PROTOCOL"),
            http_1_0: intern("HTTP/1.0"),
            remote_addr: intern("REMOTE_ADDR"),
            remote_port: intern("REMOTE_PORT"),
            request_uri: intern("REQUEST_URI"),
            raw_uri: intern("RAW_URI"),
            wsgi_input: intern("wsgi.input"),
            deadline: intern("barkeep.deadline"),
        }
    })
}

impl Texts {
    /// The usual field of that name.
    pub fn field(&self, name: &[u8]) -> Option<&Field> {
        let mut lower = [0u8; USUAL_NAME_BYTES];
        let lower = lower.get_mut(..name.len())?;
        for (to, from) in lower.iter_mut().zip(name) {
            *to = from.to_ascii_lowercase();
        }
        self.fields.get(&*lower)
    }
}

/// Bytes in str, each byte a character.
pub fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.is_ascii() => PyString::new(py, text),
        _ => PyString::new(py, &bytes.iter().map(|byte| char::from(*byte)).collect::<String>()),
    }
}
