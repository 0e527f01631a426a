"""Every check of the project, one session each; `./dev check` runs them all in .venv, `nox -l` lists them."""

from __future__ import annotations

import nox

# ./dev has made .venv with the locked tools and the built engine: sessions use it as it is.
nox.options.default_venv_backend = "none"
nox.options.error_on_missing_interpreters = True
nox.options.sessions = [
    "python_format",
    "python_lint",
    "python_types",
    "stub_matches_engine",
    "rust_format",
    "rust_lint",
    "rust_test",
    "fuzz",
    "python_test",
]

PYTHON_PLACES = ("src", "tests", "examples", "benchmarks", "docs", "noxfile.py", "dev")

# The product's workspace and the fuzz crate's, apart so that the build flags of one do not reach the other.
MANIFESTS = (("--manifest-path", "Cargo.toml"), ("--manifest-path", "fuzz/Cargo.toml"))
CLIPPY = ("cargo", "clippy", "--workspace", "--all-targets", "--locked")
SMOKE = ("cargo", "run", "--release", "--locked", "--quiet", *MANIFESTS[1], "--bin", "smoke")

# Inputs per target and run: about a minute in all on two cores.
FUZZ_RUNS = "200000"


@nox.session
def python_format(session: nox.Session) -> None:
    """Python is formatted as `./dev fmt` would."""
    session.run("ruff", "format", "--check", *PYTHON_PLACES)


@nox.session
def python_lint(session: nox.Session) -> None:
    """Ruff finds nothing."""
    session.run("ruff", "check", *PYTHON_PLACES)


@nox.session
def python_types(session: nox.Session) -> None:
    """Strict types: the package, its tests, the developer commands; on macOS too, where no test runs."""
    session.run("mypy")
    # A cache of its own: one that was made for another system is not used.
    session.run("mypy", "--platform", "darwin", "--cache-dir", ".mypy_cache/darwin")
    session.run("mypy", "--scripts-are-modules", "dev")


@nox.session
def stub_matches_engine(session: nox.Session) -> None:
    """_engine.pyi says what the built module is."""
    session.run("stubtest", "barkeep._engine", "--mypy-config-file", "pyproject.toml")


@nox.session
def rust_format(session: nox.Session) -> None:
    """Rust is formatted as `./dev fmt` would."""
    for manifest in MANIFESTS:
        session.run("cargo", "fmt", "--all", "--check", *manifest, external=True)


@nox.session
def rust_lint(session: nox.Session) -> None:
    """Clippy with the lint table of Cargo.toml; warnings are errors."""
    for manifest in MANIFESTS:
        session.run(*CLIPPY, *manifest, "--", "--deny", "warnings", external=True)


@nox.session
def rust_test(session: nox.Session) -> None:
    """The crates' own tests."""
    session.run("cargo", "test", "--workspace", "--locked", "--quiet", external=True)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Each fuzz contract on seeded mutations: accepted, or refused by a documented error."""
    session.run(*SMOKE, "--", "--runs", FUZZ_RUNS, external=True)


@nox.session
def python_test(session: nox.Session) -> None:
    """Unit, property, conformance and behaviour tests; warnings are errors."""
    session.run("pytest", *session.posargs)


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Write what the pages of docs say about the source."""
    session.run("python", "docs/settings_page.py")
    session.run("python", "docs/middleware_pages.py")
    session.run("python", "docs/lint_pages.py")


@nox.session(default=False)
def fmt(session: nox.Session) -> None:
    """Rewrite Python and Rust in the project's format."""
    session.run("ruff", "check", "--fix-only", "--quiet", *PYTHON_PLACES)
    session.run("ruff", "format", *PYTHON_PLACES)
    for manifest in MANIFESTS:
        session.run("cargo", "fmt", "--all", *manifest, external=True)
