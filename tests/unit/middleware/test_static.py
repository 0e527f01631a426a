"""Static: which files are served, preconditions, ranges, siblings, and what is refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest

from barkeep.errors import SettingError
from barkeep.middleware.ranges import parse_ranges
from barkeep.middleware.static import Static
from barkeep.middleware.static_files import content_type
from tests.middleware_cases import Answer, Case, call, check_both_sides, each_case, make_environ

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

CONTENT = bytes(range(256)) * 4
MODIFIED_S = 1_700_000_000
MODIFIED = "Tue, 14 Nov 2023 22:13:20 GMT"
EARLIER = "Tue, 14 Nov 2023 22:13:19 GMT"


def fallback(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("299 From The Application", [("Content-Type", "text/plain")])
    return [b"application"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory to serve, beside a file that may not be served."""
    (tmp_path / "secret.txt").write_bytes(b"secret")
    root = tmp_path / "root"
    root.mkdir()
    write(root / "data.bin", CONTENT)
    return root


def write(path: Path, content: bytes, modified_s: int = MODIFIED_S) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (modified_s, modified_s))


def served(root: Path, **settings: object) -> WSGIApplication:
    return validator(Static(f"/static={root}", **settings)(fallback))


def get(root: Path, path: str = "/static/data.bin", method: str = "GET", **environ: object) -> Answer:
    answer = call(served(root), {**make_environ(path, method), **environ})
    if answer.error is not None:
        raise answer.error
    return answer


@each_case
def test_answers_of_the_application_pass_through(case: Case, root: Path) -> None:
    check_both_sides(Static(f"/static={root}"), case)


def test_a_file_is_sent_with_validators_type_and_length(root: Path) -> None:
    answer = get(root)
    assert answer.status == "200 OK"
    assert answer.body == CONTENT
    etag = answer.field("ETag")
    assert etag is not None
    assert etag.startswith('"')
    assert sorted(answer.headers) == sorted(
        [
            ("Content-Type", "application/octet-stream"),
            ("Cache-Control", "no-cache"),
            ("ETag", etag),
            ("Last-Modified", MODIFIED),
            ("Accept-Ranges", "bytes"),
            ("Content-Length", "1024"),
        ]
    )


def test_a_file_goes_through_the_wrapper_of_the_server(root: Path) -> None:
    body = Static(f"/static={root}")(fallback)(
        make_environ("/static/data.bin"), lambda *_: lambda _data: None
    )
    assert type(body) is FileWrapper
    body.close()
    assert body.filelike.closed


def test_a_file_is_sent_without_a_wrapper_too(root: Path) -> None:
    environ = make_environ("/static/data.bin")
    del environ["wsgi.file_wrapper"]
    assert call(served(root), environ).body == CONTENT
    environ = make_environ("/static/data.bin", HTTP_RANGE="bytes=1000-")
    del environ["wsgi.file_wrapper"]
    assert call(served(root), environ).body == CONTENT[1000:]


def test_head_has_the_fields_of_get_and_no_body(root: Path) -> None:
    head = get(root, method="HEAD")
    assert head.body == b""
    assert head.headers == get(root).headers


@pytest.mark.parametrize(
    "path", ["/", "/static", "/staticx/data.bin", "/static/none.bin", "/static/data.bin/"]
)
def test_other_paths_are_the_applications(root: Path, path: str) -> None:
    assert get(root, path).body == b"application"


def test_other_methods_are_the_applications(root: Path) -> None:
    assert get(root, method="POST").body == b"application"


def test_without_fall_through_a_missing_file_is_404(root: Path) -> None:
    answer = call(served(root, fall_through=False), make_environ("/static/none"))
    assert answer.status == "404 Not Found"


@pytest.mark.parametrize(
    "name",
    [
        "../secret.txt",
        "a/../../secret.txt",
        "..",
        "./data.bin",
        "/data.bin",
        "a//data.bin",
        "data.bin\0",
        "\0",
        "data.bin/../data.bin",
        ".env",
        "a/.git/config",
        "link.txt",
        "directory_link/secret.txt",
        "dot_link",
        "pipe",
        "x" * 5000,
        "\u0100",
    ],
)
def test_what_may_not_be_served_is_not(root: Path, name: str) -> None:
    write(root / ".env", b"secret")
    write(root / "a" / ".git" / "config", b"secret")
    (root / "link.txt").symlink_to(root.parent / "secret.txt")
    (root / "directory_link").symlink_to(root.parent)
    (root / "dot_link").symlink_to(root / ".env")
    os.mkfifo(root / "pipe")
    assert get(root, f"/static/{name}").body == b"application"


def test_links_inside_the_directory_are_followed(root: Path) -> None:
    (root / "inside.bin").symlink_to(root / "data.bin")
    assert get(root, "/static/inside.bin").body == CONTENT


def test_named_dotfiles_are_served(root: Path) -> None:
    write(root / ".well-known" / "security.txt", b"Contact")
    assert get(root, "/static/.well-known/security.txt").body == b"Contact"


def test_names_outside_of_ascii_are_found(root: Path) -> None:
    write(root / "gr\u00fc\u00dfe.txt", b"hello")
    path = "/static/gr\u00fc\u00dfe.txt".encode().decode("latin-1")
    assert get(root, path).body == b"hello"


def test_a_directory_answers_with_its_index(root: Path) -> None:
    write(root / "docs" / "index.html", b"<p>index")
    answer = get(root, "/static/docs/")
    assert answer.body == b"<p>index"
    assert answer.field("Content-Type") == "text/html; charset=utf-8"


def test_a_directory_without_a_slash_is_redirected_to_it(root: Path) -> None:
    write(root / "d\u00fc" / "index.html", b"<p>index")
    path = "/static/d\u00fc".encode().decode("latin-1")
    answer = get(root, path, SCRIPT_NAME="/mount", QUERY_STRING="a=b")
    assert answer.status == "301 Moved Permanently"
    assert answer.field("Location") == "/mount/static/d%C3%BC/?a=b"


def test_a_directory_without_an_index_is_never_listed(root: Path) -> None:
    (root / "empty").mkdir()
    for path in ("/static/empty", "/static/empty/", "/static/"):
        assert get(root, path).body == b"application"


# -- preconditions -----------------------------------------------------------------------------------


def test_the_etag_of_a_changed_file_is_another(root: Path) -> None:
    before = get(root).field("ETag")
    write(root / "data.bin", CONTENT, MODIFIED_S + 1)
    assert get(root).field("ETag") != before


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({"HTTP_IF_NONE_MATCH": "ETAG"}, "304"),
        ({"HTTP_IF_NONE_MATCH": "W/ETAG"}, "304"),
        ({"HTTP_IF_NONE_MATCH": '"a,b", ETAG'}, "304"),
        ({"HTTP_IF_NONE_MATCH": "*"}, "304"),
        ({"HTTP_IF_NONE_MATCH": '"other"'}, "200"),
        ({"HTTP_IF_NONE_MATCH": "broken ETAG"}, "200"),
        ({"HTTP_IF_NONE_MATCH": '"other"', "HTTP_IF_MODIFIED_SINCE": MODIFIED}, "200"),
        ({"HTTP_IF_MODIFIED_SINCE": MODIFIED}, "304"),
        ({"HTTP_IF_MODIFIED_SINCE": EARLIER}, "200"),
        ({"HTTP_IF_MODIFIED_SINCE": "yesterday"}, "200"),
        ({"HTTP_IF_MATCH": "ETAG"}, "200"),
        ({"HTTP_IF_MATCH": "W/ETAG"}, "412"),
        ({"HTTP_IF_MATCH": '"other"'}, "412"),
        ({"HTTP_IF_MATCH": "*"}, "200"),
        ({"HTTP_IF_UNMODIFIED_SINCE": MODIFIED}, "200"),
        ({"HTTP_IF_UNMODIFIED_SINCE": EARLIER}, "412"),
        ({"HTTP_IF_MATCH": "ETAG", "HTTP_IF_UNMODIFIED_SINCE": EARLIER}, "200"),
    ],
)
def test_preconditions_are_judged_as_rfc_9110_orders(
    root: Path, condition: dict[str, str], status: str
) -> None:
    etag = get(root).field("ETag") or ""
    answer = get(root, **{name: value.replace("ETAG", etag) for name, value in condition.items()})
    assert answer.status[:3] == status
    if status == "304":
        assert answer.body == b""
        assert answer.field("ETag") == etag
        assert answer.field("Content-Length") is None


# -- ranges ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("0-0", 0, 0),
        ("0-99", 0, 99),
        ("1000-", 1000, 1023),
        ("-24", 1000, 1023),
        ("-9999", 0, 1023),
        ("5-9999", 5, 1023),
    ],
)
def test_one_range_is_sent_alone(root: Path, asked: str, first: int, last: int) -> None:
    answer = get(root, HTTP_RANGE=f"bytes={asked}")
    assert answer.status == "206 Partial Content"
    assert answer.body == CONTENT[first : last + 1]
    assert answer.field("Content-Range") == f"bytes {first}-{last}/1024"
    assert answer.field("Content-Length") == str(last - first + 1)


def test_several_ranges_are_sent_as_multipart(root: Path) -> None:
    answer = get(root, HTTP_RANGE="bytes=0-1, 1022-")
    kind = answer.field("Content-Type") or ""
    boundary = kind.partition("boundary=")[2].encode()
    part = b"--%b\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes %b/1024\r\n\r\n%b\r\n"
    expected = part % (boundary, b"0-1", CONTENT[:2]) + part % (boundary, b"1022-1023", CONTENT[-2:])
    assert answer.body == expected + b"--%b--\r\n" % boundary
    assert answer.field("Content-Length") == str(len(answer.body))
    assert kind.startswith("multipart/byteranges; ")


@pytest.mark.parametrize("asked", ["1024-", "5000-6000", "-0"])
def test_a_range_that_is_not_there_is_416(root: Path, asked: str) -> None:
    answer = get(root, HTTP_RANGE=f"bytes={asked}")
    assert answer.status == "416 Range Not Satisfiable"
    assert answer.field("Content-Range") == "bytes */1024"


@pytest.mark.parametrize(
    "text",
    [
        "bytes",
        "lines=0-1",
        "bytes=",
        "bytes=a-b",
        "bytes=5-1",
        "bytes=-",
        "bytes=0-5,3-9",
        "bytes=+1-2",
        "bytes=1_0-",
        "bytes=" + ",".join(f"{n}-{n}" for n in range(11)),
    ],
)
def test_a_range_that_cannot_be_used_gives_the_whole_file(root: Path, text: str) -> None:
    assert parse_ranges(text, 1024) is None
    assert get(root, HTTP_RANGE=text).status == "200 OK"


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("ETAG", "206"),
        ('"other"', "200"),
        ("W/ETAG", "200"),
        (MODIFIED, "206"),
        (EARLIER, "200"),
        ("x", "200"),
    ],
)
def test_a_range_counts_only_if_the_file_is_the_same(root: Path, condition: str, status: str) -> None:
    etag = get(root).field("ETag") or ""
    answer = get(root, HTTP_RANGE="bytes=0-1", HTTP_IF_RANGE=condition.replace("ETAG", etag))
    assert answer.status[:3] == status


def test_head_has_no_ranges(root: Path) -> None:
    assert get(root, method="HEAD", HTTP_RANGE="bytes=0-1").status == "200 OK"


def test_a_client_that_goes_away_closes_the_file(root: Path) -> None:
    body: Iterable[bytes] = Static(f"/static={root}")(fallback)(
        make_environ("/static/data.bin", HTTP_RANGE="bytes=0-9"), lambda *_: lambda _data: None
    )
    assert next(iter(body)) == CONTENT[:10]
    body.close()  # type: ignore[attr-defined]  # an open file would be a ResourceWarning, which is an error


# -- siblings, caching, types ------------------------------------------------------------------------


def test_a_compressed_sibling_is_sent_to_who_takes_it(root: Path) -> None:
    write(root / "app.js", b"script")
    write(root / "app.js.br", b"brotli")
    write(root / "app.js.gz", b"gzipped"[:6])
    plain = get(root, "/static/app.js")
    assert plain.body == b"script"
    assert plain.field("Vary") == "Accept-Encoding"
    best = get(root, "/static/app.js", HTTP_ACCEPT_ENCODING="gzip, br")
    assert (best.body, best.field("Content-Encoding")) == (b"brotli", "br")
    assert best.field("Content-Type") == "text/javascript; charset=utf-8"
    etags = {
        get(root, "/static/app.js", HTTP_ACCEPT_ENCODING=coding).field("ETag")
        for coding in ("", "br", "gzip")
    }
    assert len(etags) == 3
    assert get(root, "/static/app.js", HTTP_ACCEPT_ENCODING="gzip").body == b"gzippe"
    assert get(root, "/static/app.js", HTTP_ACCEPT_ENCODING="zstd").body == b"script"


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("app.3f2a9c1b.js", "public, max-age=31536000, immutable"),
        ("app-0123456789ab.min.css", "public, max-age=31536000, immutable"),
        ("report-20261120.pdf", "public, max-age=60"),
        ("report-2024-annual.pdf", "public, max-age=60"),
        ("deadbeef-facade.txt", "public, max-age=60"),
        ("app.js", "public, max-age=60"),
        ("bootstrap.min.js", "public, max-age=60"),
        ("very-long-descriptive.name.js", "public, max-age=60"),
    ],
)
def test_names_with_a_hash_may_be_kept_for_ever(root: Path, name: str, rule: str) -> None:
    write(root / name, b"x")
    answer = call(served(root, max_age="60s"), make_environ(f"/static/{name}"))
    assert answer.field("Cache-Control") == rule


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.MJS", "text/javascript; charset=utf-8"),
        ("a.json", "application/json; charset=utf-8"),
        ("a.svg", "image/svg+xml"),
        ("a.woff2", "font/woff2"),
        ("a.tar.gz", "application/gzip"),
        ("noending", "application/octet-stream"),
    ],
)
def test_type_comes_from_the_name(name: str, kind: str) -> None:
    assert content_type(name) == kind


def test_longest_prefix_counts(root: Path) -> None:
    write(root / "inner" / "a.txt", b"inner")
    piece = Static({"/": str(root), "/s": str(root / "inner")})
    assert call(piece(fallback), make_environ("/s/a.txt")).body == b"inner"
    assert call(piece(fallback), make_environ("/data.bin")).body == CONTENT


def test_a_directory_that_is_not_there_is_told_when_it_is_configured(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="Static: mounts /s needs a directory, found"):
        Static(f"/s={tmp_path / 'none'}")
    with pytest.raises(SettingError, match="Static: immutable must be a regular expression"):
        Static(f"/s={tmp_path}", immutable="(")
