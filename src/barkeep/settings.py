"""THE table of settings: name, kind, default, limits, help. Flags, variables and TOML keys come from it.

The flag of `keep_alive_timeout` is --keep-alive-timeout, its variable BARKEEP_KEEP_ALIVE_TIMEOUT. Times are
seconds and sizes bytes in every attribute. The short flags -w -t -n -p -u -g -m are left free, for the
meanings gunicorn gave them.
"""

from __future__ import annotations

from .addresses import TcpAddress
from .errors import SettingError
from .setting import FROM_DEFAULT, FROM_KEYWORD, Setting, nearest_name
from .setting_kinds import (
    GIB,
    KIB,
    MIB,
    TIB,
    addresses,
    choice,
    duration,
    field_value,
    file_mode,
    log_file,
    log_format,
    path,
    paths,
    show_size,
    size,
    url_prefix,
    whole_number,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# Names given and found before any meaning: setting name -> (raw value, where it came from).
Given = dict[str, tuple[object, str]]

# Where `bind` came from when a platform set PORT and the operator set nothing.
FROM_PORT_VARIABLE = "environment PORT"

DAY_S = 86_400.0

SOURCES = "Sources"
LISTENING = "Listening"
RUNNING = "Running"
LOGGING = "Logging"
DEADLINES = "Deadlines"
LIMITS = "Limits"
HTTP = "HTTP"


class Settings:
    """What every setting means, and where it came from. Built complete; never changes.

    values: setting name -> typed value, also readable as attributes.
    origins: setting name -> where it came from.
    """

    __slots__ = ("origins", "values")

    config = Setting(
        path("a TOML file"), default="", group=SOURCES, short="-c", is_typed_only=True,
        help="read settings from this TOML file; "
        "else from barkeep.toml, else from [tool.barkeep] in pyproject.toml",
    )  # fmt: skip
    chdir = Setting(
        path("a directory"), default="", group=SOURCES,
        help="change to this directory before anything relative is opened or imported",
    )  # fmt: skip
    pythonpath = Setting(
        paths(), default=(), group=SOURCES,
        help="directories to import from, before all others; repeatable",
    )  # fmt: skip

    bind = Setting(
        addresses(), default=(TcpAddress("127.0.0.1", 8000),), group=LISTENING, short="-b",
        help="HOST:PORT, :PORT, [IPV6]:PORT, unix:PATH or fd://N to listen on; repeatable. "
        "0.0.0.0:$PORT when PORT is in the environment and no address is given",
    )  # fmt: skip
    backlog = Setting(
        whole_number(1, 65535), default=2048, group=LISTENING,
        help="connections the kernel may queue per address; it cuts more than net.core.somaxconn silently",
    )  # fmt: skip
    unix_socket_mode = Setting(
        file_mode(), default=0o660, group=LISTENING,
        help="permissions of unix sockets we make, whatever the umask: owner and group by default",
    )  # fmt: skip
    max_connections = Setting(
        whole_number(1, 1_000_000), default=10_000, group=LISTENING, goes_to_engine=True,
        help="connections open at once; more wait in the kernel's queue",
    )  # fmt: skip

    threads = Setting(
        whole_number(1, 1024), default=8, group=RUNNING, goes_to_engine=True,
        hint="Use 1 for one request at a time.",
        help="application threads: requests the application works on at once",
    )  # fmt: skip
    switch_interval = Setting(
        duration(0.0001, 1.0), default=0.0005, group=RUNNING,
        help="how long a thread may hold Python's lock while another waits (sys.setswitchinterval)",
    )  # fmt: skip
    graceful_timeout = Setting(
        duration(0.0, DAY_S), default=30.0, group=RUNNING,
        help="time to finish what was begun after SIGTERM or SIGINT; what is left is aborted and logged",
    )  # fmt: skip

    root_path = Setting(
        url_prefix(), default="", group=HTTP, goes_to_engine=True,
        help="where the application is mounted: SCRIPT_NAME of every request",
    )  # fmt: skip
    server_header = Setting(
        field_value(), default="barkeep", group=HTTP, goes_to_engine=True,
        help="the Server field of every answer; empty sends none",
    )  # fmt: skip
    underscore_headers = Setting(
        choice("drop", "refuse"), default="drop", group=HTTP, goes_to_engine=True,
        help="what to do with field names such as X_Role, which would pass for X-Role in the environ",
    )  # fmt: skip

    access_log = Setting(
        log_file(), default=None, group=LOGGING, goes_to_engine=True,
        help='one line per request to this file, or to standard output with "-"; reopened on SIGUSR1',
    )  # fmt: skip
    access_log_format = Setting(
        log_format(), default="combined", group=LOGGING, goes_to_engine=True,
        help="combined, json, or a text with {named} fields",
    )  # fmt: skip
    log_level = Setting(
        choice("debug", "info", "warning", "error"), default="info", group=LOGGING, goes_to_engine=True,
        help="least important event that is logged to standard error",
    )  # fmt: skip

    head_timeout = Setting(
        duration(0.1, DAY_S), default=15.0, group=DEADLINES, goes_to_engine=True,
        help="from the first byte of a request to the end of its head; then 408",
    )  # fmt: skip
    body_timeout = Setting(
        duration(0.1, DAY_S), default=30.0, group=DEADLINES, goes_to_engine=True,
        help="without a byte of the request body; then 408, or abort when an answer was begun",
    )  # fmt: skip
    keep_alive_timeout = Setting(
        duration(0.1, DAY_S), default=75.0, group=DEADLINES, goes_to_engine=True,
        help="a connection may wait for its next request",
    )  # fmt: skip
    write_timeout = Setting(
        duration(0.1, DAY_S), default=60.0, group=DEADLINES, goes_to_engine=True,
        help="without the client taking a byte of the answer; then abort",
    )  # fmt: skip
    min_data_rate = Setting(
        size(0, GIB, "BYTES/S"), default=240, group=DEADLINES, goes_to_engine=True,
        help="least bytes per second, averaged over body_timeout or write_timeout; cuts drip-fed bodies and "
        "drip-read answers. 0 is off",
    )  # fmt: skip

    request_line_limit = Setting(
        size(256, MIB), default=8 * KIB, group=LIMITS, goes_to_engine=True,
        help="longest request line; then 414",
    )  # fmt: skip
    request_fields_limit = Setting(
        whole_number(1, 10_000), default=100, group=LIMITS, goes_to_engine=True,
        help="most header fields of a request; then 431",
    )  # fmt: skip
    request_head_limit = Setting(
        size(KIB, 16 * MIB), default=64 * KIB, group=LIMITS, goes_to_engine=True,
        help="largest request line and header fields together; then 431",
    )  # fmt: skip
    max_request_body = Setting(
        size(0, 1024 * TIB), default=GIB, group=LIMITS, goes_to_engine=True,
        help="largest request body; then 413, before it is read when its length is declared",
    )  # fmt: skip
    request_buffer = Setting(
        size(0, GIB), default=MIB, group=LIMITS, goes_to_engine=True,
        help="request bodies up to this size are received whole before an application thread is used",
    )  # fmt: skip
    request_buffer_total = Setting(
        size(MIB, TIB), default=256 * MIB, group=LIMITS, goes_to_engine=True,
        help="memory for all request bodies being received; beyond it bodies are streamed",
    )  # fmt: skip
    response_buffer = Setting(
        size(4 * KIB, GIB), default=MIB, group=LIMITS, goes_to_engine=True,
        help="bytes of an answer that may wait for a slow reader before the application thread waits too",
    )  # fmt: skip

    def __init__(self, given: Given) -> None:
        """Give every name its meaning. Raises SettingError for a value or combination that cannot be used."""
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        for setting in TABLE.values():
            if setting.name in given:
                found, origin = given[setting.name]
                self.values[setting.name] = setting.parse(found, origin)
                self.origins[setting.name] = origin
            else:
                self.values[setting.name] = setting.default
                self.origins[setting.name] = FROM_DEFAULT
        self._check_not_above("request_line_limit", "request_head_limit")
        self._check_not_above("request_buffer", "request_buffer_total")

    @classmethod
    def from_kwargs(cls, **keywords: object) -> Settings:
        """Settings of barkeep.serve and barkeep.Server: no file and no environment is read.

        Values are as in TOML, so threads=4, head_timeout="500ms" and bind=["127.0.0.1:0"] all do.
        Raises SettingError for an unknown name or a value that cannot be used.
        """
        # Where to read and import from has been decided by the program that embeds us.
        names = [name for name, setting in TABLE.items() if setting.group != SOURCES]
        for name in keywords:
            if name not in names:
                near = nearest_name(name, names)
                raise SettingError(f'there is no setting "{name}" ({FROM_KEYWORD}).{near}')
        return cls({name: (value, FROM_KEYWORD) for name, value in keywords.items()})

    @property
    def bind_was_given(self) -> bool:
        """Whether the operator chose addresses; the default and PORT give way to inherited sockets."""
        return self.origins["bind"] not in (FROM_DEFAULT, FROM_PORT_VARIABLE)

    def engine_options(self) -> dict[str, object]:
        """Keyword arguments of the engine, named as the settings; float seconds, int bytes."""
        return {name: self.values[name] for name, setting in TABLE.items() if setting.goes_to_engine}

    def describe(self) -> list[tuple[str, str, str]]:
        """Each setting as (name, value as it would be typed, origin), in the table's order."""
        shown = {name: setting.kind.show(self.values[name]) for name, setting in TABLE.items()}
        return [(name, value, self.origins[name]) for name, value in shown.items()]

    def _check_not_above(self, name: str, bound_name: str) -> None:
        value, bound = self.values[name], self.values[bound_name]
        if value > bound:
            raise SettingError(
                f"{TABLE[name].flag} must not be above {TABLE[bound_name].flag}, found {show_size(value)} "
                f"({self.origins[name]}) and {show_size(bound)} ({self.origins[bound_name]}). "
                f"Lower {TABLE[name].flag} or raise {TABLE[bound_name].flag}."
            )


TABLE: Mapping[str, Setting[Any]] = {
    row.name: row for row in vars(Settings).values() if isinstance(row, Setting)
}
