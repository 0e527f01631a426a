//! Step 3 of 6 - reads the raw request cases of tests/cases; the format is described in tests/cases/README.md.

/// What one request of a case must give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpectedRequest {
    /// "METHOD target HTTP/1.1".
    pub line: String,
    /// "key: value" lines that belong to it: field, body, path, query, host, connection, continue.
    pub facts: Vec<(String, String)>,
}

/// How the bytes of a case must end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedEnding {
    /// All bytes were read, and the connection waits for another request.
    Idle,
    /// The last request asked to close.
    Close,
    /// The bytes end within "head" or "body".
    NeedMore(String),
    /// Refused: the status and the name of the `Refusal`.
    Refused(u16, String),
}

/// One case: what it shows, what must come of it, the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    pub requests: Vec<ExpectedRequest>,
    pub ending: ExpectedEnding,
    pub bytes: Vec<u8>,
}

/// Reads a case file. The error names the line at fault.
pub fn read_case(text: &str) -> Result<Case, String> {
    let (header, raw) = text.split_once("\n\n").ok_or("no empty line between the outcome and the bytes")?;
    let mut requests: Vec<ExpectedRequest> = Vec::new();
    let mut ending = None;
    for line in header.lines().filter(|line| !line.starts_with('#')) {
        let (key, value) = key_and_value(line).ok_or_else(|| format!("not \"key: value\": {line}"))?;
        match (key, requests.last_mut()) {
            _ if ending.is_some() => return Err(format!("after the ending: {line}")),
            ("request", _) => {
                requests.push(ExpectedRequest { line: value.to_owned(), facts: Vec::new() });
            }
            ("ends", _) => ending = Some(read_ending(value)?),
            ("field" | "body" | "path" | "query" | "host" | "connection" | "continue", Some(request)) => {
                request.facts.push((key.to_owned(), value.to_owned()));
            }
            _ => return Err(format!("unknown key, or a fact before its request: {line}")),
        }
    }
    let ending = ending.ok_or("no \"ends\" line")?;
    // Line ends of the file are layout: the bytes' own are written \r\n.
    let bytes = unescape(&raw.replace('\n', ""))?;
    Ok(Case { requests, ending, bytes })
}

/// Splits at the first colon; one space behind it is layout. Fields are written in the same way.
pub fn key_and_value(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    Some((key, value.strip_prefix(' ').unwrap_or(value)))
}

fn read_ending(value: &str) -> Result<ExpectedEnding, String> {
    let mut words = value.split(' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some("idle"), None, None, None) => Ok(ExpectedEnding::Idle),
        (Some("close"), None, None, None) => Ok(ExpectedEnding::Close),
        (Some("need-more"), Some(place @ ("head" | "body")), None, None) => {
            Ok(ExpectedEnding::NeedMore(place.to_owned()))
        }
        (Some("refused"), Some(status), Some(name), None) => {
            let status = status.parse().map_err(|_| format!("not a status: {status}"))?;
            Ok(ExpectedEnding::Refused(status, name.to_owned()))
        }
        _ => Err(format!("no such ending: {value}")),
    }
}

/// Turns `\r \n \t \\ \xHH` and `\{COUNT:text}` into bytes; all other characters are UTF-8.
pub fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        rest = unescape_one(escape, &mut bytes).ok_or_else(|| format!("no such escape: \\{escape:.12}"))?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

/// `escape`: what stands behind a backslash. Answers what follows the escape.
fn unescape_one<'a>(escape: &'a str, bytes: &mut Vec<u8>) -> Option<&'a str> {
    let mut characters = escape.chars();
    match characters.next()? {
        'r' => bytes.push(b'\r'),
        'n' => bytes.push(b'\n'),
        't' => bytes.push(b'\t'),
        '\\' => bytes.push(b'\\'),
        'x' => {
            bytes.push(u8::from_str_radix(escape.get(1..3)?, 16).ok()?);
            return escape.get(3..);
        }
        '{' => {
            let (repeat, rest) = escape.get(1..)?.split_once('}')?;
            let (count, text) = repeat.split_once(':')?;
            bytes.extend(unescape(text).ok()?.repeat(count.parse().ok()?));
            return Some(rest);
        }
        _ => return None,
    }
    Some(characters.as_str())
}
