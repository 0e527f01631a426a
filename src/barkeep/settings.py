"""THE table of settings: name, kind, default, limits, help. Flags, variables and TOML keys come from it.

The flag of `keep_alive_timeout` is --keep-alive-timeout, its variable BARKEEP_KEEP_ALIVE_TIMEOUT. Times are
seconds and sizes bytes in every attribute. Short flags mean what they mean to gunicorn.
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
    choice,
    count_or_auto,
    duration,
    field_value,
    file_mode,
    log_file,
    log_format,
    optional_file_mode,
    path,
    plain_text,
    show_size,
    size,
    size_or_auto,
    switch,
    url_prefix,
    whole_number,
)
from .setting_lists import addresses, middlewares, optional_addresses, path_durations, paths, url_paths

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
PROCESSES = "Processes"
RELOADING = "Reloading"
RECYCLING = "Recycling"
LOGGING = "Logging"
DEADLINES = "Deadlines"
LIMITS = "Limits"
HTTP = "HTTP"

MIDDLEWARE = "Middleware"

# What only the command line can mean.
FOR_SUPERVISOR = (SOURCES, MIDDLEWARE, PROCESSES, RELOADING, RECYCLING)


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

    health_path = Setting(
        url_prefix(), default="", group=LISTENING, goes_to_engine=True,
        help="answer PATH/livez and PATH/readyz on every listener, not only --health-bind",
    )  # fmt: skip
    health_bind = Setting(
        optional_addresses(), default=(), group=LISTENING,
        help="address that answers /livez and /readyz and nothing else; repeatable",
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

    lame_duck = Setting(
        duration(0.0, DAY_S), default=0.0, group=RUNNING,
        help="after SIGTERM, go on accepting for so long while /readyz says no: for load balancers to notice",
    )  # fmt: skip

    lint = Setting(
        switch(), default=False, group=RUNNING,
        help="for development: tell in the log which rules of PEP 3333 the application breaks, and where",
    )  # fmt: skip
    middleware = Setting(
        middlewares(), default=(), group=MIDDLEWARE,
        help="put this middleware around the application, inside those before it; repeatable. "
        "In TOML [[middleware]] tables with name and settings",
    )  # fmt: skip

    workers = Setting(
        count_or_auto(1, 256), default=1, group=PROCESSES, short="-w",
        help="worker processes, or auto: one per usable CPU (affinity, cgroup quota) as memory allows",
    )  # fmt: skip
    preload = Setting(
        switch(), default=False, group=PROCESSES,
        help="import the application once per generation and fork the workers from it: they share its memory",
    )  # fmt: skip
    user = Setting(
        plain_text("a user name or number"), default="", group=PROCESSES, short="-u",
        help="run workers as this user; needs root",
    )  # fmt: skip
    group = Setting(
        plain_text("a group name or number"), default="", group=PROCESSES, short="-g",
        help="run workers as this group; needs root",
    )  # fmt: skip
    umask = Setting(
        optional_file_mode(), default=None, group=PROCESSES, short="-m",
        help="permission bits taken from files that are made; else as inherited",
    )  # fmt: skip
    pid_file = Setting(
        path("a file"), default="", group=PROCESSES, short="-p",
        help="write the supervisor's process id to this file; removed at the end",
    )  # fmt: skip
    name = Setting(
        plain_text("a name of letters, digits, dots, dashes and underscores"), default="barkeep",
        group=PROCESSES, short="-n",
        help="name in process titles and in the path of the control socket",
    )  # fmt: skip
    control_socket = Setting(
        path("a path, or off"), default="", group=PROCESSES,
        help="unix socket of barkeep status and the other commands; else NAME.sock in the runtime directory",
    )  # fmt: skip
    hooks = Setting(
        plain_text("module:object"), default="", group=PROCESSES,
        help="object whose methods are called when processes start, are ready, reload and stop",
    )  # fmt: skip

    reload = Setting(
        switch(), default=False, group=RELOADING,
        help="for development: load a new generation when a source file changes; needs the reload extra",
    )  # fmt: skip
    reload_dir = Setting(
        paths(), default=(), group=RELOADING,
        help="directories that --reload watches; else the current one and --pythonpath. Repeatable",
    )  # fmt: skip
    ready_timeout = Setting(
        duration(0.1, DAY_S), default=60.0, group=RELOADING,
        help="a new generation must be ready within this; else the old one goes on",
    )  # fmt: skip
    warm_up = Setting(
        url_paths(), default=(), group=RELOADING,
        help="path that a worker must answer with 2xx or 3xx, inside it, before it is ready; repeatable",
    )  # fmt: skip

    settle_time = Setting(
        duration(0.0, 3600.0), default=2.0, group=RELOADING,
        help="a new generation must stay up for so long before it takes the place of the old one",
    )  # fmt: skip

    max_requests = Setting(
        whole_number(0, 1_000_000_000), default=0, group=RECYCLING,
        help="replace a worker after so many requests; 0 is off",
    )  # fmt: skip
    max_lifetime = Setting(
        duration(0.0, 365 * DAY_S), default=0.0, group=RECYCLING,
        help="replace a worker after so long; 0 is off",
    )  # fmt: skip
    max_memory = Setting(
        size(0, TIB), default=0, group=RECYCLING,
        help="replace a worker that uses more memory of its own; 0 is off",
    )  # fmt: skip
    recycle_jitter = Setting(
        whole_number(0, 100), default=10, group=RECYCLING,
        help="percent by which the three bounds above differ from worker to worker, so that none meet",
    )  # fmt: skip
    memory_budget = Setting(
        size_or_auto(16 * MIB, TIB), default="auto", group=RECYCLING,
        help="memory of all processes together; above it the largest worker is replaced. "
        "auto: 90 % of the cgroup's limit, if it has one",
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

    timeout = Setting(
        duration(0.0, DAY_S), default=60.0, group=DEADLINES, short="-t", goes_to_engine=True,
        help="the application may take to its head, and between two chunks; then 504, or abort when the "
        "head is out. 0 is off",
    )  # fmt: skip
    timeout_for = Setting(
        path_durations(), default=(), group=DEADLINES, goes_to_engine=True,
        help="the same for paths below a prefix, as /reports=5m; the longest prefix counts. Repeatable",
    )  # fmt: skip
    timeout_grace = Setting(
        duration(0.0, DAY_S), default=5.0, group=DEADLINES,
        help="a thread may take to come back after its request was timed out; then another takes its place",
    )  # fmt: skip
    max_stuck_threads = Setting(
        whole_number(1, 1024), default=4, group=DEADLINES,
        help="threads that never came back before the worker is replaced",
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
        # Where to read and import from, and its processes, are the business of the program that embeds us.
        names = [name for name, setting in TABLE.items() if setting.group not in FOR_SUPERVISOR]
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
