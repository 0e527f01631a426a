"""channel.py: messages arrive whole and in order, with their descriptors, and nonsense ends it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from barkeep.channel import LONGEST_LINE_BYTES, RECEIVES_AT_ONCE, Channel


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    one, other = Channel.pair()
    with closing(one), closing(other):
        yield one, other


@pytest.fixture
def raw() -> Iterator[tuple[socket.socket, Channel]]:
    """The far end as an application gone wild has it."""
    far, near = socket.socketpair()
    with far, closing(Channel(near)) as channel:
        yield far, channel


def test_messages_arrive_in_order(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    assert one.send({"do": "serve"})
    assert one.send({"do": "drain", "timeout_s": 1.5})
    assert other.receive() == [{"do": "serve"}, {"do": "drain", "timeout_s": 1.5}]
    assert other.receive() == []


def test_text_of_any_kind_survives(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    message = {"why": "line one\nline two \udc80 \U0001f37a"}
    assert one.send(message)
    assert other.receive() == [message]


def test_end_of_the_other_side_is_none_after_what_it_said(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    one.send({"is": "failed"})
    one.close()
    assert other.receive() == [{"is": "failed"}]
    assert other.receive() is None


def test_message_in_pieces_is_whole_at_its_end(raw: tuple[socket.socket, Channel]) -> None:
    far, channel = raw
    far.sendall(b'{"is": "loa')
    assert channel.receive() == []
    far.sendall(b'ded"}\n{"is"')
    assert channel.receive() == [{"is": "loaded"}]


@pytest.mark.parametrize("line", [b"nonsense\n", b"[1]\n", b'"text"\n', b"\xff\xfe\n", b"{}{}\n"])
def test_what_is_no_message_ends_the_channel(raw: tuple[socket.socket, Channel], line: bytes) -> None:
    far, channel = raw
    far.sendall(line)
    assert channel.receive() is None


def test_line_without_an_end_is_cut_off(raw: tuple[socket.socket, Channel]) -> None:
    far, channel = raw
    far.settimeout(0)
    sent = 0
    answer: object = []
    while answer == [] and sent < 4 * LONGEST_LINE_BYTES:
        sent += far.send(b"x" * 65536)
        answer = channel.receive()
    assert answer is None
    assert sent <= LONGEST_LINE_BYTES + 65536


def test_descriptors_go_along_with_their_message(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    other.accept_descriptors()
    reader, writer = os.pipe()
    assert one.send({"do": "fork"}, [reader, writer])
    os.close(reader)
    os.close(writer)
    assert other.receive() == [{"do": "fork"}]
    reader, writer = other.take_descriptors(2)
    os.write(writer, b"through")
    assert os.read(reader, 100) == b"through"
    assert other.take_descriptors(2) == []
    os.close(reader)
    os.close(writer)


def test_descriptors_of_two_messages_are_kept_apart(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    other.accept_descriptors()
    with open(os.devnull) as null, open(os.devnull, "wb") as sink:
        one.send({"number": 1}, [null.fileno()])
        one.send({"number": 2}, [sink.fileno()])
        messages = other.receive() or []
        while len(messages) < 2:
            messages += other.receive() or []
        taken = [other.take_descriptors(1)[0] for _message in messages]
        assert [os.get_blocking(descriptor) for descriptor in taken] == [True, True]
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(taken[0], b"x")
        assert os.write(taken[1], b"x") == 1
        for descriptor in taken:
            os.close(descriptor)


def test_telling_one_who_has_gone_is_false(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    other.close()
    assert not one.send({"do": "serve"})


def test_line_is_what_a_person_can_read(raw: tuple[socket.socket, Channel]) -> None:
    far, channel = raw
    channel.send({"do": "recycle"})
    assert json.loads(far.recv(1000)) == {"do": "recycle"}


def test_who_talks_without_a_pause_is_heard_piece_by_piece() -> None:
    class Flood:
        """A socket that always has more."""

        def setblocking(self, _is_blocking: bool) -> None:
            pass

        def recv(self, _size: int) -> bytes:
            return b'{"is": "more"}\n'

    messages = Channel(Flood()).receive()  # type: ignore[arg-type]
    assert messages == [{"is": "more"}] * RECEIVES_AT_ONCE


def test_descriptors_that_nobody_wants_are_not_kept() -> None:
    ours, theirs = Channel.pair()
    reader, writer = os.pipe()
    assert theirs.send({"is": "loaded"}, [writer])
    os.close(writer)
    assert ours.receive() == [{"is": "loaded"}]
    assert ours.take_descriptors(1) == []
    # The end of the stream: no copy of the writer is left open.
    assert os.read(reader, 1) == b""
    os.close(reader)
    ours.close()
    theirs.close()


def test_nonsense_that_is_nested_without_end_is_nonsense() -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(b"[" * 100_000 + b"\n")
    channel = Channel(ours)
    assert channel.receive() is None
    channel.close()
    theirs.close()
