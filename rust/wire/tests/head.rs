//! Step 3a of 6 - what a head tells before it is complete, after a refusal and when it is used again.
//!
//! What is read and what is refused is in tests/cases; here is how the reader behaves to its caller.
#![allow(clippy::unwrap_used, reason = "a failing test says so by panicking")]

use barkeep_wire::{BodyFraming, Head, Limits, Parsed, Refusal, Version};

const DONE_AT_END: fn(&[u8]) -> Result<Parsed<()>, Refusal> =
    |bytes| Ok(Parsed::Done { value: (), used: bytes.len() });

fn parse(head: &mut Head, bytes: &[u8]) -> Result<Parsed<()>, Refusal> {
    head.parse(bytes, &Limits::default())
}

#[test]
fn an_empty_head_has_empty_values() {
    let head = Head::new();
    assert_eq!(
        (head.method(), head.target(), head.path(), head.query()),
        (&b""[..], &b""[..], &b""[..], &b""[..])
    );
    assert_eq!((head.host(), head.field_count(), head.framing()), (None, 0, BodyFraming::None));
    assert!(!head.has_started() && !head.is_complete() && !head.expects_continue());
}

#[test]
fn a_request_has_started_with_its_first_byte_and_not_with_the_tolerated_crlf() {
    let mut head = Head::new();
    for not_yet in [&b""[..], b"\r", b"\r\n"] {
        assert_eq!(parse(&mut head, not_yet), Ok(Parsed::NeedMore));
        assert!(!head.has_started());
    }
    assert_eq!(parse(&mut head, b"\r\nG"), Ok(Parsed::NeedMore));
    assert!(head.has_started());
}

#[test]
fn bytes_behind_the_head_are_not_used() {
    let mut head = Head::new();
    let input = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET /second";
    assert_eq!(parse(&mut head, input), Ok(Parsed::Done { value: (), used: 29 }));
    assert_eq!(parse(&mut head, input), Ok(Parsed::Done { value: (), used: 29 }), "asked once more");
}

#[test]
fn the_request_line_is_known_while_fields_are_awaited() {
    let mut head = Head::new();
    assert_eq!(parse(&mut head, b"HEAD /a?b HTTP/1.0\r\nX: 1\r\nY"), Ok(Parsed::NeedMore));
    assert_eq!((head.method(), head.path(), head.query()), (&b"HEAD"[..], &b"/a"[..], &b"b"[..]));
    assert!(head.is_head());
    assert_eq!(head.version(), Version::Http10);
    assert_eq!(head.fields().count(), 0);
}

#[test]
fn the_request_line_is_known_after_a_field_is_refused() {
    let mut head = Head::new();
    assert_eq!(parse(&mut head, b"HEAD /a HTTP/1.1\r\nX : 1\r\n"), Err(Refusal::SpaceBeforeColon));
    assert_eq!((head.method(), head.target(), head.is_head()), (&b"HEAD"[..], &b"/a"[..], true));
    assert_eq!((head.field_count(), head.host()), (0, None));
}

#[test]
fn a_cleared_head_knows_nothing_of_the_request_before() {
    let mut head = Head::new();
    let first = b"POST http://b/x?y HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(parse(&mut head, first), DONE_AT_END(first));
    head.clear();
    let second = b"GET / HTTP/1.1\r\nHost: c\r\n\r\n";
    assert_eq!(parse(&mut head, second), DONE_AT_END(second));
    assert_eq!((head.method(), head.path(), head.query()), (&b"GET"[..], &b"/"[..], &b""[..]));
    assert_eq!((head.host(), head.framing()), (Some(&b"c"[..]), BodyFraming::None));
    assert_eq!(head.fields().collect::<Vec<_>>(), [(&b"Host"[..], &b"c"[..])]);
    assert!(head.wants_keep_alive());
}

#[test]
fn a_cleared_head_reads_on_after_a_refusal() {
    let mut head = Head::new();
    assert_eq!(parse(&mut head, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n"), Err(Refusal::HostRepeated));
    head.clear();
    let good = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(parse(&mut head, good), DONE_AT_END(good));
}

#[test]
fn limits_are_what_the_caller_says() {
    let request = b"GET /123456 HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n";
    let exact = Limits { request_line_bytes: 22, fields: 2, head_bytes: request.len(), ..Limits::default() };
    assert_eq!(Head::new().parse(request, &exact), DONE_AT_END(request));
    let shorter_line = Limits { request_line_bytes: 21, ..exact.clone() };
    assert_eq!(Head::new().parse(request, &shorter_line), Err(Refusal::RequestLineTooLong));
    let fewer_fields = Limits { fields: 1, ..exact.clone() };
    assert_eq!(Head::new().parse(request, &fewer_fields), Err(Refusal::TooManyFields));
    let smaller_head = Limits { head_bytes: request.len() - 1, ..exact };
    assert_eq!(Head::new().parse(request, &smaller_head), Err(Refusal::HeadTooLarge));
}

#[test]
fn the_tolerated_crlf_counts_against_no_limit() {
    let request = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let limits = Limits { request_line_bytes: 16, head_bytes: request.len() - 2, ..Limits::default() };
    assert_eq!(Head::new().parse(request, &limits), DONE_AT_END(request));
}

#[test]
fn limits_of_zero_and_of_everything_refuse_or_accept_and_never_overflow() {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let nothing = Limits { request_line_bytes: 0, fields: 0, head_bytes: 0, ..Limits::default() };
    assert_eq!(Head::new().parse(request, &nothing), Err(Refusal::RequestLineTooLong));
    let everything = Limits {
        request_line_bytes: usize::MAX,
        fields: usize::MAX,
        head_bytes: usize::MAX,
        ..Limits::default()
    };
    assert_eq!(Head::new().parse(request, &everything), DONE_AT_END(request));
}

#[test]
fn a_declared_body_above_the_limit_is_refused_with_the_head() {
    let limits = Limits { body_bytes: 4, ..Limits::default() };
    let request =
        |length: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    assert_eq!(Head::new().parse(&request("5"), &limits), Err(Refusal::BodyTooLarge));
    assert!(Head::new().parse(&request("4"), &limits).is_ok());
}
