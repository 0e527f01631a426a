"""setting_kinds.py: what each kind of value accepts, strictly, and how it is written back."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from barkeep import setting_kinds, setting_lists
from barkeep.errors import SettingError
from barkeep.setting_kinds import KIB, MIB
from barkeep.settings import Settings


@pytest.mark.parametrize("found", ["8", 8])
def test_whole_number_is_read_from_text_and_from_a_number(found: object) -> None:
    assert setting_kinds.whole_number(1, 1024).read(found) == 8


@pytest.mark.parametrize(
    "found",
    ["", "0", "1025", "+8", "-8", " 8", "8 ", "1_0", "8.0", "0x8", "٨", 0, 1025, 8.0, True, None, [8]],
)
def test_whole_number_refuses_what_int_would_forgive(found: object) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        setting_kinds.whole_number(1, 1024).read(found)


@pytest.mark.parametrize(
    ("found", "size_bytes"),
    [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("64KiB", 64 * KIB),
        ("64 kib", 64 * KIB),
        ("1MiB", MIB),
        (4096, 4096),
    ],
)
def test_size_is_read_in_bytes(found: object, size_bytes: int) -> None:
    assert setting_kinds.size(0, MIB).read(found) == size_bytes


@pytest.mark.parametrize("found", ["2MiB", "1KB", "1k", "KiB", "1.5KiB", "-1", "1 KiB B", 1.5, False])
def test_size_refuses_other_units_fractions_and_what_is_out_of_bounds(found: object) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        setting_kinds.size(0, MIB).read(found)


@pytest.mark.parametrize(
    ("found", "seconds"),
    [
        ("30", 30),
        ("0.5", 0.5),
        ("500ms", 0.5),
        ("30s", 30),
        ("2m", 120),
        ("1h", 3600),
        (15, 15),
        (0.25, 0.25),
    ],
)
def test_duration_is_read_in_seconds(found: object, seconds: float) -> None:
    assert setting_kinds.duration(0, 3600).read(found) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "found",
    ["", ".", "s", "1.2.3", "1e3", "nan", "inf", "-1", "1 d", "3601", float("nan"), float("inf"), True],
)
def test_duration_refuses_what_float_would_forgive(found: object) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        setting_kinds.duration(0, 3600).read(found)


@pytest.mark.parametrize(
    ("size_bytes", "shown"), [(0, "0"), (240, "240"), (1024, "1KiB"), (1536, "1536"), (3 * MIB, "3MiB")]
)
def test_size_is_shown_in_the_largest_unit_that_divides_it(size_bytes: int, shown: str) -> None:
    kind = setting_kinds.size(0, 4 * MIB)
    assert kind.show(size_bytes) == shown
    assert kind.read(shown) == size_bytes


@pytest.mark.parametrize(("seconds", "shown"), [(0.0, "0s"), (0.001, "1ms"), (0.5, "500ms"), (90.0, "90s")])
def test_duration_is_shown_as_it_can_be_typed(seconds: float, shown: str) -> None:
    kind = setting_kinds.duration(0, 3600)
    assert kind.show(seconds) == shown
    assert kind.read(shown) == pytest.approx(seconds)


@pytest.mark.parametrize("found", ["", "DROP", "dropped", None, 1])
def test_choice_takes_only_its_words(found: object) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        setting_kinds.choice("drop", "refuse").read(found)


@pytest.mark.parametrize("found", ["/shop", "/shop/eu", ""])
def test_url_prefix_is_empty_or_a_path(found: str) -> None:
    assert setting_kinds.url_prefix().read(found) == found


@pytest.mark.parametrize("found", ["/", "shop", "/shop/", "/sh op", "/shop?", "/shöp", "/a\n"])
def test_url_prefix_refuses_a_trailing_slash_and_what_a_path_cannot_hold(found: str) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        setting_kinds.url_prefix().read(found)


@pytest.mark.parametrize("found", ["a\r\nX: y", "a\0", "ä", " a", "a ", "\x7f"])
def test_header_text_refuses_what_could_split_or_bend_an_answer(found: str) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        setting_kinds.field_value().read(found)


@pytest.mark.parametrize(("found", "mode"), [("0660", 0o660), ("0o600", 0o600), ("777", 0o777)])
def test_file_mode_is_octal_in_text(found: object, mode: int) -> None:
    assert setting_kinds.file_mode().read(found) == mode


@pytest.mark.parametrize("found", ["", "0o", "8", "rw", "1000", 440, 0o660])
def test_file_mode_refuses_what_is_not_permissions(found: object) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        setting_kinds.file_mode().read(found)


def test_access_log_is_a_file_or_standard_output_or_off() -> None:
    kind = setting_kinds.log_file()
    assert kind.read("off") is None
    assert kind.read("-") == "-"
    assert kind.read("/var/log/site.log") == "/var/log/site.log"


def test_paths_are_split_at_colons_and_collected_from_lists() -> None:
    assert setting_lists.paths().read(["a:b", "c"]) == ("a", "b", "c")


@pytest.mark.parametrize("found", ["{client", "{client!r}", "{client:>8}", "{}", "plain", "{client}\n"])
def test_log_format_refuses_what_is_no_text_with_named_fields(
    found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_engine_fields(monkeypatch)
    with pytest.raises(SettingError, match="access_log_format must be combined, json, or a text with"):
        Settings.from_kwargs(access_log_format=found)


def test_log_format_names_the_field_nearest_to_an_unknown_one(monkeypatch: pytest.MonkeyPatch) -> None:
    give_engine_fields(monkeypatch)
    with pytest.raises(ValueError, match=r'there is no field "statu".*Did you mean "status"'):
        setting_kinds.log_format().read("{client} {statu}")


@pytest.mark.parametrize("found", ["combined", "json", "{client} {status}", "{{{client}}}"])
def test_log_format_takes_the_built_in_ones_and_named_fields(
    found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_engine_fields(monkeypatch)
    assert setting_kinds.log_format().read(found) == found


def give_engine_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for the engine: only its list of field names matters here."""
    engine = ModuleType("barkeep._engine")
    engine.ACCESS_LOG_FIELDS = ("client", "status")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "barkeep._engine", engine)
