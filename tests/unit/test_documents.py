"""What the documents say about the source is so: the map, links, names, flags, defaults, fields, codes."""

from __future__ import annotations

import http.client
import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

import barkeep
from barkeep import cgi, cli, server, supervisor, worker
from barkeep._engine import ACCESS_LOG_FIELDS
from barkeep.commands import COMMANDS
from barkeep.hooks import NAMES as HOOK_NAMES
from barkeep.hooks import Hooks
from barkeep.lint.command import make_parser
from barkeep.settings import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {".venv", ".venv-lock", "target", ".git", ".nox", ".pytest_cache", ".hypothesis", "build"}

PAGES = sorted(page for page in ROOT.rglob("*.md") if not NOT_OURS & set(page.relative_to(ROOT).parts))
# Pages about running Barkeep: any flag in them is Barkeep's. The other pages also speak of tools.
FOR_USERS = [page for page in PAGES if page == ROOT / "README.md" or page.is_relative_to(ROOT / "docs")]
RECORDS = sorted((ROOT / "docs" / "adr").glob("*.md"))

# Those of the commands and of barkeep.cgi, and two of systemctl's.
FLAGS_BESIDE_THE_TABLE = {"--help", "--version", "--json", "--now", "--kill-whom"}
FLAGS_BESIDE_THE_TABLE |= set(re.findall(r"--[a-z]+", cgi.USAGE))

FLAGS_OF_LINT = set(re.findall(r"--[a-z-]+", make_parser().format_help()))

FRAGMENT_NAME = re.compile(r"(\d+|\+[a-z0-9-]+)\.(feature|change|fix|security|removal)(\.\d+)?\.md")
LONGEST_FRAGMENT_CHARS = 500
RECORD_SECTIONS = ["## Context", "## Decision", "## Consequences", "## What would change our mind"]


def relative(pages: Iterable[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def without_code(text: str) -> str:
    """Markdown without its code blocks, in which brackets mean other things."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def rows_of_table(text: str) -> Iterator[list[str]]:
    """Cells of each row of each table, without the heads and the lines below them."""
    for line in text.splitlines():
        if line.startswith("|") and not set(line) <= set("|- "):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def map_rows() -> list[tuple[str, list[str], list[str]]]:
    """The map of CONTRIBUTING: (what, files, tests)."""
    between = text_of("CONTRIBUTING.md").partition("<!-- map: begin -->")[2].partition("<!-- map: end -->")[0]
    rows = [row for row in rows_of_table(between) if names_in(row[1])]
    return [(what, names_in(files), names_in(tests)) for what, files, tests in rows]


def first_line(file: str) -> str:
    return text_of(file).partition("\n")[0]


def steps_named(file: str) -> set[int]:
    """The steps that the first line of a source file names: "Step 3a of 6" or "Steps 1 to 3 of 6"."""
    found = re.search(r"\bSteps? (\d)[a-c]?(?: to (\d))? of 6\b", first_line(file))
    if found is None:
        return set()
    first, last = int(found[1]), int(found[2] or found[1])
    return set(range(first, last + 1))


# -- the map ---------------------------------------------------------------------------------------


def test_map_has_all_six_steps() -> None:
    assert [what[0] for what, _, _ in map_rows() if what[0].isdigit()] == list("123456")


def test_each_source_file_is_in_the_map_once() -> None:
    places = {
        "src/barkeep": ("*.py", "*.pyi"),
        "rust/engine/src": ("*.rs",),
        "rust/wire/src": ("*.rs",),
    }
    there = [file for place, kinds in places.items() for kind in kinds for file in (ROOT / place).rglob(kind)]
    named = [file for _, files, _ in map_rows() for file in files]
    assert sorted(named) == sorted(relative(there))


@pytest.mark.parametrize(("what", "tests"), [(what, tests) for what, _, tests in map_rows()])
def test_each_row_of_the_map_names_tests_that_exist(what: str, tests: list[str]) -> None:
    assert tests, what
    assert [test for test in tests if not (ROOT / test).is_file()] == []


@pytest.mark.parametrize(("what", "file"), [(what, file) for what, files, _ in map_rows() for file in files])
def test_first_line_of_a_file_names_the_step_that_the_map_gives_it(what: str, file: str) -> None:
    if what[0].isdigit():
        assert int(what[0]) in steps_named(file), first_line(file)
    else:
        assert not steps_named(file), first_line(file)


def test_files_to_open_first_exist() -> None:
    table = text_of("CONTRIBUTING.md").partition("| I want to |")[2].partition("\n## ")[0]
    files = [name for row in rows_of_table(table) if len(row) == 3 for name in names_in(row[1])]
    assert len(files) >= 5
    assert [file for file in files if not (ROOT / file).is_file()] == []


# -- links and names -------------------------------------------------------------------------------


@pytest.mark.parametrize("page", relative(PAGES))
def test_each_relative_link_leads_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", without_code(text_of(page)))
    local = [target for target in targets if "://" not in target and not target.startswith(("#", "mailto:"))]
    here = (ROOT / page).parent
    assert [target for target in local if not (here / target.partition("#")[0]).exists()] == []


@pytest.mark.parametrize("page", relative(PAGES))
def test_each_anchor_is_a_heading_of_its_page(page: str) -> None:
    here = (ROOT / page).parent
    for file, anchor in re.findall(r"\]\(([^)\s#:]*)#([^)\s]+)\)", without_code(text_of(page))):
        target = here / file if file else ROOT / page
        headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
        slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
        assert anchor in slugs


@pytest.mark.parametrize("page", relative(PAGES))
def test_each_name_said_to_be_in_a_file_is_there(page: str) -> None:
    here = (ROOT / page).parent
    for name, file in re.findall(r"`(\w+)`\s+in\s+\[[^\]]+\]\(([^)#]+)\)", text_of(page)):
        assert re.search(rf"\b(fn|def|enum|struct|class) {name}\b", (here / file).read_text(encoding="utf-8"))


def _pages_of_inner_indexes() -> str:
    """Links of the index pages further in, as the first one would write them."""
    links = []
    for inner in sorted((ROOT / "docs").rglob("index.md")):
        place = inner.parent.relative_to(ROOT / "docs")
        assert place == Path() or f"({place}/index.md)" in text_of("docs/index.md")
        names = re.findall(r"\]\(([^)#/]+)\)", inner.read_text(encoding="utf-8"))
        links += [f"({place}/{name})" for name in names]
    return "".join(links)


def test_index_names_every_page_of_docs() -> None:
    index = text_of("docs/index.md")
    pages = [page for page in sorted((ROOT / "docs").rglob("*.md")) if page.name != "index.md"]
    there = [str(page.relative_to(ROOT / "docs")) for page in pages]
    assert [page for page in there if f"({page})" not in index + _pages_of_inner_indexes()] == []


def test_drawing_of_a_connection_is_the_one_above_its_source() -> None:
    source = text_of("rust/engine/src/connection.rs").partition("```text\n")[2].partition("//! ```")[0]
    lines = [line.removeprefix("//!").strip() for line in source.splitlines()]
    page = [line.strip() for line in text_of("docs/explanation/life-of-a-request.md").splitlines()]
    assert len(lines) >= 10
    assert [line for line in lines if line not in page] == []


def test_drawing_of_an_answer_names_every_stage() -> None:
    stages = text_of("rust/engine/src/answer.rs").partition("pub enum Stage {")[2].partition("\n}")[0]
    page = text_of("docs/explanation/life-of-a-request.md").partition("the second drawing")[2]
    drawing = page.partition("Status and fields wait")[0]
    assert [name for name in re.findall(r"^    (\w+),$", stages, re.MULTILINE) if name not in drawing] == []


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", relative(FOR_USERS))
def test_each_flag_in_a_page_for_users_is_in_the_table(page: str) -> None:
    flags = {setting.flag for setting in TABLE.values()} | FLAGS_BESIDE_THE_TABLE | FLAGS_OF_LINT
    assert [
        flag for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text_of(page)) if flag not in flags
    ] == []


@pytest.mark.parametrize("page", relative(PAGES))
def test_each_variable_named_is_one_of_a_setting(page: str) -> None:
    variables = {setting.variable for setting in TABLE.values()} | {"BARKEEP_NAME"}
    found = re.findall(r"\bBARKEEP_[A-Z]\w*", text_of(page))
    assert [variable for variable in found if variable not in variables] == []


@pytest.mark.parametrize("page", relative(FOR_USERS))
def test_each_default_told_is_that_of_the_table(page: str) -> None:
    shown = {setting.flag: setting.kind.show(setting.default) for setting in TABLE.values()}
    for flag, default in re.findall(r"`(--[a-z-]+)`\s+\(default\s+([^)]+)\)", text_of(page)):
        assert default == shown[flag], flag


# -- decision records ------------------------------------------------------------------------------


def test_decision_records_are_numbered_without_a_gap() -> None:
    assert [record.name[:5] for record in RECORDS] == [
        f"{number:04}-" for number in range(1, len(RECORDS) + 1)
    ]


@pytest.mark.parametrize("record", relative(RECORDS))
def test_decision_record_has_its_four_sections_in_order(record: str) -> None:
    headings = re.findall(r"^## .+$", text_of(record), flags=re.MULTILINE)
    main = [next((name for name in RECORD_SECTIONS if heading.startswith(name)), "") for heading in headings]
    assert [heading for heading in main if heading] == RECORD_SECTIONS
    assert text_of(record).startswith(f"# {Path(record).name[:4]}: ")


def test_decision_records_that_the_source_speaks_of_exist() -> None:
    files = [
        file for place in ("src", "rust") for kind in ("*.py", "*.rs") for file in (ROOT / place).rglob(kind)
    ]
    numbers = {
        number
        for file in files
        for number in re.findall(r"docs/adr/(\d{4})", file.read_text(encoding="utf-8"))
    }
    assert sorted(numbers - {record.name[:4] for record in RECORDS}) == []


def test_each_direct_dependency_is_named_in_a_decision_record() -> None:
    manifests = ["rust/wire/Cargo.toml", "rust/engine/Cargo.toml", "fuzz/Cargo.toml"]
    sections = [
        section
        for manifest in manifests
        for section in re.findall(r"^\[(?:dev-)?dependencies\]\n((?:.+\n)*)", text_of(manifest), re.MULTILINE)
    ]
    crates = {name for section in sections for name in re.findall(r"^([\w-]+) = ", section, re.MULTILINE)}
    lists = re.findall(
        r"^(?:dependencies|dev|reload|title) = \[(.*?)\]$",
        text_of("pyproject.toml"),
        re.DOTALL | re.MULTILINE,
    )
    packages = {name for text in lists for name in re.findall(r'"([\w-]+)[^"]*"', text)}
    told = {name for record in RECORDS for name in names_in(record.read_text(encoding="utf-8"))}
    assert {"pyo3", "tomli", "watchfiles", "setproctitle"} <= crates | packages
    assert sorted((crates | packages) - {"barkeep-wire"} - told) == []


def test_unsafe_is_only_in_the_files_that_the_decision_record_lists() -> None:
    listed = set(
        re.findall(r"^\| `(rust/[^`]+)` \|", text_of("docs/adr/0007-panics-and-unsafe.md"), re.MULTILINE)
    )
    with_unsafe = {
        file
        for file in relative((ROOT / "rust").rglob("src/*.rs"))
        if re.search(r"^[^/\n]*\bunsafe\s*(\{|fn|impl)", text_of(file), re.MULTILINE)
    }
    assert with_unsafe == listed


# -- reference -------------------------------------------------------------------------------------


def test_access_log_page_lists_the_fields_that_the_engine_has() -> None:
    rows = rows_of_table(text_of("docs/reference/access-log.md"))
    listed = [name for row in rows for name in names_in(row[0])]
    assert sorted(listed) == sorted(ACCESS_LOG_FIELDS)


def test_exit_codes_page_lists_the_codes_that_there_are() -> None:
    modules = (cli, server)
    codes = {getattr(module, name) for module in modules for name in vars(module) if name.startswith("EXIT_")}
    page = text_of("docs/reference/exit-codes.md")
    listed = {int(row[0]) for row in rows_of_table(page) if row[0].isdigit()}
    assert listed == codes


def test_signals_page_lists_the_signals_that_each_process_handles() -> None:
    server_part, worker_part = text_of("docs/reference/signals.md").split("## To one worker")
    for part, handled in ((server_part, supervisor.HANDLED), (worker_part, worker.HANDLED)):
        assert {number.name for number in handled} - set(re.findall(r"SIG\w+", part)) == set()


def test_control_page_lists_the_commands_that_there_are() -> None:
    rows = list(rows_of_table(text_of("docs/reference/control.md")))
    named = [names_in(row[0])[0].split()[0] for row in rows if len(row) == 3 and row[0].startswith("`")]
    # Once with what they do, once with their data.
    assert named == list(COMMANDS) * 2
    for command, row in COMMANDS.items():
        arguments = [cells[1] for cells in rows if cells[0] == f"`{command}`" and len(cells) == 3][-1]
        assert (f"`{row.argument}`" in arguments) == bool(row.argument), command


def test_hooks_page_lists_the_methods_and_the_attributes_of_their_events() -> None:
    rows = [row for row in rows_of_table(text_of("docs/reference/hooks.md")) if row[0].startswith("`")]
    told = {names_in(row[0])[0]: names_in(row[3]) for row in rows}
    methods = {name: inspect.signature(getattr(Hooks, name)).parameters for name in HOOK_NAMES}
    assert told == {name: list(parameters)[1:] for name, parameters in methods.items()}


def test_environ_page_lists_the_keys_that_a_request_has() -> None:
    seen: dict[str, object] = {}

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        seen.update(environ)
        start_response("204 No Content", [])
        return []

    with barkeep.Server(application, bind="127.0.0.1:0") as running:
        client = http.client.HTTPConnection(urlsplit(running.url).netloc, timeout=10)
        client.request("POST", "/", body=b"two", headers={"Content-Type": "text/plain"})
        assert client.getresponse().status == 204
        client.close()
    rows = rows_of_table(text_of("docs/reference/environ.md"))
    listed = {name for row in rows for name in names_in(row[0])} - {"HTTP_*"}
    others = {key for key in seen if key.startswith("HTTP_")} - {"HTTP_HOST"}
    assert set(seen) - others == listed


# -- changelog -------------------------------------------------------------------------------------

FRAGMENTS = [file.name for file in sorted((ROOT / "changelog.d").iterdir()) if file.name != "README.md"]


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_changelog_fragment_is_well_formed(fragment: str) -> None:
    text = text_of(f"changelog.d/{fragment}")
    assert FRAGMENT_NAME.fullmatch(fragment)
    assert text.endswith(".\n")
    assert not text.startswith(("#", "-", "*", " "))
    assert "\n\n" not in text
    assert len(text) <= LONGEST_FRAGMENT_CHARS


def test_kinds_of_fragments_told_are_those_that_are_accepted() -> None:
    rows = rows_of_table(text_of("changelog.d/README.md"))
    listed = [name for row in rows for name in names_in(row[0])]
    assert [kind for kind in listed if not FRAGMENT_NAME.fullmatch(f"1.{kind}.md")] == []


def test_readme_names_no_python_older_than_the_package_takes() -> None:
    needed = re.search(r'requires-python = ">=([\d.]+)"', text_of("pyproject.toml"))
    assert needed is not None
    assert f"Python {needed[1]} or newer" in text_of("README.md")
    assert sys.version_info >= tuple(int(part) for part in needed[1].split("."))
