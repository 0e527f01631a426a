"""Writes docs/reference/settings.md from the table in settings.py: `./dev check docs`. A test compares."""

from __future__ import annotations

from pathlib import Path

from barkeep.settings import TABLE

PAGE = Path(__file__).parent / "reference" / "settings.md"

INTRODUCTION = """\
<!-- Made by docs/settings_page.py from src/barkeep/settings.py. -->
# Settings

Each setting can be given on the command line, in the environment, or in TOML: `barkeep.toml` in the
working directory, else `[tool.barkeep]` in `pyproject.toml`; `-c FILE` names another file. The command line
wins, then the environment, then TOML. `barkeep check TARGET` prints every value and where it came from.

The flag of `keep_alive_timeout` is `--keep-alive-timeout`, its variable `BARKEEP_KEEP_ALIVE_TIMEOUT`, and its
TOML key and keyword argument of `barkeep.serve` `keep_alive_timeout`. A name that is no setting is an error.
Sizes are bytes, or such as `64KiB`, `1MiB`, `1GiB`. Times are seconds, or such as `500ms`, `30s`, `2m`.
"""


def render() -> str:
    """The page as Markdown, in the order of the table."""
    parts = [INTRODUCTION]
    group = ""
    for setting in TABLE.values():
        if setting.group != group:
            group = setting.group
            parts.append(f"\n## {group}\n")
        default = setting.kind.show(setting.default)
        flags = ", ".join(f"`{flag}`" for flag in (setting.short, setting.flag) if flag)
        parts.append(
            f"\n### `{setting.name}`\n\n{setting.help[0].upper()}{setting.help[1:]}.\n\n"
            f"- Flag: {flags}{' (repeatable)' if setting.kind.is_list else ''}\n"
            f"- Value: {setting.kind.allowed}\n"
            f"- Default: {f'`{default}`' if default else 'empty'}\n"
        )
    return "".join(parts)


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(render(), encoding="utf-8")
