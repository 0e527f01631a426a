"""settings.py: the table itself, and what a Settings object promises."""

from __future__ import annotations

import pytest

from barkeep.errors import SettingError
from barkeep.settings import TABLE, Settings

GUNICORN_SHORT_FLAGS = {
    "-b": "bind",
    "-c": "config",
    "-g": "group",
    "-m": "umask",
    "-n": "name",
    "-p": "pid_file",
    "-t": "timeout",
    "-u": "user",
    "-w": "workers",
}


@pytest.mark.parametrize("name", TABLE)
def test_every_default_can_be_typed_as_it_is_shown(name: str) -> None:
    setting = TABLE[name]
    shown = setting.kind.show(setting.default)
    if shown:
        assert setting.kind.show(setting.parse(shown, "default")) == shown
    else:
        assert not setting.default


@pytest.mark.parametrize("name", TABLE)
def test_every_setting_has_help_that_fits_a_sentence(name: str) -> None:
    assert len(TABLE[name].help) > 20
    assert not TABLE[name].help.endswith(".")


def test_short_flags_mean_what_they_mean_to_gunicorn() -> None:
    assert {setting.short: name for name, setting in TABLE.items() if setting.short} == GUNICORN_SHORT_FLAGS


def test_names_of_one_setting_are_derived_from_each_other() -> None:
    setting = TABLE["keep_alive_timeout"]
    assert setting.flag == "--keep-alive-timeout"
    assert setting.variable == "BARKEEP_KEEP_ALIVE_TIMEOUT"


def test_settings_without_anything_given_are_the_defaults() -> None:
    settings = Settings({})
    assert settings.threads == Settings.threads == 8
    assert [str(address) for address in settings.bind] == ["127.0.0.1:8000"]
    assert set(settings.origins.values()) == {"default"}


def test_keywords_are_parsed_as_in_toml() -> None:
    settings = Settings.from_kwargs(
        threads=2, head_timeout="500ms", request_buffer="64KiB", bind=["127.0.0.1:0"]
    )
    assert settings.threads == 2
    assert settings.head_timeout == pytest.approx(0.5)
    assert settings.request_buffer == 65536
    assert [str(address) for address in settings.bind] == ["127.0.0.1:0"]
    assert settings.origins["threads"] == "keyword argument"


def test_wrong_value_is_told_with_setting_value_source_and_what_is_allowed() -> None:
    with pytest.raises(SettingError) as caught:
        Settings({"threads": ("0", "environment BARKEEP_THREADS")})
    assert str(caught.value) == (
        '--threads must be a whole number from 1 to 1024, found "0" (environment BARKEEP_THREADS). '
        "Use 1 for one request at a time."
    )


def test_wrong_keyword_is_told_by_its_python_name() -> None:
    with pytest.raises(SettingError, match=r"^threads must be .*, found true \(keyword argument\)"):
        Settings.from_kwargs(threads=True)


def test_wrong_value_stays_on_one_short_line() -> None:
    with pytest.raises(SettingError) as caught:
        Settings.from_kwargs(log_level="a\nb" * 1000)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_unknown_keyword_is_told_with_the_nearest_name() -> None:
    with pytest.raises(SettingError, match=r'there is no setting "thread".*Did you mean "threads"'):
        Settings.from_kwargs(thread=2)


@pytest.mark.parametrize("name", ["config", "chdir", "pythonpath"])
def test_a_keyword_cannot_say_where_to_read_or_import_from(name: str) -> None:
    with pytest.raises(SettingError, match=f'there is no setting "{name}"'):
        Settings.from_kwargs(**{name: "somewhere"})


def test_settings_do_not_change_once_loaded() -> None:
    settings = Settings({})
    with pytest.raises(AttributeError, match="do not change"):
        settings.threads = 4


def test_request_line_above_the_whole_head_is_an_error_naming_both() -> None:
    with pytest.raises(
        SettingError, match=r"--request-line-limit must not be above --request-head-limit.*4KiB"
    ):
        Settings.from_kwargs(request_head_limit="4KiB")


def test_one_buffer_above_all_of_them_is_an_error() -> None:
    with pytest.raises(SettingError, match="--request-buffer must not be above --request-buffer-total"):
        Settings.from_kwargs(request_buffer="2MiB", request_buffer_total="1MiB")


def test_engine_gets_plain_numbers_under_the_names_of_the_settings() -> None:
    options = Settings.from_kwargs(head_timeout="2m", max_request_body="1GiB").engine_options()
    assert options["head_timeout"] == pytest.approx(120.0)
    assert options["max_request_body"] == 1024**3
    assert set(options) <= set(TABLE)
    assert not {"bind", "config", "chdir", "pythonpath"} & set(options)


def test_description_has_a_row_for_each_setting_with_value_and_origin() -> None:
    rows = Settings({"threads": ("3", "barkeep.toml")}).describe()
    assert [name for name, _value, _origin in rows] == list(TABLE)
    assert ("threads", "3", "barkeep.toml") in rows
    assert ("head_timeout", "15s", "default") in rows


@pytest.mark.parametrize(
    ("origin", "was_given"),
    [("default", False), ("environment PORT", False), ("command line", True), ("keyword argument", True)],
)
def test_addresses_give_way_to_inherited_sockets_unless_the_operator_chose_them(
    origin: str, was_given: bool
) -> None:
    assert Settings({"bind": (":9000", origin)}).bind_was_given is was_given
