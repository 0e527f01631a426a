//! Steps 3 and 6 of 6 - the contracts of the wire crate: what must hold for any bytes at all.
//!
//! Reading: accepted with values that obey the grammar, or refused with a documented reason; the same however the
//! bytes are cut. Writing: refused with a fault that names the field, or bytes that read back as what was given.
//! A broken contract panics.

pub mod case_file;
pub mod random;
pub mod transcript;

mod answer;

pub use answer::answer;

use barkeep_wire::{BodyDecoder, BodyFraming, Head, Limits, Parsed, Refusal};
use random::Random;
use transcript::{Ending, Request, read_connection};

/// Small bounds, so that short inputs reach all of them.
pub fn small_limits() -> Limits {
    Limits {
        request_line_bytes: 120,
        fields: 8,
        head_bytes: 400,
        body_bytes: 300,
        chunk_line_bytes: 40,
        trailer_bytes: 80,
        trailer_fields: 3,
    }
}

/// A head is read whole as it is read in pieces; what is accepted obeys the grammar and reads back as itself.
pub fn head(data: &[u8]) {
    let limits = small_limits();
    let (mut random, data) = seeded(data);
    let (mut whole, mut cut) = (Head::new(), Head::new());
    let result = whole.parse(data, &limits);
    let mut received = Vec::new();
    let mut cut_result = Ok(Parsed::NeedMore);
    for piece in random.cut(data) {
        received.extend_from_slice(piece);
        cut_result = cut.parse(&received, &limits);
        if cut_result != Ok(Parsed::NeedMore) {
            break;
        }
    }
    assert_eq!(result, cut_result, "whole and cut heads differ");
    match result {
        Err(refusal) => check_refusal(refusal),
        Ok(Parsed::NeedMore) => {
            assert!(data.len() < limits.head_bytes + 2, "a head that is too long is awaited")
        }
        Ok(Parsed::Done { value: (), used }) => {
            assert!(used <= data.len() && used <= limits.head_bytes + 2);
            check_head(&whole, &limits);
            check_head_reads_back(&whole, &limits);
        }
    }
}

/// Framing fields mean one thing or are refused. `data`: the lines between Host and the end of the head.
pub fn framing(data: &[u8]) {
    let limits = small_limits();
    let mut bytes = b"POST / HTTP/1.1\r\nHost: a\r\n".to_vec();
    bytes.extend_from_slice(data);
    bytes.extend_from_slice(b"\r\n\r\n");
    let mut head = Head::new();
    match head.parse(&bytes, &limits) {
        Err(refusal) => check_refusal(refusal),
        Ok(Parsed::NeedMore) => panic!("a head with its end is awaited"),
        Ok(Parsed::Done { .. }) => check_framing(&head, &limits),
    }
}

/// A chunked body decodes the same however it is cut and whatever room it is given; what is encoded decodes to itself.
pub fn body(data: &[u8]) {
    let limits = small_limits();
    let (mut random, data) = seeded(data);
    let mut whole = Vec::new();
    let mut decoder = BodyDecoder::new(BodyFraming::Chunked);
    let result = decoder.decode(data, usize::MAX, &mut whole, &limits);
    let ending = result.map(|used| decoder.is_done().then_some(used));
    let pieces = random.cut(data);
    let (cut_ending, cut) = decode_pieces(&pieces, &mut random, &limits);
    assert_eq!(ending, cut_ending, "whole and cut bodies end differently");
    assert_eq!(whole, cut, "whole and cut bodies differ");
    assert!(whole.len() as u64 <= limits.body_bytes);
    if let Err(refusal) = result {
        check_refusal(refusal);
    }
    check_encoded_body_decodes(data, &mut random);
}

/// A whole connection reads the same however it is cut: pipelined heads, bodies, refusals.
pub fn connection(data: &[u8]) {
    let limits = small_limits();
    let (mut random, data) = seeded(data);
    let whole = read_connection([data], usize::MAX, &limits);
    let room = 1 + random.below(64);
    let cut = read_connection(random.cut(data), room, &limits);
    assert_eq!(whole, cut, "whole and cut connections differ");
    if let Ending::Refused(refusal) = whole.ending {
        check_refusal(refusal);
    }
    for request in &whole.requests {
        check_request(request);
    }
}

/// The first eight bytes decide the cuts.
fn seeded(data: &[u8]) -> (Random, &[u8]) {
    match data.split_first_chunk::<8>() {
        Some((seed, rest)) => (Random::new(u64::from_le_bytes(*seed)), rest),
        None => (Random::new(1), data),
    }
}

fn check_refusal(refusal: Refusal) {
    assert!(Refusal::ALL.contains(&refusal));
    assert!((400..=505).contains(&refusal.status()));
    assert!(refusal.reason().contains("RFC "), "a reason without its source: {refusal:?}");
}

fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

fn is_field_value(bytes: &[u8]) -> bool {
    let is_trimmed = |end: Option<&u8>| !matches!(end, Some(b' ' | b'\t'));
    is_trimmed(bytes.first())
        && is_trimmed(bytes.last())
        && bytes.iter().all(|byte| *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7f))
}

fn check_head(head: &Head, limits: &Limits) {
    assert!(is_token(head.method()), "method {:?}", head.method().escape_ascii());
    assert!(head.target().iter().all(u8::is_ascii_graphic) && !head.target().contains(&b'#'));
    assert!(matches!(head.path(), [b'/', ..] | b"*"), "path {:?}", head.path().escape_ascii());
    assert!(head.field_count() <= limits.fields);
    assert_eq!(head.fields().count(), head.field_count());
    for (name, value) in head.fields() {
        assert!(is_token(name) && is_field_value(value), "field {}", name.escape_ascii());
    }
    let hosts = head.fields().filter(|(name, _)| name.eq_ignore_ascii_case(b"host")).count();
    assert!(hosts <= 1);
    check_framing(head, limits);
}

/// The fields once more, by the letter of RFC 9112 section 6.3 and without the parser's help.
fn check_framing(head: &Head, limits: &Limits) {
    let values = |wanted: &str| -> Vec<String> {
        let named = head.fields().filter(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
        named.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    };
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    match head.framing() {
        BodyFraming::None => {
            assert!(codings.is_empty());
            assert!(
                lengths.is_empty() || (lengths.len() == 1 && lengths[0].bytes().all(|digit| digit == b'0'))
            );
        }
        BodyFraming::Length { bytes } => {
            assert!(codings.is_empty() && lengths.len() == 1 && bytes <= limits.body_bytes && bytes > 0);
            assert!(lengths[0].bytes().all(|digit| digit.is_ascii_digit()));
            assert_eq!(lengths[0].trim_start_matches('0'), bytes.to_string());
        }
        BodyFraming::Chunked => {
            assert!(lengths.is_empty());
            assert_eq!(codings.concat().to_ascii_lowercase(), "chunked");
        }
    }
}

/// Writing the parsed values down again gives a head with the same values.
fn check_head_reads_back(head: &Head, limits: &Limits) {
    let version = match head.version() {
        barkeep_wire::Version::Http10 => &b" HTTP/1.0\r\n"[..],
        barkeep_wire::Version::Http11 => &b" HTTP/1.1\r\n"[..],
    };
    let mut bytes = [head.method(), b" ", head.target(), version].concat();
    for (name, value) in head.fields() {
        bytes.extend_from_slice(&[name, b":", value, b"\r\n"].concat());
    }
    bytes.extend_from_slice(b"\r\n");
    let mut again = Head::new();
    let result = again.parse(&bytes, limits);
    assert_eq!(result, Ok(Parsed::Done { value: (), used: bytes.len() }));
    assert!(head.fields().eq(again.fields()));
    assert_eq!((head.method(), head.path(), head.query()), (again.method(), again.path(), again.query()));
    assert_eq!((head.host(), head.framing()), (again.host(), again.framing()));
}

fn check_request(request: &Request) {
    match request.framing {
        BodyFraming::None => assert!(request.body.is_empty() && request.body_is_complete),
        BodyFraming::Length { bytes } => {
            assert_eq!(request.body_is_complete, request.body.len() as u64 == bytes);
        }
        BodyFraming::Chunked => {}
    }
}

/// Answers like one call of `decode` would: the bytes used once done, `None` when more are needed.
fn decode_pieces(
    pieces: &[&[u8]],
    random: &mut Random,
    limits: &Limits,
) -> (Result<Option<usize>, Refusal>, Vec<u8>) {
    let mut out = Vec::new();
    let mut decoder = BodyDecoder::new(BodyFraming::Chunked);
    let mut used_in_all = 0;
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() && !decoder.is_done() {
            let (room, before) = (1 + random.below(20), out.len());
            let used = match decoder.decode(rest, room, &mut out, limits) {
                Err(refusal) => return (Err(refusal), out),
                Ok(used) => used,
            };
            assert!(used > 0, "bytes and room, and nothing happens");
            assert!(out.len() - before <= room, "more than the room given was taken");
            used_in_all += used;
            rest = &rest[used..];
        }
    }
    (Ok(decoder.is_done().then_some(used_in_all)), out)
}

fn check_encoded_body_decodes(content: &[u8], random: &mut Random) {
    let limits = Limits::default();
    let mut encoded = Vec::new();
    for chunk in random.cut(content) {
        barkeep_wire::write_chunk_head(&mut encoded, chunk.len());
        encoded.extend_from_slice(chunk);
        encoded.extend_from_slice(b"\r\n");
    }
    encoded.extend_from_slice(barkeep_wire::LAST_CHUNK);
    let pieces = random.cut(&encoded);
    let (ending, decoded) = decode_pieces(&pieces, random, &limits);
    assert_eq!(ending, Ok(Some(encoded.len())));
    assert_eq!(decoded, content);
}
