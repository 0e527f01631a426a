//! Step 6a of 6 - the bytes of answers, and the faults an application hears of.
#![allow(clippy::unwrap_used, reason = "a failing test says so by panicking")]

use barkeep_wire::{
    BodySize, CONTINUE, CommonFields, LAST_CHUNK, Persistence, RequestFacts, ResponseFraming, ResponseHead,
    Version, write_chunk_head, write_refusal,
};

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";
const COMMON: CommonFields<'_> = CommonFields { date: DATE, server: b"barkeep" };
const GET: RequestFacts = RequestFacts { is_head: false, version: Version::Http11 };

fn head_of(status: &str, fields: &[(&str, &str)]) -> ResponseHead {
    let mut head = ResponseHead::new();
    head.set_status(status.as_bytes()).unwrap();
    for (name, value) in fields {
        head.add_field(name.as_bytes(), value.as_bytes()).unwrap();
    }
    head
}

fn written(head: &ResponseHead, framing: ResponseFraming, persistence: Persistence) -> String {
    let mut out = Vec::new();
    head.write_to(&mut out, &framing, persistence, &COMMON);
    String::from_utf8(out).unwrap()
}

fn fault_of_status(status: &[u8]) -> String {
    ResponseHead::new().set_status(status).unwrap_err().to_string()
}

fn fault_of_field(name: &[u8], value: &[u8]) -> String {
    ResponseHead::new().add_field(name, value).unwrap_err().to_string()
}

#[test]
fn a_head_is_status_line_given_fields_and_the_servers_own() {
    let head =
        head_of("200 OK", &[("Content-Type", "text/plain"), ("X-A", " \t1 "), ("Content-Length", "13")]);
    let framing = head.frame(GET, BodySize::Known(13));
    assert_eq!(
        written(&head, framing, Persistence::KeepAlive11),
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-A: 1\r\nServer: barkeep\r\n\
         Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 13\r\n\r\n"
    );
}

#[test]
fn date_and_server_of_the_application_stay() {
    let head = head_of("200 OK", &[("dAtE", "then"), ("server", "mine")]);
    assert_eq!(
        written(&head, ResponseFraming::Chunked, Persistence::Close),
        "HTTP/1.1 200 OK\r\ndAtE: then\r\nserver: mine\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    );
}

#[test]
fn an_empty_server_name_is_not_sent() {
    let mut out = Vec::new();
    let common = CommonFields { date: DATE, server: b"" };
    head_of("204 No Content", &[]).write_to(
        &mut out,
        &ResponseFraming::NoBody,
        Persistence::KeepAlive10,
        &common,
    );
    let expected: &[u8] =
        b"HTTP/1.1 204 No Content\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: keep-alive\r\n\r\n";
    assert_eq!(out, expected);
}

#[test]
fn a_body_until_close_says_so_whatever_was_wished() {
    let text = written(&head_of("200 OK", &[]), ResponseFraming::Close, Persistence::KeepAlive10);
    assert!(text.ends_with("\r\nConnection: close\r\n\r\n") && !text.contains("keep-alive"), "{text}");
}

#[test]
fn a_length_on_204_is_dropped_and_on_304_kept() {
    let no_content = head_of("204 No Content", &[("Content-Length", "5")]);
    let framing = no_content.frame(GET, BodySize::Known(5));
    assert!(!written(&no_content, framing, Persistence::KeepAlive11).contains("Content-Length"));
    let not_modified = head_of("304 Not Modified", &[("Content-Length", "5")]);
    let framing = not_modified.frame(GET, BodySize::Known(0));
    assert!(written(&not_modified, framing, Persistence::KeepAlive11).contains("\r\nContent-Length: 5\r\n"));
    assert!(!framing.has_body());
}

#[test]
fn a_reason_may_be_empty_or_missing_or_latin_1() {
    for (status, line) in [
        (&b"404"[..], &b"HTTP/1.1 404 \r\n"[..]),
        (b"404 ", b"HTTP/1.1 404 \r\n"),
        (b"299 Fran\xe7ais", b"HTTP/1.1 299 Fran\xe7ais\r\n"),
        (b"999 X", b"HTTP/1.1 999 X\r\n"),
    ] {
        let mut head = ResponseHead::new();
        head.set_status(status).unwrap();
        let mut out = Vec::new();
        head.write_to(&mut out, &ResponseFraming::NoBody, Persistence::KeepAlive11, &COMMON);
        assert!(out.starts_with(line), "{}", out.escape_ascii());
    }
}

#[test]
fn a_status_without_three_digits_is_a_fault_that_shows_it() {
    for status in
        ["", "99 Nope", "2000 OK", "20", "OK", "+20 OK", "200OK", "200\tOK", "\u{661}00 OK", "099 X"]
    {
        assert!(fault_of_status(status.as_bytes()).contains("must be three digits"), "{status:?}");
    }
    assert!(fault_of_status(b"99 Nope").starts_with("status \"99 Nope\""));
    assert_eq!(fault_of_status(b"101 Switching"), "status 101 is not a final answer; use 200 to 999");
    assert!(fault_of_status(b"200 OK\r\nX: 1").contains("control character"));
}

#[test]
fn a_refused_status_leaves_the_one_before() {
    let mut head = head_of("200 OK", &[]);
    assert!(head.set_status(b"nonsense").is_err());
    assert_eq!((head.status(), head.is_set()), (200, true));
}

#[test]
fn a_line_break_in_a_value_is_a_fault_that_names_the_field() {
    for value in [&b"a\r\nSet-Cookie: b"[..], b"a\n", b"\r", b"a\nb"] {
        assert_eq!(fault_of_field(b"X-Y", value), "header field \"X-Y\" has a line break in its value");
    }
    assert_eq!(
        fault_of_field(b"X-Y", b"a\0"),
        "header field \"X-Y\" has the control character \\x00 in its value"
    );
    assert!(ResponseHead::new().add_field(b"X-Y", b"a\tb \xff").is_ok());
}

#[test]
fn a_name_that_is_no_token_is_a_fault() {
    for name in ["", "X Y", "X:", "X\r\n", "\u{e9}", "X\0"] {
        assert!(fault_of_field(name.as_bytes(), b"1").contains("is not a token"), "{name:?}");
    }
    assert!(fault_of_field(b"X\r\nY", b"1").starts_with("header field name \"X\\r\\nY\""));
}

#[test]
fn hop_by_hop_fields_are_the_servers() {
    // wsgiref.util.is_hop_by_hop
    for name in [
        "Connection",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "TE",
        "Trailers",
        "TRANSFER-ENCODING",
        "upgrade",
    ] {
        assert!(fault_of_field(name.as_bytes(), b"x").contains("is hop-by-hop"), "{name}");
    }
}

#[test]
fn a_length_is_digits_and_given_once() {
    for value in ["", "+5", "5, 5", "0x5", "1e3", "5.0", "18446744073709551616", "-1"] {
        assert!(fault_of_field(b"content-length", value.as_bytes()).contains("whole number"), "{value:?}");
    }
    let mut head = head_of("200 OK", &[("Content-Length", "5")]);
    assert_eq!(head.content_length(), Some(5));
    let fault = head.add_field(b"CONTENT-LENGTH", b"5").unwrap_err();
    assert_eq!(fault.to_string(), "header field \"Content-Length\" is set twice; set it once");
}

#[test]
fn a_cleared_head_knows_nothing_of_the_answer_before() {
    let mut head =
        head_of("404 Not Found", &[("Date", "x"), ("Server", "y"), ("Content-Length", "5"), ("A", "b")]);
    head.clear();
    assert_eq!((head.status(), head.is_set(), head.content_length()), (0, false, None));
    head.set_status(b"200 OK").unwrap();
    let text = written(&head, ResponseFraming::NoBody, Persistence::KeepAlive11);
    assert_eq!(text, "HTTP/1.1 200 OK\r\nServer: barkeep\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n");
}

#[test]
fn a_refusal_is_a_whole_answer_that_closes() {
    let mut out = Vec::new();
    write_refusal(&mut out, 400, false, &COMMON);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "HTTP/1.1 400 Bad Request\r\nServer: barkeep\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Length: 16\r\nConnection: close\r\n\r\n400 Bad Request\n"
    );
}

#[test]
fn a_refusal_of_head_tells_its_length_and_has_no_body() {
    let mut out = Vec::new();
    write_refusal(&mut out, 431, true, &COMMON);
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("\r\nContent-Length: 36\r\n") && text.ends_with("\r\n\r\n"), "{text}");
}

#[test]
fn a_503_says_when_to_come_back() {
    let mut out = Vec::new();
    write_refusal(&mut out, 503, false, &COMMON);
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("\r\nRetry-After: 1\r\n"), "{text}");
}

#[test]
fn chunk_heads_are_plain_hexadecimal() {
    for bytes in [1, 9, 10, 15, 16, 255, 256, 4096, 65_535, 1 << 20, usize::MAX] {
        let mut out = Vec::new();
        write_chunk_head(&mut out, bytes);
        assert_eq!(out, format!("{bytes:x}\r\n").into_bytes());
    }
}

#[test]
fn fixed_answers_end_with_an_empty_line() {
    assert_eq!(CONTINUE, b"HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(LAST_CHUNK, b"0\r\n\r\n");
}
