"""privileges.py: names and numbers, what is refused, and a real process that cannot get root back."""

from __future__ import annotations

import grp
import os
import pwd
import sys

import pytest

from barkeep.errors import SettingError
from barkeep.privileges import Account, drop, resolve, set_umask

ME = pwd.getpwuid(os.geteuid())
NOBODY = pwd.getpwnam("nobody")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    monkeypatch.setattr(os, "getegid", lambda: 4712)


def resolved(user: str, group: str) -> Account:
    account = resolve(user, group)
    assert account is not None
    return account


def test_no_user_and_no_group_is_no_account() -> None:
    assert resolve("", "") is None


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("user", ["nobody", str(NOBODY.pw_uid)])
def test_user_by_name_or_number_has_the_group_and_groups_of_its_account(user: str) -> None:
    account = resolved(user, "")
    assert (account.uid, account.gid) == (NOBODY.pw_uid, NOBODY.pw_gid)
    assert account.groups == tuple(os.getgrouplist("nobody", NOBODY.pw_gid))


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("group", ["daemon", str(grp.getgrnam("daemon").gr_gid)])
def test_group_takes_the_place_of_the_one_of_the_account(group: str) -> None:
    account = resolved("nobody", group)
    assert (account.uid, account.gid) == (NOBODY.pw_uid, grp.getgrnam("daemon").gr_gid)
    assert account.gid in account.groups


@pytest.mark.usefixtures("as_root")
def test_number_without_an_account_needs_a_group_and_has_no_others() -> None:
    account = resolved("3999999", "3999998")
    assert (account.uid, account.gid, account.groups) == (3999999, 3999998, (3999998,))
    with pytest.raises(SettingError, match="Give --group too"):
        resolve("3999999", "")


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize(
    ("user", "group", "told"),
    [
        ("no-such-user", "", '--user must be a user name or number, found "no-such-user"'),
        ("nobody", "no-such-group", '--group must be a group name or number, found "no-such-group"'),
        # (uid_t)-1 would be "do not change": the worker would stay root.
        ("4294967295", "1", 'found "4294967295"'),
        ("-1", "1", 'found "-1"'),
        ("1_0", "1", 'found "1_0"'),
    ],
)
def test_what_does_not_exist_is_refused(user: str, group: str, told: str) -> None:
    with pytest.raises(SettingError) as caught:
        resolve(user, group)
    assert told in str(caught.value)


@pytest.mark.usefixtures("as_user")
def test_another_user_needs_root() -> None:
    with pytest.raises(SettingError, match='--user needs root to become "nobody"; this is user 4711'):
        resolve("nobody", "")


@pytest.mark.usefixtures("as_user")
def test_another_group_needs_root() -> None:
    with pytest.raises(SettingError, match='--group needs root to become "daemon"'):
        resolve("4711", "daemon")


@pytest.mark.usefixtures("as_user")
def test_our_own_account_needs_no_root_and_nothing_is_done() -> None:
    drop(resolved("4711", "4712"))


@pytest.mark.usefixtures("as_root")
def test_system_that_does_not_let_us_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(_groups: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setgroups", forbid)
    with pytest.raises(SettingError, match="cannot become user 5 and group 6: Operation not permitted"):
        drop(Account(5, 6, (6,)))


@pytest.mark.usefixtures("as_root")
def test_way_back_to_root_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for call in ("setgroups", "setgid", "setuid"):
        monkeypatch.setattr(os, call, lambda _number: None)
    with pytest.raises(SettingError, match="root could be regained"):
        drop(Account(5, 6, (6,)))


if sys.platform == "linux":  # macOS does not tell the saved user

    @needs_root
    def test_dropped_process_has_the_account_alone_and_cannot_go_back() -> None:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            drop(resolved("nobody", ""))
            try:
                os.setresuid(0, 0, 0)
            except PermissionError:
                told = f"{os.getresuid()} {os.getresgid()} {sorted(os.getgroups())}"
            else:
                told = "root again"
            os.write(writer, told.encode())
            os._exit(0)
        os.close(writer)
        uid, gid = NOBODY.pw_uid, NOBODY.pw_gid
        groups = sorted(os.getgrouplist("nobody", gid))
        assert os.read(reader, 500).decode() == f"{(uid,) * 3} {(gid,) * 3} {groups}"
        assert os.waitpid(child, 0)[1] == 0
        os.close(reader)


def test_umask_is_set_when_there_is_one() -> None:
    before = os.umask(0o022)
    try:
        set_umask(0o027)
        set_umask(None)
        assert os.umask(0o022) == 0o027
    finally:
        os.umask(before)
