//! Step 6 of 6 - the form of an access-log line: combined, JSON, or a format string with named fields.

use crate::access_log::{Durations, Record, field_value};
use crate::log::write_timestamp;
use barkeep_wire::{Version, format_imf_fixdate};

/// Every name that a format string may have between braces, and every key of the JSON form.
pub const FIELDS: [&str; 24] = [
    "time",
    "client",
    "client_port",
    "method",
    "target",
    "path",
    "query",
    "protocol",
    "request",
    "host",
    "status",
    "bytes_sent",
    "bytes_received",
    "referer",
    "user_agent",
    "outcome",
    "head_us",
    "queue_us",
    "app_us",
    "write_us",
    "total_us",
    "user",
    "date",
    "pid",
];

/// Left out of the JSON form: `request` and `date` say again what others say; there is no `user` to tell of.
const NOT_IN_JSON: [&str; 3] = ["request", "date", "user"];

/// The Apache and nginx form of this name.
const COMBINED: &str =
    r#"{client} - {user} [{date}] "{request}" {status} {bytes_sent} "{referer}" "{user_agent}""#;

/// A parsed format.
pub enum Format {
    Json,
    Text(Vec<Segment>),
}

/// A piece of a text format.
pub enum Segment {
    Literal(Vec<u8>),
    Field(&'static str),
}

/// Why a format string cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub enum FormatFault {
    UnknownField(String),
    UnclosedBrace,
}

impl Format {
    /// From the setting: `combined`, `json`, or text with `{field}`s; `{{` and `}}` are braces.
    pub fn parse(text: &str) -> Result<Format, FormatFault> {
        match text {
            "json" => Ok(Format::Json),
            "combined" => Ok(Format::Text(segments(COMBINED)?)),
            other => Ok(Format::Text(segments(other)?)),
        }
    }

    /// Appends one line without its end.
    pub fn render(
        &self,
        record: &Record,
        durations: &Durations,
        seconds: u64,
        micros: u32,
        out: &mut Vec<u8>,
    ) {
        let line = Line { record, durations, seconds, micros };
        match self {
            Format::Json => line.render_json(out),
            Format::Text(segments) => {
                for segment in segments {
                    match segment {
                        Segment::Literal(bytes) => out.extend_from_slice(bytes),
                        Segment::Field(name) => line.render_text(name, out),
                    }
                }
            }
        }
    }
}

fn segments(text: &str) -> Result<Vec<Segment>, FormatFault> {
    let mut segments = Vec::new();
    let mut literal = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
            literal.extend(first.to_string().bytes());
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let (name, after) = after.split_once('}').ok_or(FormatFault::UnclosedBrace)?;
            let field = FIELDS.iter().find(|field| **field == name);
            let field = field.ok_or_else(|| FormatFault::UnknownField(name.to_owned()))?;
            segments.push(Segment::Literal(std::mem::take(&mut literal)));
            segments.push(Segment::Field(field));
            rest = after;
        } else {
            literal.extend(first.to_string().bytes());
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    segments.push(Segment::Literal(literal));
    Ok(segments)
}

/// A value on its way into a line.
enum Value<'a> {
    Bytes(&'a [u8]),
    Own(Vec<u8>),
    Number(u64),
    Missing,
}

struct Line<'a> {
    record: &'a Record,
    durations: &'a Durations,
    seconds: u64,
    micros: u32,
}

impl<'a> Line<'a> {
    fn render_text(&self, name: &str, out: &mut Vec<u8>) {
        match self.value(name) {
            Value::Bytes(bytes) => escape_text(bytes, out),
            Value::Own(bytes) => escape_text(&bytes, out),
            Value::Number(number) => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
            Value::Missing => out.push(b'-'),
        }
    }

    fn render_json(&self, out: &mut Vec<u8>) {
        let names = FIELDS.iter().filter(|name| !NOT_IN_JSON.contains(name));
        for (index, name) in names.enumerate() {
            out.extend_from_slice(if index == 0 { b"{\"" } else { b", \"" });
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\": ");
            match self.value(name) {
                Value::Bytes(bytes) => escape_json(bytes, out),
                Value::Own(bytes) => escape_json(&bytes, out),
                Value::Number(number) => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
                Value::Missing => out.extend_from_slice(b"null"),
            }
        }
        out.push(b'}');
    }

    fn value(&self, name: &str) -> Value<'a> {
        let Line { record, durations, .. } = self;
        let head = record.head();
        let of_head = |bytes: Option<&'a [u8]>| match bytes {
            Some([]) | None => Value::Missing,
            Some(bytes) => Value::Bytes(bytes),
        };
        match name {
            "time" => Value::Own(self.timestamp()),
            "date" => Value::Own(self.apache_date()),
            "client" if record.client().is_empty() => Value::Bytes(b"unix"),
            "client" => Value::Bytes(record.client()),
            "client_port" => {
                record.client_port().map_or(Value::Missing, |port| Value::Number(u64::from(port)))
            }
            "method" => of_head(head.map(|head| head.method())),
            "target" => of_head(head.map(|head| head.target())),
            "path" => of_head(head.map(|head| head.path())),
            "query" => of_head(head.map(|head| head.query())),
            "protocol" => head.map_or(Value::Missing, |head| Value::Bytes(protocol(head.version()))),
            "request" => Value::Own(self.request_line()),
            "host" => of_head(head.and_then(|head| head.host())),
            "status" => Value::Number(u64::from(record.status)),
            "bytes_sent" => Value::Number(record.bytes_sent),
            "bytes_received" => Value::Number(record.bytes_received),
            "referer" => of_head(field_value(head, b"referer")),
            "user_agent" => of_head(field_value(head, b"user-agent")),
            "outcome" => Value::Bytes(record.outcome.name().as_bytes()),
            "head_us" => Value::Number(durations.head_us),
            "queue_us" => Value::Number(durations.queue_us),
            "app_us" => Value::Number(durations.app_us),
            "write_us" => Value::Number(durations.write_us),
            "total_us" => Value::Number(durations.total_us),
            "pid" => Value::Number(u64::from(std::process::id())),
            _ => Value::Missing,
        }
    }

    fn request_line(&self) -> Vec<u8> {
        let Some(head) = self.record.head().filter(|head| !head.method().is_empty()) else {
            return b"-".to_vec();
        };
        [head.method(), head.target(), protocol(head.version())].join(&b' ')
    }

    fn timestamp(&self) -> Vec<u8> {
        let mut text = String::with_capacity(27);
        write_timestamp(&mut text, self.seconds, self.micros);
        text.into_bytes()
    }

    /// `20/Nov/2026:14:00:00 +0000`, from the parts of `Fri, 20 Nov 2026 14:00:00 GMT`.
    fn apache_date(&self) -> Vec<u8> {
        let date = format_imf_fixdate(self.seconds);
        let part = |from: usize, to: usize| date.get(from..to).unwrap_or_default();
        let day = [part(5, 7), part(8, 11), part(12, 16)].join(&b'/');
        [&day, &b":"[..], part(17, 25), b" +0000"].concat()
    }
}

fn protocol(version: Version) -> &'static [u8] {
    match version {
        Version::Http10 => b"HTTP/1.0",
        Version::Http11 => b"HTTP/1.1",
    }
}

/// As Apache and nginx escape: quotes, backslashes, and `\xHH` for all that is not printable ASCII.
pub fn escape_text(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x20..=0x7e => out.push(byte),
            other => {
                out.extend_from_slice(b"\\x");
                push_hex(other, out);
            }
        }
    }
}

/// A JSON string; bytes stand for the characters of latin-1, as in the environ.
pub fn escape_json(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x20..=0x7e => out.push(byte),
            other => {
                out.extend_from_slice(b"\\u00");
                push_hex(other, out);
            }
        }
    }
    out.push(b'"');
}

fn push_hex(byte: u8, out: &mut Vec<u8>) {
    for digit in [byte >> 4, byte & 15] {
        out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
    }
}
