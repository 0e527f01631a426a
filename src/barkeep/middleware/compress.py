"""Compress answers: zstd, brotli or gzip, as the client prefers (RFC 9110 sections 8.4 and 12.5.3)."""

from __future__ import annotations

from ..setting import Kind
from ..setting_kinds import MIB, size, whole_number
from .base import Middleware, Option
from .codings import LIBRARIES, choose_coding, compressor_maker, library_of
from .fields import field, list_of, with_vary, without
from .option_kinds import texts
from .response import changed_head, filter_body

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from .codings import Compressor
    from .fields import Headers
    from .response import BodyFilter

# Types that shrink. Images, video, fonts and archives are compressed already.
COMPRESSIBLE_TYPES = (
    "text/*",
    "application/javascript",
    "application/json",
    "application/*+json",
    "application/manifest+json",
    "application/wasm",
    "application/x-ndjson",
    "application/xml",
    "application/*+xml",
    "image/svg+xml",
    "image/bmp",
)

# Digests of the content as the application made it would be wrong afterwards (RFC 9530), as would ranges.
NOT_TO_BE_ENCODED = frozenset(("content-md5", "content-digest", "digest", "content-range"))

# Without content (204, 304), or parts of it (206): nothing to encode. 304 gets its fields right all the same.
UNTOUCHED_STATUSES = ("204", "205", "206", "304")


def _codings() -> Kind[tuple[str, ...]]:
    names = ", ".join(LIBRARIES)
    return texts(f"some of {names}", LIBRARIES.__contains__)


class Compress(Middleware):
    """Compresses answers of the types that shrink. Streams stay streams: each chunk is flushed.

    A strong ETag becomes weak, Vary gets Accept-Encoding, Content-Length is corrected or dropped. Not touched
    are parts (206), answers with Content-Encoding, no-transform or a digest, and requests with Range.
    """

    shorthand = "codings"

    codings = Option(
        _codings(), default=tuple(LIBRARIES),
        help="codings to offer, the best first; one whose library is missing is not offered",
    )  # fmt: skip
    types = Option(
        texts('content types, with "*" for any text between slashes and plus signs'),
        default=COMPRESSIBLE_TYPES,
        help="content types to compress",
    )  # fmt: skip
    minimum_bytes = Option(
        size(0, 16 * MIB), default=500,
        help="answers known to be smaller are sent as they are: a head of an answer is as large",
    )  # fmt: skip
    gzip_level = Option(whole_number(1, 9), default=6, help="effort of gzip: 1 is fastest, 9 is smallest")
    brotli_quality = Option(
        whole_number(0, 11), default=4,
        help="effort of brotli: above 5 it costs more time than it saves for answers made on request",
    )  # fmt: skip
    zstd_level = Option(
        whole_number(1, 19), default=3,
        help="effort of zstd; above 19 it would need a window that browsers refuse (RFC 9659)",
    )  # fmt: skip

    def wrap(self, application: WSGIApplication, /) -> WSGIApplication:
        levels = {"gzip": self.gzip_level, "br": self.brotli_quality, "zstd": self.zstd_level}
        offered = tuple(coding for coding in self.codings if library_of(coding) is not None)
        makers = {coding: compressor_maker(coding, levels[coding]) for coding in offered}
        minimum_bytes, shrinks = self.minimum_bytes, _type_matcher(self.types)

        def compressed(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            coding = choose_coding(environ.get("HTTP_ACCEPT_ENCODING"), offered)
            if coding == "identity" or "HTTP_RANGE" in environ:
                # The choice depended on the field all the same: caches must know.
                def vary(status: str, headers: Headers) -> tuple[str, Headers]:
                    return status, with_vary(headers, "Accept-Encoding") if shrinks(headers) else headers

                return application(environ, changed_head(start_response, vary))

            def decide(
                status: str, headers: Headers, body_bytes: int | None
            ) -> tuple[str, Headers, BodyFilter | None]:
                if body_bytes is not None and 0 < body_bytes < minimum_bytes:
                    # The same for every client, so it does not vary.
                    return status, headers, None
                if status[:3] in UNTOUCHED_STATUSES:
                    return status, _not_modified(environ, status, headers), None
                if not shrinks(headers):
                    return status, headers, None
                headers = with_vary(headers, "Accept-Encoding")
                is_head = environ["REQUEST_METHOD"] == "HEAD"
                if _told_bytes(headers, body_bytes or None if is_head else body_bytes) < minimum_bytes:
                    return status, headers, None
                headers = _encoded_headers(headers, coding)
                if is_head:
                    return status, headers, None
                return status, headers, _Encoder(makers[coding](), is_whole=body_bytes is not None)

            return filter_body(application, environ, start_response, decide)

        return compressed


class _Encoder:
    """Compresses the chunks of one answer. is_whole: it comes in one go, so that no chunk needs a flush."""

    __slots__ = ("_compress", "_finish", "_flush", "_is_whole")

    def __init__(self, compressor: Compressor, is_whole: bool) -> None:
        self._compress, self._flush, self._finish = compressor
        self._is_whole = is_whole

    def chunk(self, data: bytes) -> bytes:
        if self._is_whole or not data:
            return self._compress(data) if data else b""
        return self._compress(data) + self._flush()

    def end(self) -> bytes:
        return self._finish()


def _type_matcher(types: tuple[str, ...]) -> Callable[[Headers], bool]:
    """Whether an answer with these fields may be encoded, as far as its fields can tell."""
    import re

    pattern = "|".join(re.escape(text.lower()).replace(r"\*", "[^/;]*") for text in types)
    is_compressible = re.compile(rf"(?:{pattern})[ \t]*(?:;|$)").match if types else lambda _text: None

    def shrinks(headers: Headers) -> bool:
        may = False
        for found, value in headers:
            name = found.lower()
            if name == "content-type":
                may = is_compressible(value.lower()) is not None
            elif name in NOT_TO_BE_ENCODED or (name == "content-encoding" and value.lower() != "identity"):
                return False
        return may and "no-transform" not in map(str.lower, list_of(headers, "cache-control"))

    return shrinks


def _told_bytes(headers: Headers, body_bytes: int | None) -> float:
    """The size of the body: counted, or told by Content-Length; infinite while nobody knows."""
    if body_bytes is not None:
        return body_bytes
    told = field(headers, "content-length")
    return int(told) if told is not None and told.isascii() and told.isdigit() else float("inf")


def _encoded_headers(headers: Headers, coding: str) -> Headers:
    """The fields that change with the coding. The answer is not the same bytes any more: its ETag is weak."""
    # Ranges would be those of the encoded bytes, which are not the same each time.
    headers = without(headers, "content-length", "content-encoding", "accept-ranges")
    return [*map(_with_weak_etag, headers), ("Content-Encoding", coding)]


def _with_weak_etag(pair: tuple[str, str]) -> tuple[str, str]:
    name, value = pair
    return (name, f"W/{value}") if name.lower() == "etag" and value.startswith('"') else pair


def _not_modified(environ: WSGIEnvironment, status: str, headers: Headers) -> Headers:
    """A 304 has the fields that the 200 would have (RFC 9110 section 15.4.5)."""
    if not status.startswith("304"):
        return headers
    etag = field(headers, "etag")
    if etag is not None and f"W/{etag}" in environ.get("HTTP_IF_NONE_MATCH", ""):
        headers = list(map(_with_weak_etag, headers))
    return with_vary(headers, "Accept-Encoding")
