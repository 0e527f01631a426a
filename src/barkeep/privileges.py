"""Who the workers run as: names become numbers before anything is opened, and root is given up for good."""

from __future__ import annotations

import os

from .errors import SettingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pwd

# Largest user or group number; the one above it, (uid_t)-1, means "do not change" to the kernel.
MAX_ID = 2**32 - 2

ROOT = 0


class Account:
    """A user and groups as numbers. Never changes."""

    __slots__ = ("gid", "groups", "uid")

    def __init__(self, uid: int, gid: int, groups: tuple[int, ...]) -> None:
        self.uid = uid
        self.gid = gid
        self.groups = groups

    def __repr__(self) -> str:
        return f"<Account {self.uid}:{self.gid}>"


def resolve(user: str, group: str) -> Account | None:
    """The account that --user and --group name, by name or number; None when both are "".

    Name services are asked here, once, and not in each worker. Raises SettingError for what does not exist,
    and when we are not root and it is another account than ours.
    """
    if not user and not group:
        return None
    uid, entry = _find_user(user) if user else (os.geteuid(), None)
    gid = _find_group(group) if group else _group_of(user, entry)
    if entry is not None:
        groups = tuple(os.getgrouplist(entry.pw_name, gid))
    else:
        # Nobody has put a bare number into groups; root's own must not stay.
        groups = (gid,)
    account = Account(uid, gid, groups)
    if os.geteuid() != ROOT and not _is_ours(account):
        setting, found = ("--user", user) if uid != os.geteuid() else ("--group", group or str(gid))
        raise SettingError(
            f'{setting} needs root to become "{found}"; this is user {os.geteuid()}. '
            "Start as root, or leave --user and --group out."
        )
    return account


def drop(account: Account) -> None:
    """Become the account, and make sure that there is no way back. For a process of its own: a worker.

    Raises SettingError when the system does not let us; the process must then not go on.
    """
    if os.geteuid() != ROOT:
        # resolve has seen that we are it already.
        return
    try:
        os.setgroups(account.groups)
        # As root both set the real, the effective and the saved number (setuid(2)); the user last.
        os.setgid(account.gid)
        os.setuid(account.uid)
    except OSError as error:
        raise SettingError(
            f"cannot become user {account.uid} and group {account.gid}: {error.strerror}. "
            "In a container, give it the capabilities SETUID and SETGID, or start it as that user."
        ) from None
    if account.uid != ROOT and _can_become_root():
        raise SettingError(f"root could be regained as user {account.uid}; nothing is served like that.")


def set_umask(umask: int | None) -> None:
    """Take the permission bits of --umask from files that this process makes; None leaves it as it was."""
    if umask is not None:
        os.umask(umask)


def _find_user(user: str) -> tuple[int, pwd.struct_passwd | None]:
    """The number of a user, and the entry of the database, which a bare number need not have."""
    import pwd

    try:
        return (entry := pwd.getpwnam(user)).pw_uid, entry
    except KeyError:
        uid = _number(user)
    if uid is None:
        raise SettingError(f'--user must be a user name or number, found "{user}"; there is no such user.')
    try:
        return uid, pwd.getpwuid(uid)
    except KeyError:
        return uid, None


def _find_group(group: str) -> int:
    import grp

    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        gid = _number(group)
    if gid is None:
        raise SettingError(
            f'--group must be a group name or number, found "{group}"; there is no such group.'
        )
    return gid


def _group_of(user: str, entry: pwd.struct_passwd | None) -> int:
    if entry is None:
        raise SettingError(f'--user "{user}" has no account that names its group. Give --group too.')
    return entry.pw_gid


def _number(text: str) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_ID)) and int(text) <= MAX_ID
    return int(text) if is_number else None


def _is_ours(account: Account) -> bool:
    return account.uid == os.geteuid() and account.gid == os.getegid()


def _can_become_root() -> bool:
    try:
        os.setuid(ROOT)
    except OSError:
        return False
    return True
