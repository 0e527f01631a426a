"""Middlewares put together: order, names, texts of settings, and what is told about them."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

import barkeep
from barkeep import cli
from barkeep.config_sources import load_settings
from barkeep.errors import AppImportError, SettingError
from barkeep.middleware.allowed_hosts import AllowedHosts
from barkeep.middleware.base import Middleware
from barkeep.middleware.configured import ConfiguredStack
from barkeep.middleware.https_redirect import HttpsRedirect
from barkeep.middleware.order import RECOMMENDED, RULES, wrong_orders
from barkeep.middleware.registry import CLASSES, NAMES, load_class, make_piece, parse_piece
from barkeep.middleware.stack import MiddlewareOrderWarning
from barkeep.middleware.timeout import Timeout
from tests.apps import answering
from tests.middleware_cases import call

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

THIRD_PARTY = """
class Classic:
    def __init__(self, application, word="none"):
        self.application, self.word = application, word

    def __call__(self, environ, start_response):
        environ["third.party"] = self.word
        return self.application(environ, start_response)
"""
APP = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ.get("third.party", "").encode()]
"""


class Marks(Middleware):
    """Adds its mark to the request's path, so that the order shows."""

    def __init__(self, mark: str) -> None:
        super().__init__()
        self.mark = mark

    def wrap(self, application: WSGIApplication, /) -> WSGIApplication:
        def marked(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            environ["PATH_INFO"] += self.mark
            return application(environ, start_response)

        return marked


def path(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [])
    return [environ["PATH_INFO"].encode()]


def test_the_first_piece_is_outermost() -> None:
    assert call(barkeep.stack(path, Marks("a"), Marks("b"))).body == b"/ab"


def test_anything_that_takes_an_application_is_a_piece() -> None:
    assert call(barkeep.stack(path, Marks("a"), lambda application: Marks("b")(application))).body == b"/ab"


def test_a_wrong_order_is_warned_about_and_kept() -> None:
    with pytest.warns(
        MiddlewareOrderWarning, match="HttpsRedirect stands outside AllowedHosts: a forged Host"
    ):
        barkeep.stack(path, HttpsRedirect(), AllowedHosts("a.example"))


def test_the_recommended_order_has_all_pieces_and_breaks_no_rule() -> None:
    assert sorted(RECOMMENDED) == sorted(CLASSES)
    kinds = [type(name, (), {}) for name in RECOMMENDED]
    assert wrong_orders([kind() for kind in kinds]) == []
    named = {name for rule in RULES for name in rule.outer + rule.inner}
    assert named <= set(CLASSES)


def test_each_rule_is_told_when_it_is_broken() -> None:
    for rule in RULES:
        for outer in rule.outer:
            for inner in rule.inner:
                pieces = [type(name, (), {})() for name in (inner, outer)]
                assert any(
                    sentence.startswith(f"{inner} stands outside {outer}: ")
                    for sentence in wrong_orders(pieces)
                )
                assert wrong_orders(pieces[::-1]) == []


# -- names -------------------------------------------------------------------------------------------


def test_a_name_of_ours_is_the_class_name_in_lower_case() -> None:
    assert NAMES["httpsredirect"] == "HttpsRedirect"
    assert load_class("httpsredirect") is HttpsRedirect


def test_a_text_after_the_name_is_the_setting_it_stands_for() -> None:
    assert parse_piece("timeout:5s") == ("timeout", {"limit": "5s"})
    assert parse_piece("mount:/a=b:c") == ("mount", {"places": "/a=b:c"})
    assert parse_piece("timeout") == ("timeout", {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("timout", 'there is no middleware "timout". Did you mean "timeout"?'),
        ("securityheaders:x", 'middleware "securityheaders" takes no text after its name, found "x"'),
        ("no_such_module:Class", 'cannot load middleware "no_such_module:Class": No module named'),
        ("json:Nope", 'cannot load middleware "json:Nope": module "json" has no name "Nope"'),
        ("math:pi", 'middleware "math:pi" cannot be called: it is of type float'),
    ],
)
def test_a_name_that_cannot_be_used_is_told(text: str, message: str) -> None:
    with pytest.raises(SettingError) as told:
        make_piece(*parse_piece(text))
    assert str(told.value).startswith(message)


def test_a_class_of_a_third_party_takes_the_application_first(site: Path) -> None:
    site.joinpath("third.py").write_text(THIRD_PARTY)
    seen: WSGIEnvironment = {}

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        seen.update(environ)
        start_response("200 OK", [])
        return []

    call(make_piece("third:Classic", {"word": "given"})(application))
    assert seen["third.party"] == "given"


def test_a_class_that_fails_is_told_with_its_traceback(site: Path) -> None:
    site.joinpath("third.py").write_text(THIRD_PARTY)
    site.joinpath("broken.py").write_text("raise LookupError('no table')\n")
    with pytest.raises(
        AppImportError, match=r'cannot use middleware "third:Classic": calling it .* TypeError'
    ) as told:
        make_piece("third:Classic", {"wrod": "given"})(path)
    assert "wrod" in told.value.traceback_text
    with pytest.raises(
        AppImportError, match='cannot use middleware "broken:X": importing broken raised'
    ) as told:
        make_piece("broken:X", {})
    assert "broken.py" in told.value.traceback_text


def test_no_setting_is_called_name_for_a_table_names_its_middleware_so() -> None:
    places = {
        name: name.lower() for name, module in CLASSES.items() if find_spec(f"barkeep.middleware.{module}")
    }
    assert [name for name, text in places.items() if "name" in load_class(text).OPTIONS] == []


# -- settings ----------------------------------------------------------------------------------------


def configured(directory: Path, toml: str, **typed: object) -> ConfiguredStack:
    directory.joinpath("barkeep.toml").write_text(toml)
    return ConfiguredStack(load_settings(typed, {}, str(directory)))


def test_tables_are_pieces_in_their_order(tmp_path: Path) -> None:
    toml = '[[middleware]]\nname = "timeout"\nlimit = "5s"\n\n[[middleware]]\nname = "requestid"\n'
    found = configured(tmp_path, toml)
    assert found.describe() == ["Timeout(limit=5s)", "RequestId()"]
    timeout = found.pieces[0]
    assert isinstance(timeout, Timeout)
    assert timeout.limit == 5.0


def test_texts_may_stand_in_a_list_and_the_command_line_replaces_them_all(tmp_path: Path) -> None:
    toml = 'middleware = ["timeout:5s", {name = "requestid", trace = false}]\n'
    assert configured(tmp_path, toml).describe() == ["Timeout(limit=5s)", "RequestId(trace=off)"]
    typed = configured(tmp_path, toml, middleware=["timeout:1s|requestid", "servertiming"])
    assert typed.describe() == ["Timeout(limit=1s)", "RequestId()", "ServerTiming()"]


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('[[middleware]]\nname = "timeout"\n', "Timeout: limit is needed"),
        (
            '[[middleware]]\nname = "requestid"\n[[middleware]]\nname = "timeout"\nlimit = 0\n',
            "Timeout: limit must be",
        ),
    ],
)
def test_a_piece_that_cannot_be_made_is_told_with_its_place(tmp_path: Path, toml: str, message: str) -> None:
    with pytest.raises(SettingError) as told:
        configured(tmp_path, toml)
    assert str(told.value).startswith(message)
    assert str(told.value).endswith(f"(barkeep.toml, middleware {toml.count('name')})")


@pytest.mark.parametrize("found", [{"limit": 5}, [5], 5, "a||b", ""])
def test_what_names_no_middleware_is_a_setting_error(found: object) -> None:
    with pytest.raises(SettingError, match="--middleware must be names such as compress"):
        load_settings({"middleware": found}, {}, "/nowhere")


def test_check_prints_the_stack_and_warns(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site.joinpath("site_app.py").write_text(APP)
    site.joinpath("barkeep.toml").write_text(
        '[[middleware]]\nname = "compress"\nminimum_bytes = "1KiB"\n'
        '[[middleware]]\nname = "static"\nmounts = {"/static" = "."}\n'
    )
    assert cli.main(["check", "site_app:app"]) == 0
    out = capsys.readouterr().out
    assert (
        "middleware, outermost first:\n  Compress(minimum_bytes=1KiB)\n  Static(mounts=/static=.)\n"
        "warning: Compress stands outside Static: files that are compressed on the way lose ranges"
    ) in out
    assert "compress|static" in out


def test_check_of_a_broken_stack_is_exit_code_2(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site.joinpath("site_app.py").write_text(APP)
    assert cli.main(["check", "site_app:app", "--middleware", "timeout:x"]) == 2
    assert "Timeout: limit must be a time" in capsys.readouterr().err


def test_stack_without_warnings_is_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        barkeep.stack(answering(b""), AllowedHosts("a.example"), HttpsRedirect())
