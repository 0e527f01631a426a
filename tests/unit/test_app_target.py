"""app_target.py: the forms a target may have, and those it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from barkeep.app_target import parse_target
from barkeep.errors import AppLoadError


@pytest.mark.parametrize(
    ("text", "module", "names"),
    [
        ("site:app", "site", ("app",)),
        ("shop.wsgi:site.app", "shop.wsgi", ("site.app",)),
        ("site", "site", ("application", "app")),
        ("shop.wsgi", "shop.wsgi", ("application", "app")),
    ],
)
def test_module_and_name_are_taken_apart(text: str, module: str, names: tuple[str, ...]) -> None:
    target = parse_target(text)
    assert (target.module, target.names, target.call, target.directory) == (module, names, None, "")


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("site:make()", ([], {})),
        ("site:make('a:b', 2)", (["a:b", 2], {})),
        ("site:make(n=-1, debug=True)", ([], {"n": -1, "debug": True})),
        ("site:make([1, {'k': None}])", ([[1, {"k": None}]], {})),
    ],
)
def test_factory_is_called_with_literals(text: str, call: tuple[list[object], dict[str, object]]) -> None:
    target = parse_target(text)
    assert target.names == ("make",)
    assert target.call == call


def test_factory_may_be_an_attribute() -> None:
    assert parse_target("site:Shop.make()").names == ("Shop.make",)


@pytest.mark.parametrize(
    "expression",
    ["", "a b", "a.", "1", "'app'", "a[0]", "make()()", "make(x)", "make(f())", "make(**{})", "make(*[1])",
     "a or b", "make(__import__('os'))", "lambda: 0", "(" * 300, "a\0b"],
)  # fmt: skip
def test_what_is_neither_a_name_nor_a_call_with_literals_is_refused(expression: str) -> None:
    with pytest.raises(AppLoadError, match="is neither a name nor a call with literal arguments"):
        parse_target(f"site:{expression}")


@pytest.mark.parametrize("text", ["", ":app", "si te:app", "1site:app", "site..wsgi:app", "-x"])
def test_what_is_no_module_name_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(AppLoadError, match=r"is not a module name\. Write module:name, "):
        parse_target(text)


def test_file_is_imported_from_its_directory(site: Path) -> None:
    (site / "code").mkdir()
    (site / "code" / "shop.py").touch()
    target = parse_target("code/shop.py:app")
    assert (target.directory, target.module, target.names) == (str(site / "code"), "shop", ("app",))


def test_file_in_packages_keeps_its_full_name(site: Path) -> None:
    (site / "shop" / "web").mkdir(parents=True)
    for file in ("__init__.py", "web/__init__.py", "web/wsgi.py"):
        (site / "shop" / file).touch()
    target = parse_target("shop/web/wsgi.py")
    assert (target.directory, target.module) == (str(site), "shop.web.wsgi")
    assert parse_target("shop/__init__.py:app").module == "shop"


def test_file_that_is_not_there_is_told_with_its_full_path(site: Path) -> None:
    with pytest.raises(AppLoadError, match=f"the file {site}/shop.py does not exist"):
        parse_target("shop.py:app")


def test_directory_is_told_apart_from_a_missing_file(site: Path) -> None:
    (site / "shop").mkdir()
    with pytest.raises(AppLoadError, match=f"the file {site}/shop is a directory"):
        parse_target("./shop:app")
