//! Steps 3 and 6 of 6 - what holds for any request, body and answer, not only for those we thought of.
#![allow(clippy::unwrap_used, reason = "a failing test says so by panicking")]

#[path = "../../../fuzz/src/transcript.rs"]
mod transcript;

use barkeep_wire::{
    BodyDecoder, BodyFraming, CommonFields, Head, LAST_CHUNK, Limits, Parsed, Persistence, ResponseFraming,
    ResponseHead, write_chunk_head,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use transcript::{Ending, read_connection};

fn field_name() -> impl Strategy<Value = String> {
    "X-[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}"
}

/// Visible bytes, obs-text, inner spaces and tabs; trimmed.
fn field_value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => 0x21..=0x7e_u8, 1 => 0x80..=0xff_u8, 1 => select(vec![b' ', b'\t'])];
    vec(byte, 0..60).prop_map(|value| value.trim_ascii().to_vec())
}

fn fields() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    vec((field_name(), field_value()), 0..20)
}

/// Text that looks like HTTP often enough to get past the first line.
fn nearly_http() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&'static [u8]> = vec![
        b"GET / HTTP/1.1\r\n",
        b"POST /a?b HTTP/1.0\r\n",
        b"Host: a\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: keep-alive\r\n",
        b"X: y\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"abc",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"0\r\nT: v\r\n\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b":",
        b";e=\"q\"",
        b"3;e\r\n",
    ];
    let word = prop_oneof![12 => select(words).prop_map(<[u8]>::to_vec), 1 => vec(any::<u8>(), 0..6)];
    vec(word, 0..16).prop_map(|words| words.concat())
}

fn cut_at<'a>(bytes: &'a [u8], places: &[Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let mut start = 0;
    let mut pieces = Vec::new();
    for end in ends {
        pieces.push(bytes.get(start..end).unwrap());
        start = end;
    }
    pieces
}

fn chunked(chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for chunk in chunks {
        write_chunk_head(&mut encoded, chunk.len());
        encoded.extend_from_slice(chunk);
        encoded.extend_from_slice(b"\r\n");
    }
    [&encoded, LAST_CHUNK].concat()
}

proptest! {
    #[test]
    fn a_connection_cut_anywhere_reads_the_same(
        bytes in nearly_http(), places in vec(any::<Index>(), 0..8), room in 1..9_usize,
    ) {
        let limits = Limits { head_bytes: 150, request_line_bytes: 40, body_bytes: 12, ..Limits::default() };
        let whole = read_connection([&bytes[..]], usize::MAX, &limits);
        prop_assert_eq!(whole, read_connection(cut_at(&bytes, &places), room, &limits));
    }

    #[test]
    fn arbitrary_bytes_are_read_refused_or_awaited_and_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        let mut head = Head::new();
        if let Ok(Parsed::Done { used, .. }) = head.parse(&bytes, &Limits::default()) {
            prop_assert!(used <= bytes.len());
        }
    }

    #[test]
    fn a_head_reads_back_as_it_was_written(
        method in "[A-Z]{1,20}", path in "/[!-\"$&->@-~]{0,40}", query in "[!-\"$-~]{0,40}", fields in fields(),
    ) {
        prop_assume!(method != "CONNECT");
        let mut bytes = format!("{method} {path}?{query} HTTP/1.1\r\nHost: a\r\n").into_bytes();
        for (name, value) in &fields {
            bytes.extend_from_slice(&[name.as_bytes(), b": ", value, b" \r\n"].concat());
        }
        bytes.extend_from_slice(b"\r\n");
        let mut head = Head::new();
        let result = head.parse(&bytes, &Limits::default());
        prop_assert_eq!(result, Ok(Parsed::Done { value: (), used: bytes.len() }));
        let parts = (head.method(), head.path(), head.query());
        prop_assert_eq!(parts, (method.as_bytes(), path.as_bytes(), query.as_bytes()));
        let read: Vec<_> = head.fields().skip(1).map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        let given: Vec<_> = fields.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect();
        prop_assert_eq!(read, given);
    }

    #[test]
    fn a_chunked_body_decodes_to_what_was_encoded(
        chunks in vec(vec(any::<u8>(), 1..50), 0..12), places in vec(any::<Index>(), 0..8), room in 1..40_usize,
    ) {
        let encoded = [chunked(&chunks), b"GET".to_vec()].concat();
        let mut decoder = BodyDecoder::new(BodyFraming::Chunked);
        let mut out = Vec::new();
        let mut used_in_all = 0;
        for piece in cut_at(&encoded, &places) {
            let mut rest = piece;
            while !rest.is_empty() && !decoder.is_done() {
                let used = decoder.decode(rest, room, &mut out, &Limits::default()).unwrap();
                used_in_all += used;
                rest = &rest[used..];
            }
        }
        prop_assert!(decoder.is_done());
        prop_assert_eq!(used_in_all, encoded.len() - 3);
        prop_assert_eq!(out, chunks.concat());
    }

    #[test]
    fn a_request_behind_any_body_is_found(body in vec(any::<u8>(), 0..80), is_chunked in any::<bool>()) {
        let mut bytes = b"POST / HTTP/1.1\r\nHost: a\r\n".to_vec();
        if is_chunked {
            bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            let chunks: Vec<Vec<u8>> = body.chunks(7).map(<[u8]>::to_vec).collect();
            bytes.extend_from_slice(&chunked(&chunks));
        } else {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            bytes.extend_from_slice(&body);
        }
        bytes.extend_from_slice(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
        let transcript = read_connection([&bytes[..]], usize::MAX, &Limits::default());
        prop_assert_eq!(transcript.ending, Ending::Idle);
        prop_assert_eq!(transcript.requests.len(), 2);
        prop_assert_eq!(&transcript.requests[0].body, &body);
        prop_assert_eq!(&transcript.requests[1].target, b"/next");
    }

    /// Field lines are the same in requests and answers, so our own reader can be the judge.
    #[test]
    fn the_fields_of_an_answer_read_back_as_they_were_given(fields in fields(), length in any::<Option<u32>>()) {
        let mut answer = ResponseHead::new();
        answer.set_status(b"200 OK").unwrap();
        for (name, value) in &fields {
            answer.add_field(name.as_bytes(), value).unwrap();
        }
        let framing = length.map_or(ResponseFraming::Chunked, |bytes| ResponseFraming::Length { bytes: bytes.into() });
        let common = CommonFields { date: b"Sun, 06 Nov 1994 08:49:37 GMT", server: b"barkeep" };
        let mut out = Vec::new();
        answer.write_to(&mut out, &framing, Persistence::Close, &common);
        let request = [b"GET / HTTP/1.1\r\nHost: a", out.strip_prefix(b"HTTP/1.1 200 OK").unwrap()].concat();
        let mut head = Head::new();
        let limits = Limits { body_bytes: u64::MAX, ..Limits::default() };
        prop_assert_eq!(head.parse(&request, &limits), Ok(Parsed::Done { value: (), used: request.len() }));
        prop_assert!(!head.wants_keep_alive());
        let read: Vec<_> = head.fields().skip(1).take(fields.len()).collect();
        let given: Vec<_> = fields.iter().map(|(name, value)| (name.as_bytes(), &value[..])).collect();
        prop_assert_eq!(read, given);
    }

    #[test]
    fn no_bytes_of_an_application_make_a_line_of_their_own(
        status in vec(any::<u8>(), 0..20), name in vec(any::<u8>(), 0..12), value in vec(any::<u8>(), 0..30),
    ) {
        let mut answer = ResponseHead::new();
        let _ = answer.set_status(&status);
        let _ = answer.set_status(&[b"200 ", &status[..]].concat());
        if !answer.is_set() {
            answer.set_status(b"200 OK").unwrap();
        }
        let is_taken = answer.add_field(&name, &value).is_ok();
        let mut out = Vec::new();
        let common = CommonFields { date: b"Sun, 06 Nov 1994 08:49:37 GMT", server: b"" };
        answer.write_to(&mut out, &ResponseFraming::NoBody, Persistence::KeepAlive11, &common);
        let line_feeds = out.iter().filter(|byte| **byte == b'\n').count();
        prop_assert!(line_feeds == 3 + usize::from(is_taken) || name.eq_ignore_ascii_case(b"date"));
        prop_assert_eq!(line_feeds, out.windows(2).filter(|pair| pair == b"\r\n").count());
    }
}
