//! Step 6a of 6 - the contract of answers: an application cannot make one that a peer reads as something else.

use barkeep_wire::{BodySize, CommonFields, Persistence, RequestFacts, ResponseHead, Version};
use barkeep_wire::{ResponseFraming, format_imf_fixdate, persistence};

/// Whatever an application gives, it is a fault, or a head whose lines are those that were given and the server's own.
///
/// `data`: one byte of request facts, a status, then names and values; parts end at 0xff.
pub fn answer(data: &[u8]) {
    let (choices, data) = data.split_first().unwrap_or((&0, b""));
    let mut parts = data.split(|byte| *byte == 0xff);
    let mut head = ResponseHead::new();
    if let Err(fault) = head.set_status(parts.next().unwrap_or(b"")) {
        check_fault(&fault.to_string());
        assert!(!head.is_set());
        head.set_status(b"200 OK").expect("a plain status is taken");
    }
    let mut given = Vec::new();
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        match head.add_field(name, value) {
            Err(fault) => check_fault(&fault.to_string()),
            Ok(()) => given.push(name.to_ascii_lowercase()),
        }
    }
    let version = if choices & 1 == 0 { Version::Http11 } else { Version::Http10 };
    let request = RequestFacts { is_head: choices & 2 != 0, version };
    let body = if choices & 4 == 0 { BodySize::Unknown } else { BodySize::Known(u64::from(choices >> 4)) };
    let framing = head.frame(request, body);
    let persistence = persistence(request, framing, choices & 8 == 0, true);
    let date = format_imf_fixdate(784_111_777);
    let mut out = Vec::new();
    head.write_to(&mut out, &framing, persistence, &CommonFields { date: &date, server: b"barkeep" });
    check_written(&out, &given, framing, persistence);
}

/// A fault is one line of plain text.
fn check_fault(text: &str) {
    assert!(!text.is_empty() && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{text:?}");
}

fn check_written(out: &[u8], given: &[Vec<u8>], framing: ResponseFraming, persistence: Persistence) {
    let text = out.strip_suffix(b"\r\n\r\n").expect("a head ends with an empty line");
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let (status_line, field_lines) = lines.split_first().expect("a head has a status line");
    assert!(status_line.starts_with(b"HTTP/1.1 "));
    let mut names = Vec::new();
    for (index, line) in field_lines.iter().enumerate() {
        let line = if index + 1 < field_lines.len() { &line[..line.len() - 1] } else { line };
        assert!(line.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)), "control byte");
        let colon = line.iter().position(|byte| *byte == b':').expect("a field line has a colon");
        names.push(line[..colon].to_ascii_lowercase());
    }
    let count = |wanted: &[u8]| names.iter().filter(|name| *name == wanted).count();
    assert!(count(b"date") >= 1 && count(b"server") >= 1);
    let own: [&[u8]; 5] = [b"date", b"server", b"content-length", b"transfer-encoding", b"connection"];
    for name in names.iter().filter(|name| !own.contains(&name.as_slice())) {
        assert!(given.contains(name), "a field that nobody gave: {}", name.escape_ascii());
    }
    let (lengths, codings) = match framing {
        ResponseFraming::Length { .. } | ResponseFraming::HeadOnly { content_length: Some(_) } => (1, 0),
        ResponseFraming::Chunked => (0, 1),
        ResponseFraming::NoBody
        | ResponseFraming::HeadOnly { content_length: None }
        | ResponseFraming::Close => (0, 0),
    };
    assert_eq!((count(b"content-length"), count(b"transfer-encoding")), (lengths, codings));
    let says_close = out.windows(20).any(|window| window == b"\r\nConnection: close\r");
    assert!(persistence != Persistence::Close || says_close);
    assert!(count(b"connection") <= 1);
}
