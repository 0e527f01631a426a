"""hooks.py: what the operator's methods are told, and that whatever they do, serving goes on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from barkeep.errors import AppImportError, AppLoadError, SettingError
from barkeep.hooks import NAMES, Event, Hooks, load_hooks


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, level: str, text: str) -> None:
        self.lines.append(f"{level}: {text}")


class Noting:
    """Has every hook, and notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Event]] = []

    def __getattr__(self, name: str) -> object:
        if name not in NAMES:
            raise AttributeError(name)
        return lambda event: self.told.append((name, event))


def tell_all(hooks: Hooks) -> None:
    hooks.starting(name="shop", pid=1, listeners=["http://127.0.0.1:8000"])
    hooks.generation_loaded(generation=7, pid=2)
    hooks.worker_started(slot=0, generation=7, pid=3)
    hooks.worker_ready(slot=0, generation=7, pid=3)
    hooks.request_timed_out(slot=0, request="GET /", age_s=60.5, thread_ident=9, stack="File ...")
    hooks.reloaded(generation=8, is_good=False, reason="cannot load")
    hooks.worker_exiting(slot=0, generation=7, pid=3, reason="recycled")
    hooks.stopping(reason="SIGTERM")


def test_each_method_is_called_with_its_event() -> None:
    noting = Noting()
    tell_all(Hooks(noting, Log()))
    assert sorted(name for name, _event in noting.told) == sorted(NAMES)
    assert vars(noting.told[2][1]) == {"slot": 0, "generation": 7, "pid": 3}
    assert repr(noting.told[-1][1]) == "Event(reason='SIGTERM')"


def test_events_do_not_change() -> None:
    event = Event(slot=0)
    with pytest.raises(AttributeError, match="events do not change: slot"):
        event.slot = 1
    assert vars(event) == {"slot": 0}


def test_methods_that_are_missing_are_skipped() -> None:
    log = Log()
    tell_all(Hooks(object(), log))
    tell_all(Hooks(None, log))
    assert log.lines == []


@pytest.mark.parametrize("error", [ValueError("oops"), SystemExit(3)])
def test_hook_that_raises_is_logged_with_its_traceback_and_never_hurts(error: BaseException) -> None:
    class Broken:
        def worker_ready(self, event: Event) -> None:
            raise error

    log = Log()
    Hooks(Broken(), log).worker_ready(slot=0, generation=7, pid=3)
    [line] = log.lines
    assert line.startswith("error: the hook worker_ready raised; serving goes on\nTraceback")
    assert type(error).__name__ in line


def test_hook_that_takes_no_event_is_logged() -> None:
    class Short:
        def stopping(self) -> None:
            pass

    log = Log()
    Hooks(Short(), log).stopping(reason="SIGTERM")
    assert "TypeError" in log.lines[0]


def test_hooks_are_loaded_from_a_module_of_the_operator(site: Path) -> None:
    (site / "shop_hooks.py").write_text(
        "told = []\nclass Hooks:\n    def stopping(self, event): told.append(event.reason)\nhooks = Hooks()\n"
    )
    load_hooks("shop_hooks:hooks", Log()).stopping(reason="SIGTERM")
    load_hooks("shop_hooks:Hooks", Log()).stopping(reason="command")
    assert sys.modules["shop_hooks"].told == ["SIGTERM", "command"]


def test_no_setting_is_no_hooks() -> None:
    tell_all(load_hooks("", Log()))


def test_method_with_a_name_nearly_like_a_hook_is_warned_of(site: Path) -> None:
    (site / "shop_hooks.py").write_text(
        "class Hooks:\n"
        "    def worker_redy(self, event): pass\n"
        "    def worker_ready(self, event): pass\n"
        "    def helper(self): pass\n"
        "    stoping = 'not a method'\n"
    )
    log = Log()
    load_hooks("shop_hooks:Hooks", log)
    assert log.lines == [
        'warning: --hooks has a method "worker_redy", which is no hook. Did you mean "worker_ready"?'
    ]


def test_setting_without_an_object_is_refused() -> None:
    with pytest.raises(SettingError, match='--hooks must be module:object, found "shop_hooks"'):
        load_hooks("shop_hooks", Log())


def test_hooks_that_cannot_be_loaded_are_an_error_with_the_reason(site: Path) -> None:
    (site / "broken_hooks.py").write_text("1 / 0\n")
    with pytest.raises(AppImportError, match="importing broken_hooks raised ZeroDivisionError"):
        load_hooks("broken_hooks:hooks", Log())
    with pytest.raises(AppLoadError, match='there is no module "no_hooks"'):
        load_hooks("no_hooks:hooks", Log())
