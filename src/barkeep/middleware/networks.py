"""Networks of addresses as operators write them: 10.0.0.0/8, ::1, and unix for peers without an address."""

from __future__ import annotations

import functools
import ipaddress

from ..setting import Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

UNIX = "unix"
LOOPBACK = "127.0.0.0/8,::1,unix"

# Addresses whose answer is remembered, at about 300 bytes each. Parsing one takes 2 us, looking it up 0.1 us.
REMEMBERED_ADDRESSES = 4096


class Networks:
    """A set of addresses. What is no address is in none; "" stands for a peer of a unix socket."""

    def __init__(self, texts: tuple[str, ...]) -> None:
        """Raises ValueError that names the first text that is no network."""
        self.texts = texts
        self._has_unix = UNIX in texts
        self._networks = [_network(text) for text in texts if text != UNIX]
        self._has = functools.lru_cache(REMEMBERED_ADDRESSES)(self._look_up)

    def __contains__(self, address: str) -> bool:
        return self._has(address)

    def __str__(self) -> str:
        return ",".join(self.texts)

    def _look_up(self, text: str) -> bool:
        if not text:
            return self._has_unix
        address = parse_ip(text)
        return address is not None and any(address in network for network in self._networks)


def networks() -> Kind[Networks]:
    """A list of networks and addresses, or one text with "," between them."""

    def read(found: object) -> Networks:
        if isinstance(found, Networks):
            return found
        texts = found.split(",") if isinstance(found, str) else found
        if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
            raise ValueError
        return Networks(tuple(text.strip(" ") for text in texts if text.strip(" ")))

    return Kind("networks such as 10.0.0.0/8, ::1 or unix", "NETWORK", read, str, is_list=True)


def parse_ip(text: str) -> IPv4Address | IPv6Address | None:
    """An address, IPv4 inside IPv6 as the IPv4 it stands for; None for anything else."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        # A zone names the cable on our side. It is no part of who the peer is, and a peer could make it up.
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(str(error)) from None
