"""addresses.py: every way to write an address, and what each wrong one is told."""

from __future__ import annotations

import pytest

from barkeep.addresses import FdAddress, TcpAddress, UnixAddress, parse_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8000", "127.0.0.1", 8000),
        ("site.example:80", "site.example", 80),
        (":0", "0.0.0.0", 0),
        ("[::1]:65535", "::1", 65535),
        ("[::]:80", "::", 80),
    ],
)
def test_host_and_port_are_taken_apart(text: str, host: str, port: int) -> None:
    address = parse_address(text)
    assert isinstance(address, TcpAddress)
    assert (address.host, address.port) == (host, port)


@pytest.mark.parametrize(
    ("text", "path"),
    [("unix:/run/site.sock", "/run/site.sock"), ("unix:site.sock", "site.sock"), ("unix:///a:b", "/a:b")],
)
def test_unix_path_may_be_absolute_or_relative_and_hold_colons(text: str, path: str) -> None:
    address = parse_address(text)
    assert isinstance(address, UnixAddress)
    assert address.path == path


def test_descriptor_is_a_number() -> None:
    address = parse_address("fd://3")
    assert isinstance(address, FdAddress)
    assert address.descriptor == 3


@pytest.mark.parametrize("text", ["127.0.0.1:80", "0.0.0.0:80", "[::1]:80", "unix:site.sock", "fd://3"])
def test_address_is_written_back_as_it_can_be_typed(text: str) -> None:
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is empty"),
        ("8000", "write :8000 for every interface or 127.0.0.1:8000"),
        ("localhost", "write localhost:8000"),
        ("localhost:", "a port is a number from 0 to 65535"),
        ("localhost:65536", "a port is a number from 0 to 65535"),
        ("localhost:+80", "a port is a number from 0 to 65535"),
        ("localhost:٨", "a port is a number from 0 to 65535"),
        ("::1:80", "write an IPv6 address in brackets, as [::1]:80"),
        ("[127.0.0.1]:80", "brackets are for IPv6 addresses"),
        ("http://a:80", "write an IPv6 address in brackets, as [http://a]:80"),
        ("a/b:80", "a host is a name or an IP address"),
        ("a b:80", "a host is a name or an IP address"),
        ("unix:", "the path is empty"),
        ("unix:a\0b", "the path is empty"),
        ("unix:" + "x" * 104, "the path is longer than the 103 bytes the system allows"),
        ("fd://x", '"x" is no descriptor number'),
        ("fd://-1", '"-1" is no descriptor number'),
    ],
)
def test_wrong_address_is_told_what_to_write(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_address(text)
    assert str(caught.value) == told
