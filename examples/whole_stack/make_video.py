"""The video of the site, without a video program: a WebM file that browsers play and seek in.

A minute of four colours that take turns, one picture a second. Each picture is a VP8 key frame, so a player
may begin at any; between them is padding, so that no player fetches the whole file before it is searched.
"""

from __future__ import annotations

import struct

WIDTH, HEIGHT = 64, 48
SECONDS = 60

# Padding after each picture, in bytes: 15 MB in all, far above what a player reads ahead.
PADDING_BYTES = 256 * 1024

# 64 x 48 pixels of one colour each: what follows "VP8 " in a lossy WebP picture is a VP8 key frame.
FRAMES = tuple(
    bytes.fromhex(text)
    for text in (
        "9003009d012a400030003f71b8d663b4af2b26a2a802902e096700d234077bb53c572d850000fee0b97eb85b2cc9f832db60d7e0c6"
        "a6786ebf0e0000",
        "5003009d012a400030003f71b8d66434af2b26a2a802902e0967000013f18e1f08458000feae17fe0dc8dbe5bbfdd27ea7f2814004"
        "000000",
        "9003009d012a400030003f71b8d663b4af2b26a2a802902e096700cfdc077bb53c572d850000fed2ed7ebee46df561f2b4574b849a"
        "0011b410f32f684000",
        "7003009d012a400030003f71b8d66434af2b26a2a802902e096900d4c8077bb534f8410000fee6ceda0f8b97b64ef1498a677b9000"
        "00",
    )
)

# Elements of Matroska, which WebM is a part of (RFC 9559 section 5).
EBML, SEGMENT, INFO, TRACKS, CUES, CLUSTER = (
    0x1A45DFA3,
    0x18538067,
    0x1549A966,
    0x1654AE6B,
    0x1C53BB6B,
    0x1F43B675,
)
VOID = 0xEC


def element(number: int, content: bytes) -> bytes:
    """An element: its number, its size in eight bytes (RFC 8794 section 4), its content."""
    name = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return name + (len(content) | 1 << 56).to_bytes(8, "big") + content


def unsigned(number: int, value: int) -> bytes:
    """An element that holds a number, always in eight bytes: a place may be told before it is known."""
    return element(number, value.to_bytes(8, "big"))


def video() -> bytes:
    """The whole file, about 15 MB."""
    kind = element(0x4282, b"webm") + unsigned(0x4287, 2) + unsigned(0x4285, 2)
    head = element(
        EBML, unsigned(0x4286, 1) + unsigned(0x42F7, 1) + unsigned(0x42F2, 4) + unsigned(0x42F3, 8) + kind
    )
    # Times are in milliseconds (TimestampScale), the duration is a float.
    info = element(INFO, unsigned(0x2AD7B1, 1_000_000) + element(0x4489, struct.pack(">d", SECONDS * 1000.0)))
    picture = element(0xE0, unsigned(0xB0, WIDTH) + unsigned(0xBA, HEIGHT))
    entry = unsigned(0xD7, 1) + unsigned(0x73C5, 1) + unsigned(0x83, 1) + element(0x86, b"V_VP8") + picture
    tracks = element(TRACKS, element(0xAE, entry))
    clusters = [_cluster(second) for second in range(SECONDS)]
    # The cues are before what they point to; their size does not depend on what they say.
    offset = len(info) + len(tracks) + len(_cues([0] * SECONDS))
    places = []
    for cluster in clusters:
        places.append(offset)
        offset += len(cluster)
    return head + element(SEGMENT, info + tracks + _cues(places) + b"".join(clusters))


def _cluster(second: int) -> bytes:
    # Track 1, no time after the cluster's own, a key frame.
    block = element(0xA3, b"\x81\x00\x00\x80" + FRAMES[second % len(FRAMES)])
    return element(CLUSTER, unsigned(0xE7, second * 1000) + block + element(VOID, bytes(PADDING_BYTES)))


def _cues(places: list[int]) -> bytes:
    """Where in the segment the picture of each second begins."""
    points = []
    for second, place in enumerate(places):
        position = element(0xB7, unsigned(0xF7, 1) + unsigned(0xF1, place))
        points.append(element(0xBB, unsigned(0xB3, second * 1000) + position))
    return element(CUES, b"".join(points))
