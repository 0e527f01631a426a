"""Which middleware must stand outside which: a table of rules, each with what goes wrong otherwise."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .registry import Piece

# From the outside in. Not every stack has all of them; what matters is in RULES.
RECOMMENDED = (
    "Forwarded",
    "RequestId",
    "AccessLog",
    "ServerTiming",
    "AllowedHosts",
    "HttpsRedirect",
    "SecurityHeaders",
    "Cors",
    "RateLimit",
    "Throttle",
    "MaxBody",
    "BasicAuth",
    "BearerAuth",
    "Timeout",
    "Static",
    "Mount",
    "Proxy",
    "Compress",
)


class Rule:
    """Each of `outer` must stand outside each of `inner`, or `otherwise` happens."""

    __slots__ = ("inner", "otherwise", "outer")

    def __init__(self, outer: tuple[str, ...], inner: tuple[str, ...], otherwise: str) -> None:
        self.outer = outer
        self.inner = inner
        self.otherwise = otherwise


RULES = (
    Rule(
        ("Static",), ("Compress",),
        "files that are compressed on the way lose ranges, and are read instead of sent from the disk",
    ),
    Rule(
        ("Forwarded",),
        ("RateLimit", "Throttle", "AllowedHosts", "HttpsRedirect", "SecurityHeaders", "Proxy"),
        "it sees the address, host and scheme of the proxy in front, and not those of the client",
    ),
    Rule(
        ("AllowedHosts",), ("HttpsRedirect",),
        "a forged Host field makes it redirect to any site",
    ),
    Rule(
        ("HttpsRedirect",), ("BasicAuth", "BearerAuth"),
        "passwords and tokens are asked for over http",
    ),
    Rule(
        ("Cors",), ("BasicAuth", "BearerAuth"),
        "preflight requests carry no credentials, so they are refused",
    ),
    Rule(
        ("Cors",), ("RateLimit", "Throttle", "MaxBody"),
        "pages of other origins cannot read that they were refused, and why",
    ),
    Rule(
        ("RateLimit",), ("BasicAuth",),
        "each guess of a password costs the time of its hash before it is counted",
    ),
    Rule(
        ("MaxBody",), ("Proxy", "Mount"),
        "what goes there has no limit",
    ),
    Rule(
        ("AccessLog",),
        (
            "AllowedHosts", "HttpsRedirect", "RateLimit", "Throttle", "MaxBody",
            "BasicAuth", "BearerAuth", "Static", "Mount", "Proxy",
        ),
        "what it answers itself has no line in the log",
    ),
)  # fmt: skip


def wrong_orders(pieces: Sequence[Piece]) -> list[str]:
    """A sentence for each pair of pieces, outermost first, that stands in a wrong order."""
    names = [{kind.__name__ for kind in type(piece).__mro__} for piece in pieces]
    sentences = []
    for rule in RULES:
        for outer in rule.outer:
            places = [place for place, kinds in enumerate(names) if outer in kinds]
            if not places:
                continue
            for inner in rule.inner:
                if any(inner in kinds for kinds in names[: places[0]]):
                    sentences.append(
                        f"{inner} stands outside {outer}: {rule.otherwise}. Put {outer} before {inner}."
                    )
    return sentences
