"""app_loader.py: the application is found, or the error says what was tried and whose fault it is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from barkeep.app_loader import load_application, prepare_import_path
from barkeep.errors import AppImportError, AppLoadError

SHOP = """
from json import dumps, JSONDecoder

def app(environ, start_response):
    return [b"app"]

class Holder:
    inner = staticmethod(app)

class Callable:
    def __init__(self, answer=b"made"):
        self.answer = answer
    def __call__(self, environ, start_response):
        return [self.answer]

def create_app(answer=b"created", *, loud=False):
    return Callable(answer.upper() if loud else answer)

made = Callable()
number = 5
_private = app
"""


@pytest.fixture
def shop(site: Path) -> Path:
    """A directory with the module `shop`."""
    (site / "shop.py").write_text(SHOP)
    return site


def answer_of(target: str) -> bytes:
    """What the application of a target answers."""
    return b"".join(load_application(target)({}, lambda *_: lambda _: None))


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("shop:app", b"app"),
        ("shop", b"app"),
        ("shop:made", b"made"),
        ("shop:Holder.inner", b"app"),
        ("shop:create_app()", b"created"),
        ("shop:create_app(b'x', loud=True)", b"X"),
        ("shop:Callable(b'y')", b"y"),
        ("shop.py:app", b"app"),
        ("./shop.py", b"app"),
    ],
)
@pytest.mark.usefixtures("shop")
def test_every_form_of_target_finds_its_application(target: str, answer: bytes) -> None:
    assert answer_of(target) == answer


def test_application_is_preferred_to_app_when_a_module_has_both(site: Path) -> None:
    (site / "both.py").write_text("app = None\ndef application(e, s): return [b'first']\n")
    assert answer_of("both") == b"first"


def test_file_of_a_package_can_use_relative_imports(site: Path) -> None:
    (site / "store").mkdir()
    (site / "store" / "__init__.py").write_text("word = b'relative'")
    (site / "store" / "wsgi.py").write_text("from . import word\ndef app(e, s): return [word]\n")
    assert answer_of("store/wsgi.py:app") == b"relative"


@pytest.mark.usefixtures("shop")
def test_missing_name_is_told_with_what_there_is_and_the_nearest() -> None:
    with pytest.raises(AppLoadError) as caught:
        load_application("shop:ap")
    assert str(caught.value) == (
        'cannot load "shop:ap": module "shop" has no name "ap"; '
        'it has: Callable, Holder, app, create_app, made. Did you mean "app"?'
    )


@pytest.mark.usefixtures("shop")
def test_missing_attribute_is_told_with_its_holder() -> None:
    with pytest.raises(AppLoadError, match=r'"Holder" has no name "outer"; it has: inner\.'):
        load_application("shop:Holder.outer")


def test_module_with_neither_usual_name_is_told_with_both(site: Path) -> None:
    (site / "bare.py").write_text("x = 1\n")
    with pytest.raises(
        AppLoadError, match='has no name "application" nor "app"; it has: no public callables'
    ):
        load_application("bare")


def test_missing_module_is_told_with_where_we_looked_and_the_nearest(shop: Path) -> None:
    with pytest.raises(AppLoadError) as caught:
        load_application("shopp:app")
    assert type(caught.value) is AppLoadError
    assert f'there is no module "shopp"; looked in {shop} and' in str(caught.value)
    assert 'Did you mean "shop"?' in str(caught.value)


def test_module_missing_from_a_package_is_ours_to_tell(site: Path) -> None:
    (site / "store").mkdir()
    (site / "store" / "__init__.py").touch()
    with pytest.raises(AppLoadError, match=r'there is no module "store\.wsgi"'):
        load_application("store.wsgi:app")


def test_module_missing_from_the_users_code_is_theirs_to_see(site: Path) -> None:
    (site / "needy.py").write_text("import not_installed\n")
    with pytest.raises(AppImportError) as caught:
        load_application("needy:app")
    assert 'needy.py", line 1' in caught.value.traceback_text
    assert caught.value.traceback_text.endswith("No module named 'not_installed'\n")


def test_module_that_imports_its_own_missing_name_is_told_as_their_error(site: Path) -> None:
    (site / "store").mkdir()
    (site / "store" / "__init__.py").write_text("import store.wsgi\n")
    with pytest.raises(AppImportError, match=r"importing store.wsgi raised ModuleNotFoundError"):
        load_application("store.wsgi:app")


def test_traceback_shows_the_users_frames_and_none_of_ours(site: Path) -> None:
    (site / "helper.py").write_text(
        "try:\n    {}['k']\nexcept KeyError as e:\n    raise OSError('no') from e\n"
    )
    (site / "broken.py").write_text("import helper\n")
    with pytest.raises(AppImportError) as caught:
        load_application("broken:app")
    text = caught.value.traceback_text
    assert (
        text.index('helper.py", line 2') < text.index('broken.py", line 1') < text.index('helper.py", line 4')
    )
    assert text.endswith("OSError: no\n")
    assert "app_loader" not in text
    assert "importlib" not in text


def test_syntax_error_is_shown_with_its_line(site: Path) -> None:
    (site / "typo.py").write_text("def app(:\n")
    with pytest.raises(AppImportError) as caught:
        load_application("typo:app")
    assert "def app(:" in caught.value.traceback_text
    assert caught.value.traceback_text.splitlines()[-1].startswith("SyntaxError: ")


def test_module_that_exits_does_not_take_us_along(site: Path) -> None:
    (site / "quitter.py").write_text("raise SystemExit('bye')\n")
    with pytest.raises(AppImportError, match=r"importing quitter raised SystemExit"):
        load_application("quitter:app")


def test_factory_that_raises_is_told_as_their_error(site: Path) -> None:
    (site / "maker.py").write_text("def make():\n    1 / 0\n")
    with pytest.raises(AppImportError, match=r"calling make of maker raised ZeroDivisionError") as caught:
        load_application("maker:make()")
    assert 'maker.py", line 2, in make' in caught.value.traceback_text


def test_attribute_that_raises_is_told_as_their_error(site: Path) -> None:
    (site / "lazy.py").write_text("def __getattr__(name):\n    raise OSError(name)\n")
    with pytest.raises(AppImportError, match="looking up app of lazy raised OSError"):
        load_application("lazy:app")


@pytest.mark.usefixtures("shop")
def test_factory_called_wrongly_shows_the_type_error() -> None:
    with pytest.raises(AppImportError) as caught:
        load_application("shop:create_app(1, 2, 3)")
    assert caught.value.traceback_text.startswith("TypeError: create_app() takes from 0 to 1")


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("shop:number", '"number" is an object of type int, not a WSGI application'),
        ("shop:number()", '"number" is an object of type int, which cannot be called as a factory'),
        ("shop:print_nothing()", '"print_nothing()" returned None, not a WSGI application'),
        ("shop:create_app", 'If it makes the application, write "shop:create_app()"'),
    ],
)
def test_what_cannot_serve_is_told_before_the_first_request(shop: Path, target: str, told: str) -> None:
    (shop / "shop.py").write_text(SHOP + "\ndef print_nothing(): pass\n")
    with pytest.raises(AppLoadError) as caught:
        load_application(target)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "signature", ["(e, s)", "(*args)", "(e, *rest)", "(e, s, extra=1)", "(e, s, *, extra=1)", "(*a, **k)"]
)
def test_function_that_takes_two_arguments_may_serve(site: Path, signature: str) -> None:
    (site / "forms.py").write_text(f"def app{signature}: return [b'ok']\n")
    assert answer_of("forms:app") == b"ok"


@pytest.mark.parametrize("signature", ["()", "(e)", "(e, s, x)", "(e, s, *, x)", "(**k)"])
def test_function_that_cannot_take_two_arguments_is_refused(site: Path, signature: str) -> None:
    (site / "forms.py").write_text(f"def app{signature}: return [b'ok']\n")
    with pytest.raises(AppLoadError, match="does not take the two arguments of a WSGI application"):
        load_application("forms:app")


def test_python_path_comes_first_then_the_working_directory(site: Path) -> None:
    prepare_import_path(["lib", "/elsewhere"])
    assert sys.path[:3] == [str(site / "lib"), "/elsewhere", str(site)]
    prepare_import_path(["lib"])
    assert sys.path.count(str(site / "lib")) == 1
