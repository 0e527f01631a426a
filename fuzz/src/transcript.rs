//! Step 3 of 6 - one connection as the engine reads it, written down: requests, bodies, refusal, what is awaited.
//!
//! The reader of the tests and of the fuzz contracts. Two transcripts of the same bytes are equal however they are cut.

use barkeep_wire::{BodyDecoder, BodyFraming, Head, Limits, Parsed, Refusal, Version};

/// One request, with everything that the wire crate tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    pub path: Vec<u8>,
    pub query: Vec<u8>,
    pub version: Version,
    pub host: Option<Vec<u8>>,
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub framing: BodyFraming,
    pub wants_keep_alive: bool,
    pub expects_continue: bool,
    /// The decoded body, as far as it came.
    pub body: Vec<u8>,
    pub body_is_complete: bool,
}

/// How the bytes of a connection end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Between two requests.
    Idle,
    /// After a request that asked to close; what follows it is not read.
    Close,
    /// Within a head.
    InHead,
    /// Within a body.
    InBody,
    Refused(Refusal),
}

/// All that was read of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    pub requests: Vec<Request>,
    pub ending: Ending,
}

enum Reading {
    Head,
    Body(BodyDecoder),
    Ended(Ending),
}

/// Reads a connection whose bytes come in `pieces`. `room`: most bytes of body taken at a time; not 0.
pub fn read_connection<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    room: usize,
    limits: &Limits,
) -> Transcript {
    let mut requests = Vec::new();
    let mut head = Head::new();
    let mut reading = Reading::Head;
    let mut unread = Vec::new();
    for piece in pieces {
        unread.extend_from_slice(piece);
        loop {
            let (next, used) = match reading {
                Reading::Head => read_head(&mut head, &unread, &mut requests, limits),
                Reading::Body(decoder) => read_body(decoder, &head, &unread, room, &mut requests, limits),
                Reading::Ended(ending) => return Transcript { requests, ending },
            };
            reading = next;
            unread.drain(..used);
            if used == 0 && !matches!(reading, Reading::Ended(_)) {
                break;
            }
        }
    }
    let ending = match reading {
        Reading::Ended(ending) => ending,
        Reading::Body(_) => Ending::InBody,
        Reading::Head if head.has_started() && !head.is_complete() => Ending::InHead,
        Reading::Head => Ending::Idle,
    };
    Transcript { requests, ending }
}

fn read_head(
    head: &mut Head,
    unread: &[u8],
    requests: &mut Vec<Request>,
    limits: &Limits,
) -> (Reading, usize) {
    // The head before this one was kept while its body was read.
    if head.is_complete() {
        head.clear();
    }
    match head.parse(unread, limits) {
        Err(refusal) => (Reading::Ended(Ending::Refused(refusal)), 0),
        Ok(Parsed::NeedMore) => (Reading::Head, 0),
        Ok(Parsed::Done { value: (), used }) => {
            requests.push(note_request(head));
            let decoder = BodyDecoder::new(head.framing());
            (after_body_bytes(decoder, head, requests), used)
        }
    }
}

fn read_body(
    mut decoder: BodyDecoder,
    head: &Head,
    unread: &[u8],
    room: usize,
    requests: &mut [Request],
    limits: &Limits,
) -> (Reading, usize) {
    let Some(request) = requests.last_mut() else {
        return (Reading::Ended(Ending::Idle), 0);
    };
    let before = request.body.len();
    match decoder.decode(unread, room, &mut request.body, limits) {
        Err(refusal) => (Reading::Ended(Ending::Refused(refusal)), 0),
        Ok(used) => {
            assert!(request.body.len() - before <= room, "more than the room given was taken");
            assert!(used <= unread.len(), "more bytes used than given");
            (after_body_bytes(decoder, head, requests), used)
        }
    }
}

fn after_body_bytes(decoder: BodyDecoder, head: &Head, requests: &mut [Request]) -> Reading {
    if !decoder.is_done() {
        return Reading::Body(decoder);
    }
    if let Some(request) = requests.last_mut() {
        request.body_is_complete = true;
    }
    if head.wants_keep_alive() { Reading::Head } else { Reading::Ended(Ending::Close) }
}

fn note_request(head: &Head) -> Request {
    Request {
        method: head.method().to_vec(),
        target: head.target().to_vec(),
        path: head.path().to_vec(),
        query: head.query().to_vec(),
        version: head.version(),
        host: head.host().map(<[u8]>::to_vec),
        fields: head.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
        framing: head.framing(),
        wants_keep_alive: head.wants_keep_alive(),
        expects_continue: head.expects_continue(),
        body: Vec::new(),
        body_is_complete: false,
    }
}
