"""Step 1 of 6 - the addresses a listener can have, as typed: text in, one of three small types out."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

# Longest path of a unix socket in bytes: sun_path has 108 on Linux and 104 on macOS, the last one is NUL.
MAX_UNIX_PATH_BYTES = 103
MAX_PORT = 65535


class TcpAddress:
    """host and port; host is without brackets. port 0 lets the kernel choose."""

    __slots__ = ("host", "port")

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class UnixAddress:
    """The path of a unix socket; a relative one counts from the working directory (after --chdir)."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def __str__(self) -> str:
        return f"unix:{self.path}"


class FdAddress:
    """An open listening socket that whoever started us left at this descriptor number."""

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __str__(self) -> str:
        return f"fd://{self.descriptor}"


Address: TypeAlias = "TcpAddress | UnixAddress | FdAddress"


def parse_address(text: str) -> Address:
    """One address as the operator writes it. Raises ValueError that says what is wrong with it."""
    if text.startswith("unix:"):
        return _parse_unix(text)
    if text.startswith("fd://"):
        number = text.removeprefix("fd://")
        if not _is_number(number):
            raise ValueError(f'"{number}" is no descriptor number')
        return FdAddress(int(number))
    return _parse_tcp(text)


def _parse_unix(text: str) -> UnixAddress:
    path = text.removeprefix("unix:")
    # unix:///run/site.sock is how others write it; the empty authority means nothing.
    if path.startswith("//"):
        path = path[2:]
    if not path or "\0" in path:
        raise ValueError("the path is empty")
    if len(path.encode("utf-8", "surrogateescape")) > MAX_UNIX_PATH_BYTES:
        raise ValueError(f"the path is longer than the {MAX_UNIX_PATH_BYTES} bytes the system allows")
    return UnixAddress(path)


def _parse_tcp(text: str) -> TcpAddress:
    host, colon, port = text.rpartition(":")
    if not colon:
        way_out = f":{port} for every interface or 127.0.0.1:{port}" if _is_number(port) else f"{port}:8000"
        raise ValueError(f"write {way_out}" if port else "it is empty")
    if not _is_number(port) or int(port) > MAX_PORT:
        raise ValueError(f"a port is a number from 0 to {MAX_PORT}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise ValueError("brackets are for IPv6 addresses")
    elif ":" in host:
        raise ValueError(f"write an IPv6 address in brackets, as [{host}]:{port}")
    elif "/" in host or not host.isprintable() or " " in host:
        raise ValueError("a host is a name or an IP address")
    return TcpAddress(host or "0.0.0.0", int(port))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5
