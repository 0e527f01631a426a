"""Whatever path or range is asked for: no byte from outside the directory, none that was not named."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barkeep.middleware.ranges import parse_ranges, precondition_status
from barkeep.middleware.static import Static
from tests.apps import answering
from tests.middleware_cases import call, make_environ
from tests.properties.profile import PROPERTY

if TYPE_CHECKING:
    from pathlib import Path
    from wsgiref.types import WSGIApplication

CONTENT = bytes(range(200))

# Words of which paths out of the directory are made, among harmless ones.
parts = st.one_of(
    st.sampled_from(
        ["..", ".", "", "inner", "out", "up", "a.txt", "secret.txt", "root", ".env", "%2e%2e", "\0", "\\"]
    ),
    st.text(st.characters(max_codepoint=255), max_size=4),
)
paths = st.lists(parts, min_size=1, max_size=7).map("/".join)

numbers = st.one_of(st.just(""), st.integers(0, 250).map(str))
range_texts = st.lists(st.tuples(numbers, numbers).map("-".join), min_size=1, max_size=4).map(
    lambda texts: "bytes=" + ", ".join(texts)
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> WSGIApplication:
    """A directory with links out of it, beside a secret."""
    place: Path = tmp_path_factory.mktemp("static")
    root = place / "root"
    (root / "inner").mkdir(parents=True)
    for outside in (place / "secret.txt", root / ".env"):
        outside.write_bytes(b"secret")
    for inside in (root / "a.txt", root / "inner" / "a.txt"):
        inside.write_bytes(CONTENT)
    (root / "out").symlink_to(place)
    (root / "inner" / "up").symlink_to("../..")
    return Static({"/": str(root)})(answering(b"application"))


@PROPERTY
@given(path=paths)
def test_no_path_leads_out_of_the_directory(site: WSGIApplication, path: str) -> None:
    answer = call(site, make_environ("/" + path))
    assert answer.error is None
    assert answer.body in (CONTENT, b"application")


@PROPERTY
@given(text=range_texts)
def test_ranges_name_the_bytes_that_are_sent(site: WSGIApplication, text: str) -> None:
    ranges = parse_ranges(text, len(CONTENT))
    answer = call(site, make_environ("/a.txt", HTTP_RANGE=text))
    assert answer.field("Content-Length") == str(len(answer.body))
    if ranges is None:
        assert answer.body == CONTENT
    elif not ranges:
        assert answer.status.startswith("416")
    elif len(ranges) == 1:
        first, last = ranges[0]
        assert answer.body == CONTENT[first : last + 1]
        assert answer.field("Content-Range") == f"bytes {first}-{last}/{len(CONTENT)}"
    else:
        told = re.findall(rb"Content-Range: bytes (\d+)-(\d+)/200\r\n\r\n", answer.body)
        assert [(int(first), int(last)) for first, last in told] == ranges
        assert all(CONTENT[first : last + 1] in answer.body for first, last in ranges)
        assert len(answer.body) < len(CONTENT) + 150 * len(ranges)


@PROPERTY
@given(text=st.text(st.characters(max_codepoint=255), max_size=40))
def test_any_text_in_a_condition_is_judged_without_an_error(text: str) -> None:
    for field in ("IF_MATCH", "IF_NONE_MATCH", "IF_MODIFIED_SINCE", "IF_UNMODIFIED_SINCE"):
        assert precondition_status({f"HTTP_{field}": text}, '"x"', 5) in (
            "",
            "304 Not Modified",
            "412 Precondition Failed",
        )
    assert parse_ranges(text, 10) is None or text.strip().lower().startswith("bytes")
