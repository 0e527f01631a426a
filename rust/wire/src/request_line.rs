//! Step 3 of 6 - the request line: method, target in one of four forms, version (RFC 9112 section 3).

use crate::error::Refusal;
use crate::grammar::{PATH, QUERY, TOKEN};
use crate::host::is_host_and_port;
use crate::limits::Limits;
use crate::span::Span;

/// The versions that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: closes by default, has no chunked coding and need not name its host.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// A request line, as spans of the input that it was read from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestLine {
    pub(crate) method: Span,
    pub(crate) target: Span,
    /// Empty for an absolute target without a path.
    pub(crate) path: Span,
    pub(crate) query: Span,
    /// The authority of an absolute target; empty in the other forms.
    pub(crate) authority: Span,
    pub(crate) version: Version,
}

impl RequestLine {
    pub(crate) const EMPTY: RequestLine = RequestLine {
        method: Span::EMPTY,
        target: Span::EMPTY,
        path: Span::EMPTY,
        query: Span::EMPTY,
        authority: Span::EMPTY,
        version: Version::Http11,
    };
}

/// Reads a line that begins `start` bytes into the input; `line` has its LF already taken off.
///
/// The version is looked at before the target, so that "PRI * HTTP/2.0" hears of its version.
pub(crate) fn read_request_line(line: &[u8], start: usize) -> Result<RequestLine, Refusal> {
    let Some(line) = line.strip_suffix(b"\r") else {
        return Err(Refusal::BareLf);
    };
    let method_bytes = TOKEN.run_length(line);
    let (method, rest) = line.split_at_checked(method_bytes).unwrap_or((line, b""));
    let [b' ', rest @ ..] = rest else {
        return Err(method_fault(rest));
    };
    if method.is_empty() {
        return Err(Refusal::RequestLineMalformed);
    }
    if method.len() > Limits::METHOD_BYTES {
        return Err(Refusal::MethodTooLong);
    }
    let Some(last_space) = memchr::memrchr(b' ', rest) else {
        return Err(Refusal::RequestLineMalformed);
    };
    let Some((target, version)) = rest.split_at_checked(last_space) else {
        return Err(Refusal::RequestLineMalformed);
    };
    let version = read_version(version)?;
    let target_start = start + method_bytes + 1;
    let parts = read_target(method, target, target_start)?;
    Ok(RequestLine { method: Span::at(start, method_bytes), version, ..parts })
}

fn method_fault(rest: &[u8]) -> Refusal {
    match rest {
        [] => Refusal::RequestLineMalformed,
        [b'\r', ..] => Refusal::BareCr,
        _ => Refusal::MethodInvalid,
    }
}

/// `version`: the space before it, and all that follows.
fn read_version(version: &[u8]) -> Result<Version, Refusal> {
    match version {
        b" HTTP/1.1" => Ok(Version::Http11),
        b" HTTP/1.0" => Ok(Version::Http10),
        [b' ', b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Refusal::VersionUnsupported)
        }
        _ => Err(Refusal::VersionMalformed),
    }
}

/// Decides the form of the target (RFC 9112 sections 3.2.1 to 3.2.4). The method is left for the caller to fill in.
fn read_target(method: &[u8], target: &[u8], start: usize) -> Result<RequestLine, Refusal> {
    let whole = RequestLine { target: Span::at(start, target.len()), ..RequestLine::EMPTY };
    match target {
        [] => Err(Refusal::RequestLineMalformed),
        [b' ', ..] => Err(Refusal::RequestLineMalformed),
        _ if method == b"CONNECT" => Err(Refusal::ConnectUnsupported),
        [b'/', ..] => read_path_and_query(whole, target, start),
        b"*" if method == b"OPTIONS" => Ok(RequestLine { path: whole.target, ..whole }),
        _ => read_absolute(whole, target, start),
    }
}

/// `absolute-form`: what a proxy is sent, and every server must accept (RFC 9112 section 3.2.2).
fn read_absolute(whole: RequestLine, target: &[u8], start: usize) -> Result<RequestLine, Refusal> {
    let scheme_bytes = match memchr::memmem::find(target, b"://").and_then(|colon| target.get(..colon)) {
        Some(scheme) if scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https") => {
            scheme.len()
        }
        Some([first, rest @ ..]) if first.is_ascii_alphabetic() && rest.iter().all(is_scheme_byte) => {
            return Err(Refusal::TargetSchemeUnknown);
        }
        Some(_) | None => return Err(form_fault(target)),
    };
    let after_scheme = target.get(scheme_bytes + 3..).unwrap_or(b"");
    let authority_bytes =
        after_scheme.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(after_scheme.len());
    let (authority, rest) = after_scheme.split_at_checked(authority_bytes).unwrap_or((after_scheme, b""));
    if !is_host_and_port(authority) {
        return Err(Refusal::TargetAuthorityInvalid);
    }
    let authority_start = start + scheme_bytes + 3;
    let authority = Span::at(authority_start, authority_bytes);
    read_path_and_query(RequestLine { authority, ..whole }, rest, authority_start + authority_bytes)
}

fn is_scheme_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// A target in no form at all: say whether it is its bytes or its shape.
fn form_fault(target: &[u8]) -> Refusal {
    if QUERY.contains_all(target) { Refusal::TargetFormInvalid } else { Refusal::TargetByteInvalid }
}

/// `rest`: the path and the query as sent; the path may be empty after an authority.
///
/// Escapes are checked in the path, which is decoded here on its way to PATH_INFO. The query is the application's to
/// decode, and browsers send a lone "%" in it.
fn read_path_and_query(line: RequestLine, rest: &[u8], start: usize) -> Result<RequestLine, Refusal> {
    let mut path_bytes = PATH.run_length(rest);
    loop {
        match rest.get(path_bytes..) {
            Some([b'%', high, low, ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                path_bytes += 3
            }
            Some([b'%', ..]) => return Err(Refusal::TargetEscapeInvalid),
            Some([b'?', query @ ..]) => {
                if !QUERY.contains_all(query) {
                    return Err(Refusal::TargetByteInvalid);
                }
                let query = Span::at(start + path_bytes + 1, query.len());
                return Ok(RequestLine { path: Span::at(start, path_bytes), query, ..line });
            }
            Some([]) | None => {
                return Ok(RequestLine { path: Span::at(start, path_bytes), ..line });
            }
            Some(after) => {
                // A run that ends at once ends at a byte that no part of a target may have.
                let run = PATH.run_length(after);
                if run == 0 {
                    return Err(Refusal::TargetByteInvalid);
                }
                path_bytes += run;
            }
        }
    }
}
