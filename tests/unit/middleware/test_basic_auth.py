"""BasicAuth: who is let in, what others are told, and that a slow hash is paid once."""

from __future__ import annotations

import base64
import io
import os
import subprocess
from pathlib import Path
from typing import Any

import argon2
import bcrypt
import pytest

from barkeep.errors import SettingError
from barkeep.middleware import basic_auth, htpasswd
from barkeep.middleware.basic_auth import BasicAuth
from barkeep.middleware.htpasswd import HtpasswdFile
from barkeep.middleware.verified import Verified
from tests.apps import echo
from tests.middleware_cases import Answer, call, check_both_sides, each_case, make_environ
from tests.programs import find_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication, WSGIEnvironment

    from tests.middleware_cases import Case

ADA = bcrypt.hashpw(b"lovelace", bcrypt.gensalt(4)).decode()
BOB = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("builder")


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    path.write_text(f"# people\n\nada:{ADA}\nbob:{BOB}\n")
    return path


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def ask(application: WSGIApplication, authorization: str = "", path: str = "/", **environ: Any) -> Answer:
    found = make_environ(path, **environ)
    if authorization:
        found["HTTP_AUTHORIZATION"] = authorization
    return call(application, found)


def code(application: WSGIApplication, authorization: str = "", path: str = "/") -> str:
    return ask(application, authorization, path).status[:3]


def recorded_checks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Each password that is hashed from now on, with the hash it is compared with."""
    checked: list[tuple[str, str]] = []

    def is_password(password: str, password_hash: str) -> bool:
        checked.append((password, password_hash))
        return htpasswd.is_password(password, password_hash)

    monkeypatch.setattr(basic_auth, "is_password", is_password)
    return checked


@each_case
def test_every_form_of_answer_passes_through(case: Case, file: Path) -> None:
    check_both_sides(BasicAuth(str(file)), case, HTTP_AUTHORIZATION=basic("ada", "lovelace"))


def test_who_has_no_password_is_asked_for_one(file: Path) -> None:
    answer = ask(BasicAuth(str(file), realm='The "Bar"')(echo))
    assert answer.status == "401 Unauthorized"
    assert answer.field("WWW-Authenticate") == r'Basic realm="The \"Bar\"", charset="UTF-8"'


@pytest.mark.parametrize(
    ("user", "password", "status"),
    [
        ("ada", "lovelace", "200"),
        ("bob", "builder", "200"),
        ("ada", "builder", "401"),
        ("bob", "lovelace", "401"),
        ("ada", "", "401"),
        ("eve", "lovelace", "401"),
        ("Ada", "lovelace", "401"),
        ("", "lovelace", "401"),
    ],
)
def test_only_the_right_password_lets_in(file: Path, user: str, password: str, status: str) -> None:
    assert code(BasicAuth(str(file))(echo), basic(user, password)) == status


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic",
        "Basic !!!!",
        "Basic YWRh",
        "Bearer " + basic("ada", "lovelace")[6:],
        "Basic " + base64.b64encode(b"\xff:lovelace").decode(),
        "Basic " + base64.b64encode(b"ada:love\0lace").decode(),
        "Basic " + base64.b64encode(b"a\nda:lovelace").decode(),
        "Basic " + "A" * 20_000,
    ],
)
def test_what_are_no_credentials_lets_nobody_in(file: Path, authorization: str) -> None:
    assert code(BasicAuth(str(file))(echo), authorization) == "401"


def test_the_name_of_the_scheme_may_be_in_any_case(file: Path) -> None:
    assert code(BasicAuth(str(file))(echo), basic("ada", "lovelace").replace("Basic", "bAsIc ")) == "200"


@pytest.mark.parametrize("passes_on", [False, True])
def test_the_application_learns_the_name_and_the_password_only_when_the_setting_says_so(
    file: Path, passes_on: bool
) -> None:
    found: WSGIEnvironment = {}

    def application(environ: WSGIEnvironment, start_response: Any) -> list[bytes]:
        found.update(environ)
        start_response("204 No Content", [])
        return []

    ask(BasicAuth(str(file), pass_on=passes_on)(application), basic("ada", "lovelace"))
    assert (found["REMOTE_USER"], found["AUTH_TYPE"]) == ("ada", "Basic")
    assert ("HTTP_AUTHORIZATION" in found) == passes_on


def test_a_name_beyond_ascii_goes_on_as_utf_8() -> None:
    answer = ask(BasicAuth(lambda user, _password: user == "zoé")(echo), basic("zoé", "x"))
    assert b'"REMOTE_USER": "zo\\u00c3\\u00a9"' in answer.body


def test_paths_may_be_open_but_not_by_writing_them_in_another_way(file: Path) -> None:
    application = BasicAuth(str(file), except_paths="/health,/public/")(echo)
    opened = ["/health", "/health/db", "/public/a"]
    assert [code(application, path=path) for path in opened] == ["200"] * len(opened)
    others = ["/", "/healthy", "/public", "/public/../secret", "/public//../secret"]
    assert [code(application, path=path) for path in others] == ["401"] * len(others)


def test_the_slow_hash_is_paid_once_for_right_credentials(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = recorded_checks(monkeypatch)
    application = BasicAuth(str(file))(echo)
    assert [code(application, basic("ada", "lovelace")) for _ in range(3)] == ["200"] * 3
    assert [code(application, basic("ada", "wrong")) for _ in range(2)] == ["401"] * 2
    assert checked == [("lovelace", ADA), ("wrong", ADA), ("wrong", ADA)]


def test_nobody_is_remembered_without_a_cache(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = recorded_checks(monkeypatch)
    application = BasicAuth(str(file), cache=0)(echo)
    assert [code(application, basic("ada", "lovelace")) for _ in range(2)] == ["200"] * 2
    assert checked == [("lovelace", ADA)] * 2


def test_an_unknown_name_costs_as_much_as_a_known_one(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = recorded_checks(monkeypatch)
    assert code(BasicAuth(str(file))(echo), basic("eve", "x")) == "401"
    assert checked == [("x", ADA)]


def test_a_changed_file_counts_at_once_also_for_who_is_remembered(file: Path) -> None:
    clock = Clock()
    users = HtpasswdFile(str(file), clock)
    said: list[str] = []
    assert set(users.users(said.append)) == {"ada", "bob"}
    replacement = file.with_name("new")
    replacement.write_text(f"ada:{BOB}\n")
    os.replace(replacement, file)
    assert set(users.users(said.append)) == {"ada", "bob"}
    clock.now_s += 1
    assert users.users(said.append) == {"ada": BOB}
    assert said == []


def test_a_file_that_becomes_unusable_leaves_the_users_and_is_told_once(file: Path) -> None:
    clock = Clock()
    users = HtpasswdFile(str(file), clock)
    said: list[str] = []
    file.unlink()
    for _ in range(3):
        clock.now_s += 1
        assert set(users.users(said.append)) == {"ada", "bob"}
    assert len(said) == 1
    assert said[0].startswith("BasicAuth: the users stay as they were")


def test_credentials_are_forgotten_after_the_set_time_and_when_there_are_too_many() -> None:
    clock = Clock()
    verified = Verified(10, clock, max_remembered=2)
    one, two, three = (verified.digest("a", text) for text in "123")
    verified.remember(one)
    clock.now_s += 9
    assert verified.has(one)
    clock.now_s += 1
    assert not verified.has(one)
    for digest in (one, two, three):
        verified.remember(digest)
    assert [verified.has(digest) for digest in (one, two, three)] == [False, True, True]


def test_parts_of_a_digest_do_not_run_into_one_another() -> None:
    verified = Verified(10)
    assert verified.digest("ab", "c") != verified.digest("a", "bc")
    assert verified.digest("a") != Verified(10).digest("a")


def test_a_long_password_is_cut_as_htpasswd_cuts_it() -> None:
    password = "x" * 100
    found = bcrypt.hashpw(password[:72].encode(), bcrypt.gensalt(4)).decode()
    assert htpasswd.is_password(password, found)


def test_a_file_that_htpasswd_made_is_read(tmp_path: Path) -> None:
    path = tmp_path / "users"
    words = [find_program("htpasswd"), "-cbB", "-C", "4", str(path), "ada", "pässword"]
    subprocess.run(words, check=True, capture_output=True)
    application = BasicAuth(str(path))(echo)
    assert code(application, basic("ada", "pässword")) == "200"
    assert code(application, basic("ada", "password")) == "401"


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("ada:$apr1$x$y", "line 1: the hash of 'ada' is neither bcrypt nor argon2"),
        ("ada:lovelace", "neither bcrypt nor argon2"),
        ("ada", "line 1: expected USER:HASH"),
        (f"ada:{ADA}x", "neither"),
    ],
)
def test_a_hash_that_is_too_weak_is_an_error_that_does_not_show_it(
    tmp_path: Path, line: str, part: str
) -> None:
    path = tmp_path / "users"
    path.write_text(line + "\n")
    with pytest.raises(SettingError, match=part.replace("$", r"\$")) as raised:
        BasicAuth(str(path))
    assert "lovelace" not in str(raised.value)
    assert "apr1" not in str(raised.value)


def test_a_file_that_is_not_there_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"BasicAuth: users cannot be used: .*No such file"):
        BasicAuth(str(tmp_path / "nobody"))


def test_what_the_file_says_later_goes_to_the_log(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(htpasswd, "LOOK_AGAIN_S", 0.0)
    application, log = BasicAuth(str(file))(echo), io.StringIO()
    file.write_text("nonsense\n")
    environ = make_environ()
    environ.update({"HTTP_AUTHORIZATION": basic("ada", "lovelace"), "wsgi.errors": log})
    assert call(application, environ).status == "200 OK"
    assert log.getvalue().count("\n") == 1
