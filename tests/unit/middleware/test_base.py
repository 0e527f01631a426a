"""A middleware's settings are checked when it is made; then it wraps applications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import barkeep.middleware
from barkeep.errors import SettingError
from barkeep.middleware.base import Middleware, Option
from barkeep.middleware.option_kinds import by_prefix, function_or, none_or, texts
from barkeep.setting_kinds import plain_text, whole_number

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication


class Sample(Middleware):
    shorthand = "count"

    count = Option(whole_number(1, 9), help="a count")
    words = Option(texts("words"), default=("a",), help="words", hint="Use plain ones.")
    secret = Option(plain_text("a text"), default="", help="a secret", is_secret=True)

    def wrap(self, application: WSGIApplication, /) -> WSGIApplication:
        return application


class Wider(Sample):
    more = Option(whole_number(0, 5), default=0, help="more")


def test_values_are_typed_and_defaults_fill_the_rest() -> None:
    sample = Sample(count="3")
    assert (sample.count, sample.words, sample.secret) == (3, ("a",), "")


def test_shorthand_gives_the_setting_it_stands_for() -> None:
    assert Sample(4).count == 4


def test_subclass_has_the_settings_of_both() -> None:
    assert list(Wider.OPTIONS) == ["count", "words", "secret", "more"]
    assert list(Sample.OPTIONS) == ["count", "words", "secret"]


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        ((), {}, "Sample: count is needed, a whole number from 1 to 9, found none."),
        ((), {"count": 10}, "Sample: count must be a whole number from 1 to 9, found 10."),
        ((1,), {"count": 1}, "Sample takes one setting without its name, count, found two."),
        ((1, 2), {}, "Sample takes one setting without its name, count, found two."),
        ((1,), {"word": "x"}, 'Sample: there is no setting "word". Did you mean "words"?'),
        ((1,), {"words": [""]}, "Sample: words must be words, found \"\": '' is none. Use plain ones."),
        ((1,), {"secret": "\n"}, "Sample: secret must be a text, found ***."),
    ],
)
def test_wrong_settings_are_told_in_one_line(
    arguments: tuple[object, ...], settings: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingError) as told:
        Sample(*arguments, **settings)
    assert str(told.value).startswith(message)
    assert "\n" not in str(told.value)


def test_application_in_the_place_of_settings_is_told() -> None:
    class NoShorthand(Sample):
        shorthand = ""

    with pytest.raises(SettingError, match="settings come first, then the application"):
        NoShorthand(lambda _environ, _start_response: [])
    with pytest.raises(SettingError, match="takes its settings by name only"):
        NoShorthand("text")


def test_what_is_no_application_is_not_wrapped() -> None:
    with pytest.raises(SettingError, match="Sample wraps a WSGI application, found 5"):
        Sample(1)(5)  # type: ignore[arg-type]


def test_what_was_given_is_shown_without_secrets() -> None:
    sample = Sample(count=2, secret="hush")
    assert repr(sample) == "Sample(count=2, secret=***)"
    assert sample.describe() == [("count", "2"), ("secret", "***")]


def test_every_name_of_the_package_can_be_imported_by_name() -> None:
    for name in ("Compress", "Static", "Cors", "Middleware", "stack"):
        assert getattr(barkeep.middleware, name).__name__ == name
        assert name in dir(barkeep.middleware)
    with pytest.raises(AttributeError, match="no attribute 'Nope'"):
        barkeep.middleware.Nope  # noqa: B018


def test_kinds_read_what_they_show() -> None:
    kinds: list[tuple[Any, object]] = [
        (none_or(whole_number(1, 9)), None),
        (none_or(whole_number(1, 9)), 5),
        (function_or(whole_number(1, 9), "a function"), 5),
        (texts("words"), ("a", "b")),
        (by_prefix("paths", whole_number(1, 9), "N"), (("/a/b", 2), ("/a", 1), ("", 3))),
    ]
    for kind, value in kinds:
        assert kind.read(kind.show(value)) == value
    assert function_or(whole_number(1, 9), "a function").read(len) is len


def test_longest_prefix_comes_first() -> None:
    assert by_prefix("paths", whole_number(1, 9), "N").read({"/a": 1, "/a/b/": 2}) == (("/a/b", 2), ("/a", 1))
