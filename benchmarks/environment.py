"""Make what a run needs: a throw-away environment with the peers, and the two C programs."""

from __future__ import annotations

import hashlib
import pathlib
import shutil
import subprocess
import sys

from servers import BUILD, HERE, Places

VENV = HERE / ".venv"
REQUIREMENTS = HERE / "requirements.txt"
# Built from source one by one, so that one that cannot be built does not take the others with it.
COMPILED_PEERS = {"bjoern": "bjoern==3.2.2", "uwsgi": "uwsgi==2.0.31"}
PROGRAMS = {
    "floor": ("floor.c",),
    "loadgen": ("loadgen.c", "loadgen_answer.c", "loadgen_client.c", "loadgen_report.c"),
}
COMPILER_FLAGS = ("-O2", "-Wall", "-Wextra")


class SetUpError(Exception):
    """Something this machine lacks; the message says what and what to do."""


def find_compiler() -> str:
    """The C compiler. Raises SetUpError when there is none."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise SetUpError("no C compiler found (cc, gcc or clang). On Debian: apt-get install gcc libc6-dev")
    return compiler


def build_programs() -> None:
    """Compile floor and loadgen when a source is newer. Raises SetUpError with the compiler's words."""
    BUILD.mkdir(exist_ok=True)
    header = HERE / "loadgen.h"
    for program, sources in PROGRAMS.items():
        target = BUILD / program
        paths = [HERE / source for source in sources]
        newest_s = max(path.stat().st_mtime for path in (*paths, header))
        if target.exists() and target.stat().st_mtime > newest_s:
            continue
        command = [find_compiler(), *COMPILER_FLAGS, "-o", str(target), *map(str, paths)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise SetUpError(f"{program} does not compile:\n{result.stderr}")


def _has_libev_headers() -> bool:
    command = [find_compiler(), "-E", "-xc", "-"]
    return (
        subprocess.run(
            command, input="#include <ev.h>\n", capture_output=True, text=True, check=False
        ).returncode
        == 0
    )


def _pip_install(*what: str) -> str:
    """Run pip in the environment. Returns "" or the end of its complaint."""
    command = [
        str(VENV / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        *what,
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stderr.strip()[-1500:] if result.returncode else ""


def prepare(barkeep_python: pathlib.Path) -> tuple[Places, dict[str, str]]:
    """Make the environment and the programs; cheap when they are there.

    Returns the places and, for each peer that could not be had, why.
    Raises SetUpError when nothing can be measured at all.
    """
    build_programs()
    wanted = REQUIREMENTS.read_text() + "".join(COMPILED_PEERS.values()) + sys.version
    stamp = VENV / "barkeep-benchmarks.stamp"
    digest = hashlib.sha256(wanted.encode()).hexdigest()
    missing: dict[str, str] = {}
    if not stamp.exists() or stamp.read_text() != digest:
        missing = _make_venv()
        # Without the stamp a missing peer is tried again next time, once its headers are there.
        if not missing:
            stamp.write_text(digest)
    python = VENV / "bin" / "python"
    command = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site_packages = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return Places(python, pathlib.Path(site_packages), barkeep_python), missing


def _make_venv() -> dict[str, str]:
    print(f"preparing {VENV} (once; a minute or two)", file=sys.stderr)
    made = subprocess.run(
        [sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise SetUpError(
            f"cannot make {VENV} (on Debian: apt-get install python3-venv):\n{made.stdout}{made.stderr}"
        )
    complaint = _pip_install("-r", str(REQUIREMENTS))
    if complaint:
        raise SetUpError(f"cannot install {REQUIREMENTS.name}:\n{complaint}")
    missing = {}
    for peer, requirement in COMPILED_PEERS.items():
        if peer == "bjoern" and not _has_libev_headers():
            missing[peer] = "bjoern needs the headers of libev (ev.h). On Debian: apt-get install libev-dev"
            continue
        complaint = _pip_install(requirement)
        if complaint:
            missing[peer] = f"cannot build {requirement}: {complaint}"
    return missing


def versions(places: Places) -> dict[str, str]:
    """Python and package versions of both interpreters, for the report."""
    listing = (
        "import importlib.metadata as m, platform; print('python', platform.python_version());"
        "[print(d.name.lower(), d.version) for d in m.distributions()]"
    )
    wanted = {
        "python",
        "barkeep",
        "bjoern",
        "fastwsgi",
        "granian",
        "gunicorn",
        "waitress",
        "uwsgi",
        "flask",
        "django",
        "falcon",
    }
    found: dict[str, str] = {}
    for prefix, python in (("", places.peers_python), ("barkeep's ", places.barkeep_python)):
        if not python.exists():
            continue
        output = subprocess.run(
            [str(python), "-c", listing], capture_output=True, text=True, check=True
        ).stdout
        for name, _, version in (line.partition(" ") for line in output.splitlines()):
            if name in ({"python", "barkeep"} if prefix else wanted):
                found.setdefault(name if name == "barkeep" else prefix + name, version)
    return found
