"""config_sources.py: which source wins, and how a wrong name or file is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from barkeep.config_sources import load_settings
from barkeep.errors import SettingError


def test_command_line_wins_over_environment_over_toml_over_default(tmp_path: Path) -> None:
    (tmp_path / "barkeep.toml").write_text("threads = 2\nbacklog = 20\nlog_level = 'error'\n")
    environ = {"BARKEEP_THREADS": "3", "BARKEEP_BACKLOG": "30"}
    settings = load_settings({"threads": "4"}, environ, str(tmp_path))
    assert (settings.threads, settings.origins["threads"]) == (4, "command line")
    assert (settings.backlog, settings.origins["backlog"]) == (30, "environment BARKEEP_BACKLOG")
    assert (settings.log_level, settings.origins["log_level"]) == ("error", "barkeep.toml")
    assert settings.origins["head_timeout"] == "default"


def test_a_wrong_value_that_another_source_overrides_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "barkeep.toml").write_text("threads = 0\n")
    assert load_settings({"threads": "4"}, {}, str(tmp_path)).threads == 4


def test_file_named_on_the_command_line_is_read_instead_of_the_usual_ones(tmp_path: Path) -> None:
    (tmp_path / "barkeep.toml").write_text("threads = 2\n")
    (tmp_path / "other.toml").write_text("backlog = 20\n")
    settings = load_settings({"config": "other.toml"}, {}, str(tmp_path))
    assert settings.threads == 8
    assert (settings.backlog, settings.origins["backlog"]) == (20, "other.toml")


def test_file_may_be_named_in_the_environment(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("backlog = 20\n")
    assert load_settings({}, {"BARKEEP_CONFIG": "other.toml"}, str(tmp_path)).backlog == 20


def test_pyproject_is_read_when_there_is_no_barkeep_toml(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.barkeep]\nthreads = 5\n")
    settings = load_settings({}, {}, str(tmp_path))
    assert (settings.threads, settings.origins["threads"]) == (5, "pyproject.toml [tool.barkeep]")


def test_barkeep_toml_hides_pyproject(tmp_path: Path) -> None:
    (tmp_path / "barkeep.toml").write_text("")
    (tmp_path / "pyproject.toml").write_text("[tool.barkeep]\nthreads = 5\n")
    assert load_settings({}, {}, str(tmp_path)).threads == 8


def test_pyproject_that_does_not_mention_us_is_not_even_parsed(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("not toml at all =")
    assert load_settings({}, {}, str(tmp_path)).threads == 8


def test_lists_in_toml_give_several_addresses(tmp_path: Path) -> None:
    (tmp_path / "barkeep.toml").write_text('bind = ["127.0.0.1:8001", "unix:site.sock"]\n')
    settings = load_settings({}, {}, str(tmp_path))
    assert [str(address) for address in settings.bind] == ["127.0.0.1:8001", "unix:site.sock"]


def test_unknown_key_is_told_with_its_file_and_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "barkeep.toml").write_text("head_time_out = 3\n")
    with pytest.raises(SettingError) as caught:
        load_settings({}, {}, str(tmp_path))
    assert str(caught.value) == (
        'there is no setting "head_time_out" (barkeep.toml). Did you mean "head_timeout"?'
    )


def test_a_file_of_settings_cannot_name_another(tmp_path: Path) -> None:
    (tmp_path / "barkeep.toml").write_text('config = "other.toml"\n')
    with pytest.raises(SettingError, match='there is no setting "config"'):
        load_settings({}, {}, str(tmp_path))


def test_unknown_variable_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(
        SettingError, match=r'"BARKEEP_THREAD" \(environment\)\. Did you mean "BARKEEP_THREADS"'
    ):
        load_settings({}, {"BARKEEP_THREAD": "3"}, str(tmp_path))


def test_missing_file_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"cannot read settings from nowhere\.toml: No such file"):
        load_settings({"config": "nowhere.toml"}, {}, str(tmp_path))


@pytest.mark.parametrize("content", [b"threads = = 2", b"threads = '\xff'"])
def test_broken_toml_is_one_line_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "barkeep.toml").write_bytes(content)
    with pytest.raises(SettingError, match=r"^barkeep.toml is not valid TOML: .*") as caught:
        load_settings({}, {}, str(tmp_path))
    assert "\n" not in str(caught.value)


def test_tool_that_is_no_table_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool]\nbarkeep = 3\n")
    with pytest.raises(SettingError, match=r"tool\.barkeep must be a table"):
        load_settings({}, {}, str(tmp_path))


def test_port_variable_means_every_interface_when_no_address_is_given(tmp_path: Path) -> None:
    settings = load_settings({}, {"PORT": "5000"}, str(tmp_path))
    assert [str(address) for address in settings.bind] == ["0.0.0.0:5000"]
    assert settings.origins["bind"] == "environment PORT"


@pytest.mark.parametrize("environ", [{"BARKEEP_BIND": ":9000"}, {}])
def test_port_variable_gives_way_to_any_given_address(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / "barkeep.toml").write_text('bind = ":9000"\n')
    settings = load_settings({}, {"PORT": "5000", **environ}, str(tmp_path))
    assert [str(address) for address in settings.bind] == ["0.0.0.0:9000"]


@pytest.mark.parametrize("port", ["", "0", "65536", "tcp://10.0.0.1:80", "80,81", "-1", "9" * 5000])
def test_port_variable_that_is_no_port_is_an_error(tmp_path: Path, port: str) -> None:
    with pytest.raises(SettingError, match="PORT must be a whole number from 1 to 65535"):
        load_settings({}, {"PORT": port}, str(tmp_path))
