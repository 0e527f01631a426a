"""Compress: which coding, which answers, and streams that stay streams."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import pytest

from barkeep.errors import SettingError
from barkeep.middleware.codings import choose_coding
from barkeep.middleware.compress import Compress
from tests.middleware_cases import (
    Answer,
    Case,
    Tracked,
    brotli,
    call,
    check_both_sides,
    decoded,
    each_case,
    make_environ,
    zstandard,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

OFFERED = ("zstd", "br", "gzip")
TEXT = b"the same words again and again, " * 50


def serving(
    body: Iterable[bytes], *headers: tuple[str, str], status: str = "200 OK", kind: str = "text/html"
) -> WSGIApplication:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, [("Content-Type", kind), *headers])
        return body

    return application


def asked(application: WSGIApplication, accepted: str = "gzip", **environ: object) -> Answer:
    return call(Compress()(application), {**make_environ(HTTP_ACCEPT_ENCODING=accepted), **environ})


@each_case
@pytest.mark.parametrize("coding", OFFERED)
def test_each_answer_is_valid_and_decodes_to_what_it_was(case: Case, coding: str) -> None:
    check_both_sides(Compress(minimum_bytes=0), case, decoded, HTTP_ACCEPT_ENCODING=coding)


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        (None, "identity"),
        ("", "identity"),
        ("gzip", "gzip"),
        ("gzip, br", "br"),
        ("br;q=0.5, gzip", "gzip"),
        ("zstd;q=0.1, br;q=0.1", "zstd"),
        ("*", "zstd"),
        ("*;q=0.1, gzip;q=0.2", "gzip"),
        ("*, zstd;q=0", "br"),
        ("identity, gzip;q=0.5", "identity"),
        ("identity;q=0.5, gzip", "gzip"),
        ("identity;q=0, deflate", "identity"),
        ("gzip;q=0", "identity"),
        ("GZIP ; Q=1.000", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip;q=1.5, br;q=-1, zstd;q=x", "identity"),
        ("deflate, compress", "identity"),
    ],
)
def test_coding_is_the_one_the_client_likes_best(accepted: str | None, chosen: str) -> None:
    assert choose_coding(accepted, OFFERED) == chosen


def test_a_coding_whose_library_is_missing_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "barkeep.middleware.codings.LIBRARIES", {"br": ("no_such_library",), "gzip": ("zlib",)}
    )
    application = Compress(codings=["br", "gzip"])(serving([TEXT]))
    answer = call(application, make_environ(HTTP_ACCEPT_ENCODING="br, gzip"))
    assert answer.field("Content-Encoding") == "gzip"


def test_a_list_gets_its_new_length_and_vary() -> None:
    answer = asked(serving([TEXT], ("Content-Length", str(len(TEXT))), ("Vary", "Cookie")))
    assert decoded(answer) == TEXT
    assert answer.field("Content-Length") == str(len(answer.body))
    assert len(answer.body) < len(TEXT) / 4
    assert answer.field("Vary") == "Cookie, Accept-Encoding"


def test_a_stream_loses_its_length_and_each_chunk_can_be_read_at_once() -> None:
    answer = asked(serving(iter([b"first " * 200, b"second"]), ("Content-Length", "1206")))
    assert answer.field("Content-Length") is None
    reader = zlib.decompressobj(31)
    assert reader.decompress(answer.chunks[0]) == b"first " * 200
    assert reader.decompress(answer.chunks[1]) == b"second"


@pytest.mark.parametrize("coding", OFFERED)
def test_each_coding_flushes_each_chunk(coding: str) -> None:
    body = Tracked([b"first", b"second"])
    iterable = Compress(minimum_bytes=0)(serving(body))(
        make_environ(HTTP_ACCEPT_ENCODING=coding), lambda *_: lambda _data: None
    )
    got = next(iter(iterable))
    readers = {
        "gzip": zlib.decompressobj(31).decompress,
        "br": brotli.Decompressor().process,
        "zstd": zstandard.ZstdDecompressor().decompressobj().decompress,
    }
    assert readers[coding](got) == b"first"


def test_a_strong_etag_becomes_weak_and_a_weak_one_stays() -> None:
    assert asked(serving([TEXT], ("ETag", '"x"'))).field("ETag") == 'W/"x"'
    assert asked(serving([TEXT], ("ETag", 'W/"x"'))).field("ETag") == 'W/"x"'


def test_not_modified_has_the_etag_the_client_has() -> None:
    application = serving([], ("ETag", '"x"'), status="304 Not Modified")
    weak = asked(application, HTTP_IF_NONE_MATCH='W/"x"')
    assert weak.field("ETag") == 'W/"x"'
    assert weak.field("Vary") == "Accept-Encoding"
    assert asked(application, HTTP_IF_NONE_MATCH='"x"').field("ETag") == '"x"'


@pytest.mark.parametrize(
    "application",
    [
        serving([TEXT], kind="image/png"),
        serving([TEXT], ("Content-Encoding", "br")),
        serving([TEXT], ("Cache-Control", "public, No-Transform")),
        serving([TEXT], ("Content-Digest", "sha-256=:x:")),
        serving([TEXT], ("Content-Range", "bytes 0-9/10"), status="206 Partial Content"),
        serving([b"short"]),
        serving(iter([b"short"]), ("Content-Length", "5")),
    ],
    ids=["type", "encoded", "no-transform", "digest", "part", "short list", "short stream"],
)
def test_is_left_as_it_is(application: WSGIApplication) -> None:
    answer = asked(application)
    assert answer.body in (TEXT, b"short")
    assert answer.field("Content-Encoding") in (None, "br")


def test_an_answer_for_a_range_is_left_but_varies() -> None:
    answer = asked(serving([TEXT]), HTTP_RANGE="bytes=0-")
    assert answer.body == TEXT
    assert answer.field("Vary") == "Accept-Encoding"


def test_an_answer_that_is_not_encoded_for_this_client_varies_too() -> None:
    answer = asked(serving([TEXT]), accepted="identity")
    assert answer.body == TEXT
    assert answer.field("Vary") == "Accept-Encoding"
    assert asked(serving([TEXT], kind="image/png"), accepted="identity").field("Vary") is None


def test_head_has_the_fields_of_get_without_a_length() -> None:
    answer = asked(serving([], ("Content-Length", "1600"), ("ETag", '"x"')), REQUEST_METHOD="HEAD")
    assert answer.body == b""
    assert answer.field("Content-Encoding") == "gzip"
    assert answer.field("Content-Length") is None
    assert answer.field("ETag") == 'W/"x"'


def test_vary_of_everything_stays_alone() -> None:
    assert asked(serving([TEXT], ("Vary", "*"))).field("Vary") == "*"


def test_types_may_have_parameters_and_wildcards() -> None:
    for kind in ("text/css; charset=utf-8", "application/problem+json", "TEXT/HTML"):
        assert asked(serving([TEXT], kind=kind)).field("Content-Encoding") == "gzip", kind
    assert asked(serving([TEXT], kind="application/jsonx")).field("Content-Encoding") is None


def test_unknown_coding_is_an_error_that_names_the_known() -> None:
    with pytest.raises(SettingError, match="Compress: codings must be some of zstd, br, gzip"):
        Compress(codings=["deflate"])


def test_a_setting_that_is_not_there_is_an_error_with_the_nearest() -> None:
    with pytest.raises(SettingError, match=r'no setting "minimum_byte"\. Did you mean'):
        Compress(minimum_byte=5)
