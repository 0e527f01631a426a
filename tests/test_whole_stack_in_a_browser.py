"""examples/whole_stack in a real browser: origins, caches, codings, and a video that is searched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.browser import Browser, Page
from tests.whole_stack import WholeStack, whole_stack

# As pages say them; the browser is told where they really are.
SHOP = "http://localhost:8000"
WAREHOUSE = "http://localhost:8001"
# The same server under another name is another origin, which barkeep.toml does not name.
STRANGER = "http://127.0.0.1:8001"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeStack]:
    with whole_stack(tmp_path_factory.mktemp("whole_stack")) as running:
        yield running


@pytest.fixture(scope="module")
def browser(site: WholeStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    addresses = {
        "localhost:8000": site.shop,
        "localhost:8001": site.warehouse,
        "127.0.0.1:8001": site.warehouse,
    }
    with closing(Browser(tmp_path_factory.mktemp("profile"), addresses)) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with closing(browser.page()) as opened:
        yield opened


def fetched(page: Page, path: str, options: str = "{}") -> dict[str, Any]:
    """What a script of the page sees of an answer; its own failure is "error"."""
    script = f"""(async () => {{
        try {{
            const answer = await fetch({json.dumps(path)}, {options})
            const fields = Object.fromEntries(answer.headers)
            return {{status: answer.status, fields, text: await answer.text()}}
        }} catch (error) {{ return {{error: error.name}} }}
    }})()"""
    found: dict[str, Any] = page.run(script)
    return found


def answer_on_the_wire(page: Page, path: str) -> dict[str, Any]:
    """The fields of the next answer for a path as they came, which scripts are not shown whole."""
    asked = page.wait_for("Network.requestWillBeSent", lambda event: event["request"]["url"].endswith(path))
    number = asked["requestId"]
    return page.wait_for("Network.responseReceivedExtraInfo", lambda event: event["requestId"] == number)


def test_the_page_is_filled_from_the_api_and_the_upstream(page: Page) -> None:
    page.go(f"{SHOP}/shop/")
    assert page.run("window.isFilled")
    assert page.run("document.querySelectorAll('#drinks li').length") == 21
    assert page.run("document.getElementById('stock').textContent").endswith("/stock/today for 127.0.0.1\n")
    assert page.run("getComputedStyle(document.querySelector('video')).backgroundColor") == "rgb(96, 48, 16)"


# -- codings -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("path", ["/api/drinks", "/api/pour?drops=500"])
def test_each_coding_of_an_answer_is_understood(page: Page, path: str, coding: str) -> None:
    page.go(f"{SHOP}/shop/")
    page.call("Network.setExtraHTTPHeaders", headers={"Accept-Encoding": coding})
    got = fetched(page, path, "{cache: 'reload'}")
    assert got["fields"]["content-encoding"] == coding
    lines = json.loads(got["text"]) if path == "/api/drinks" else got["text"].splitlines()
    assert len(lines) == (21 if path == "/api/drinks" else 500)
    assert answer_on_the_wire(page, path)["headers"]["Vary"] == "Accept-Encoding, Origin"


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_each_coding_of_a_file_is_understood(site: WholeStack, page: Page, coding: str) -> None:
    (script,) = (site.directory / "made" / "shop").glob("shop.*.js")
    page.go(f"{SHOP}/shop/")
    page.call("Network.setExtraHTTPHeaders", headers={"Accept-Encoding": coding})
    got = fetched(page, f"/shop/{script.name}", "{cache: 'reload'}")
    assert got["fields"]["content-encoding"] == coding
    assert got["text"] == script.read_text()


# -- caches --------------------------------------------------------------------------------------------


def test_an_unchanged_answer_is_not_sent_again(page: Page) -> None:
    page.go(f"{SHOP}/shop/")
    page.run("window.isFilled")
    first = answer_on_the_wire(page, "/api/drinks")
    assert first["statusCode"] == 200
    # Compressed, so no longer byte for byte what the application made.
    assert first["headers"]["ETag"].startswith('W/"')
    again = fetched(page, "/api/drinks")
    assert (again["status"], len(json.loads(again["text"]))) == (200, 21)
    second = answer_on_the_wire(page, "/api/drinks")
    assert second["statusCode"] == 304
    assert second["headers"]["ETag"] == first["headers"]["ETag"]


def test_a_name_with_a_hash_is_asked_for_once(page: Page) -> None:
    page.go(f"{SHOP}/shop/")
    page.run("window.isFilled")
    page.go(f"{SHOP}/shop/")
    page.run("window.isFilled")
    assert answer_on_the_wire(page, "/shop/")["statusCode"] == 304
    sizes = page.run(
        "performance.getEntriesByType('resource').filter(entry => /shop\\.[0-9a-f]{12}\\./.test(entry.name))"
        ".map(entry => entry.transferSize)"
    )
    assert sizes == [0, 0]


# -- ranges --------------------------------------------------------------------------------------------


def test_a_video_is_searched_by_ranges(site: WholeStack, page: Page) -> None:
    # Otherwise some of what was read ahead may only be asked for again, and be answered with 304.
    page.call("Network.setCacheDisabled", cacheDisabled=True)
    page.go(f"{SHOP}/shop/")
    page.run(when("canplay", "video.readyState >= 3"))
    assert page.run("document.querySelector('video').duration") == 60
    page.run("document.querySelector('video').currentTime = 55.5; " + when("seeked", "false"))
    assert page.run("document.querySelector('video').videoWidth") == 64
    size = (site.directory / "made" / "shop" / "tasting.webm").stat().st_size
    told = page.wait_for(
        "Network.responseReceivedExtraInfo", lambda event: range_start(event["headers"]) > size // 2
    )
    assert told["statusCode"] == 206
    first = range_start(told["headers"])
    assert told["headers"]["Content-Range"] == f"bytes {first}-{size - 1}/{size}"
    page.go("about:blank")
    # One request from the beginning, one or more from where it was searched.
    for _request in range(2):
        assert site.wait_for_access("/shop/tasting.webm", 206)["host"] == "localhost:8000"


def range_start(fields: dict[str, str]) -> int:
    """The first byte that an answer has of its file."""
    return int(fields.get("Content-Range", "bytes 0-").removeprefix("bytes ").partition("-")[0])


def when(event: str, is_there: str) -> str:
    """A promise that the video has told this event, or that it is there already."""
    return f"""new Promise((done, failed) => {{
        const video = document.querySelector("video")
        video.addEventListener("error", () => failed(new Error(video.error.message)))
        if ({is_there}) done(true); else video.addEventListener("{event}", () => done(true), {{once: true}})
    }})"""


# -- origins -------------------------------------------------------------------------------------------

ORDER = """{method: "POST", credentials: "include", headers: {"Content-Type": "application/json"},
            body: JSON.stringify({drink: 3})}"""


def test_a_page_of_an_allowed_origin_acts_as_its_visitor(page: Page) -> None:
    page.go(f"{WAREHOUSE}/")
    got = fetched(page, f"{SHOP}/api/orders", ORDER)
    assert (got["status"], json.loads(got["text"])["orders"]) == (200, 1)
    # Exposed by the settings; nothing else of ours is shown to the script.
    assert got["fields"]["x-request-id"]
    assert "server-timing" not in got["fields"]
    preflight = page.wait_for(
        "Network.requestWillBeSent", lambda event: event["request"]["method"] == "OPTIONS"
    )
    told = page.wait_for(
        "Network.responseReceived", lambda event: event["requestId"] == preflight["requestId"]
    )["response"]
    assert told["status"] == 204
    fields = {name.lower(): value for name, value in told["headers"].items()}
    assert fields["access-control-allow-origin"] == WAREHOUSE
    assert fields["access-control-allow-headers"] == "content-type"
    with_cookie = fetched(page, f"{SHOP}/api/orders", '{credentials: "include"}')
    assert json.loads(with_cookie["text"]) == {"orders": 1}
    assert json.loads(fetched(page, f"{SHOP}/api/orders")["text"]) == {"orders": 0}


def test_a_preflight_is_remembered(site: WholeStack, page: Page) -> None:
    page.go(f"{WAREHOUSE}/")
    for _order in range(2):
        assert fetched(page, f"{SHOP}/api/orders?twice", ORDER)["status"] == 200
    told = [json.loads(site.server.wait_for_output('"path":"/api/orders?twice"')) for _line in range(3)]
    assert [line["method"] for line in told] == ["OPTIONS", "POST", "POST"]


def test_a_page_of_another_origin_reads_nothing(page: Page) -> None:
    page.go(f"{STRANGER}/")
    assert fetched(page, f"{SHOP}/api/drinks") == {"error": "TypeError"}
    assert fetched(page, f"{SHOP}/api/orders", ORDER) == {"error": "TypeError"}


def test_a_field_that_is_not_allowed_ends_at_the_preflight(page: Page) -> None:
    page.go(f"{WAREHOUSE}/")
    assert fetched(page, f"{SHOP}/api/drinks", '{headers: {"X-Other": "1"}}') == {"error": "TypeError"}


def test_the_page_runs_no_script_from_elsewhere(page: Page) -> None:
    page.go(f"{SHOP}/shop/")
    assert fetched(page, f"{WAREHOUSE}/stock/today") == {"error": "TypeError"}
    blocked = """new Promise(done => {
        addEventListener("securitypolicyviolation", event => {
            if (event.effectiveDirective.startsWith("script-src")) done(event.effectiveDirective)
        })
        const script = document.createElement("script")
        script.textContent = "window.isForeign = true"
        document.body.append(script)
    })"""
    assert page.run(blocked) == "script-src-elem"
    assert page.run("window.isForeign") is None
