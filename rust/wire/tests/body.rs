//! Step 3c of 6 - how the body decoder treats its caller: room, bytes that are not its own, bytes received past it.
#![allow(clippy::unwrap_used, reason = "a failing test says so by panicking")]

use barkeep_wire::{BodyDecoder, BodyFraming, Limits, Refusal};

fn decode(decoder: &mut BodyDecoder, input: &[u8], room: usize) -> Result<(usize, Vec<u8>), Refusal> {
    let mut out = Vec::new();
    let used = decoder.decode(input, room, &mut out, &Limits::default())?;
    Ok((used, out))
}

#[test]
fn no_body_is_done_at_once_and_uses_nothing() {
    for framing in [BodyFraming::None, BodyFraming::Length { bytes: 0 }] {
        let mut decoder = BodyDecoder::new(framing);
        assert!(decoder.is_done());
        assert_eq!(decoder.length_left(), None);
        assert_eq!(decode(&mut decoder, b"GET", 9), Ok((0, vec![])));
    }
}

#[test]
fn a_length_ends_where_it_says_and_leaves_the_next_request() {
    let mut decoder = BodyDecoder::new(BodyFraming::Length { bytes: 5 });
    assert_eq!(decode(&mut decoder, b"helloGET", 9), Ok((5, b"hello".to_vec())));
    assert!(decoder.is_done());
}

#[test]
fn no_more_than_the_room_is_taken_and_the_rest_later() {
    let mut decoder = BodyDecoder::new(BodyFraming::Length { bytes: 5 });
    assert_eq!(decode(&mut decoder, b"hello", 2), Ok((2, b"he".to_vec())));
    assert_eq!(decode(&mut decoder, b"llo", 0), Ok((0, vec![])));
    assert_eq!(decode(&mut decoder, b"llo", 3), Ok((3, b"llo".to_vec())));
    assert!(decoder.is_done());
}

#[test]
fn chunk_lines_need_no_room() {
    let mut decoder = BodyDecoder::new(BodyFraming::Chunked);
    assert_eq!(decode(&mut decoder, b"5\r\nhello\r\n0\r\n\r\nGET", 0), Ok((3, vec![])));
    assert_eq!(decode(&mut decoder, b"hello\r\n0\r\n\r\nGET", 5), Ok((12, b"hello".to_vec())));
    assert!(decoder.is_done());
}

#[test]
fn bytes_received_past_the_decoder_count() {
    let mut decoder = BodyDecoder::new(BodyFraming::Length { bytes: 5 });
    assert_eq!(decoder.length_left(), Some(5));
    decoder.advance(3);
    assert_eq!(decoder.length_left(), Some(2));
    assert_eq!(decode(&mut decoder, b"loGET", 9), Ok((2, b"lo".to_vec())));
    assert_eq!((decoder.is_done(), decoder.length_left()), (true, None));
}

#[test]
fn a_chunked_body_cannot_be_received_past_the_decoder() {
    let mut decoder = BodyDecoder::new(BodyFraming::Chunked);
    assert_eq!(decoder.length_left(), None);
    decoder.advance(100);
    assert_eq!(decode(&mut decoder, b"1\r\na\r\n0\r\n\r\n", 9), Ok((11, b"a".to_vec())));
    assert!(decoder.is_done());
}

#[test]
fn chunks_above_the_body_limit_together_are_refused_when_the_size_is_known() {
    let limits = Limits { body_bytes: 6, ..Limits::default() };
    let mut decoder = BodyDecoder::new(BodyFraming::Chunked);
    let mut out = Vec::new();
    assert_eq!(decoder.decode(b"4\r\nfour\r\n2\r\nok\r\n", 99, &mut out, &limits), Ok(16));
    assert_eq!(decoder.decode(b"1\r\n", 99, &mut out, &limits), Err(Refusal::BodyTooLarge));
    assert_eq!(out, b"fourok");
}

#[test]
fn trailer_bytes_are_counted_over_all_lines() {
    let limits = Limits { trailer_bytes: 14, ..Limits::default() };
    let decode = |input: &[u8]| {
        let mut decoder = BodyDecoder::new(BodyFraming::Chunked);
        decoder.decode(input, 99, &mut Vec::new(), &limits).map(|_| decoder.is_done())
    };
    assert_eq!(decode(b"0\r\nA: 1\r\nB: 2\r\n\r\n"), Ok(true));
    assert_eq!(decode(b"0\r\nA: 1\r\nB: 23\r\n\r\n"), Err(Refusal::TrailersTooLarge));
}
