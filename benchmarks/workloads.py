"""What is measured - every workload: application, load, expected answers, bars (issue 2, section 7)."""

from __future__ import annotations

import dataclasses

import apps

# What a browser sends with a request for a page; 20 fields with Host. Parsing them is the point of `json`.
BROWSER_FIELDS = (
    "Host: shop.example.com",
    "Connection: keep-alive",
    "Cache-Control: max-age=0",
    'sec-ch-ua: "Chromium";v="142", "Not A(Brand";v="24"',
    "sec-ch-ua-mobile: ?0",
    'sec-ch-ua-platform: "Linux"',
    "Upgrade-Insecure-Requests: 1",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-User: ?1",
    "Sec-Fetch-Dest: document",
    "Referer: https://shop.example.com/catalogue?page=3",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
    "Cookie: session=4f1c9a7be2d84c0f; theme=dark; consent=yes",
    "DNT: 1",
    "Priority: u=0, i",
    'If-None-Match: W/"5e-18f3a2"',
)
PLAIN_FIELDS = ("Host: 127.0.0.1",)

FASTEST = ("bjoern", "fastwsgi")
PEERS = ("bjoern", "fastwsgi", "granian", "gunicorn", "waitress", "uwsgi")
POOLS = ("granian", "gunicorn", "waitress", "uwsgi")


@dataclasses.dataclass(frozen=True)
class Request:
    """One path of a lane: what is sent and what must come back. `weight`: its share among the paths."""

    name: str
    body: bytes
    target: str = "/"
    fields: tuple[str, ...] = PLAIN_FIELDS
    post: bytes | None = None
    weight: int = 1

    def numbered(self, number: int) -> Request:
        """This request with a number in target and answer (apps.numbered), to prove a pipeline's order."""
        return dataclasses.replace(self, target=f"/?{number:04}", body=apps.numbered_body(f"{number:04}"))


@dataclasses.dataclass(frozen=True)
class Lane:
    """Connections that send alike. `rate_per_s` 0: the next request follows the answer (closed loop)."""

    connections: int
    requests: tuple[Request, ...]
    rate_per_s: int = 0
    depth: int = 1
    one_request_per_connection: bool = False


@dataclasses.dataclass(frozen=True)
class Bar:
    """What Barkeep must reach. `metric` names a figure of a Measurement.

    against: () - `limit` is in the metric's unit; server names - `limit` is a factor on the lowest of these
    in the same run.
    """

    metric: str
    limit: float
    against: tuple[str, ...] = ()
    at_least: bool = False


@dataclasses.dataclass(frozen=True)
class Workload:
    """One row of the report. kind: "load", or "idle" and "start" which probes.py measures."""

    name: str
    title: str
    app: str
    lanes: tuple[Lane, ...]
    bars: tuple[Bar, ...]
    servers: tuple[str, ...] = (*PEERS, "floor", "barkeep")
    threads: int | None = None
    kind: str = "load"

    @property
    def saturates(self) -> bool:
        """Whether the load should fill the server's core: closed loop, and the application never waits."""
        return self.kind == "load" and self.name not in ("sleep", "mixed", "burn")


def _hello(connections: int = 32) -> tuple[Lane, ...]:
    return (Lane(connections, (Request("hello", apps.HELLO),)),)


def _one(request: Request, connections: int = 32) -> tuple[Lane, ...]:
    return (Lane(connections, (request,)),)


def _post(size_bytes: int) -> tuple[Lane, ...]:
    return _one(Request("post", str(size_bytes).encode(), post=b"x" * size_bytes))


def _cpu(limit: float, against: tuple[str, ...] = PEERS) -> tuple[Bar, ...]:
    return (Bar("cpu_us", limit, against),)


_MIXED_REQUESTS = (Request("hello", apps.HELLO, weight=9), Request("sleep", apps.HELLO, "/sleep", weight=1))
_MIXED_LANES = (Lane(256, _MIXED_REQUESTS, rate_per_s=2000),)
_BURN_LANES = (
    Lane(2, (Request("burn", apps.HELLO, "/burn"),)),
    Lane(16, (Request("hello", apps.HELLO),), rate_per_s=100),
)
_SLEEP_FULL_RATE = 32 / apps.SLEEP_S
_JSON_LANES = _one(Request("json", apps.JSON_BYTES, fields=BROWSER_FIELDS))
_GENERATOR_LANES = _one(Request("stream", apps.CHUNK * apps.CHUNK_COUNT), connections=8)
_ONE_MIB_LANES = _one(Request("body", apps.ONE_MIB), connections=8)
_CONNECT_LANES = (dataclasses.replace(_hello()[0], one_request_per_connection=True),)
_PIPELINE_LANES = (dataclasses.replace(_hello(4)[0], depth=16),)

WORKLOADS: tuple[Workload, ...] = (
    Workload("hello", "13 bytes, 32 keep-alive connections", "apps:hello", _hello(), _cpu(1.0, FASTEST)),
    Workload("hello-1-thread", "hello, --threads 1", "apps:hello", _hello(), _cpu(1.05, FASTEST), threads=1),
    Workload("json", "json, 20 browser fields", "apps:json_answer", _JSON_LANES, _cpu(0.95)),
    Workload("post-1k", "POST 1 KiB, read whole", "apps:post_length", _post(1024), _cpu(1.0)),
    Workload("post-100k", "POST 100 KiB, read whole", "apps:post_length", _post(100 * 1024), _cpu(1.05)),
    Workload(
        "generator",
        "generator of 100 x 1 KiB, no length, 8 connections",
        "apps:generator",
        _GENERATOR_LANES,
        (*_cpu(4.0, ("floor",)), Bar("p99_ms:stream", 40.0)),
    ),
    Workload("body-10k", "10 KiB body", "apps:body_10k", _one(Request("body", apps.TEN_KIB)), _cpu(1.05)),
    Workload("body-1m", "1 MiB body, 8 connections", "apps:body_1m", _ONE_MIB_LANES, _cpu(1.05)),
    Workload("file-1m", "file_wrapper of 1 MiB, 8 connections", "apps:file_1m", _ONE_MIB_LANES, _cpu(1.05)),
    Workload("connect", "new connection per request", "apps:hello", _CONNECT_LANES, _cpu(1.1)),
    Workload(
        "pipeline",
        "16 pipelined, 4 connections",
        "apps:numbered",
        _PIPELINE_LANES,
        _cpu(5.0, ()),
        servers=(*PEERS, "barkeep"),
    ),
    Workload("flask", "Flask hello", "app_flask:app", _hello(), _cpu(1.0)),
    Workload("django", "Django hello", "app_django:app", _hello(), _cpu(1.0)),
    Workload("falcon", "Falcon hello", "app_falcon:app", _hello(), _cpu(1.0)),
    Workload(
        "sleep",
        "sleep 10 ms, 32 threads, 64 connections",
        "apps:sleep_10ms",
        _hello(64),
        (Bar("per_s", 0.98 * _SLEEP_FULL_RATE, at_least=True), *_cpu(1.0, ("granian",))),
        servers=(*POOLS, "barkeep"),
        threads=32,
    ),
    Workload(
        "mixed",
        "90 % hello, 10 % sleep 20 ms, 16 threads, 2000/s",
        "apps:mixed",
        _MIXED_LANES,
        (Bar("p99_ms:hello", 1.0, ("granian",)),),
        servers=(*POOLS, "barkeep"),
        threads=16,
    ),
    Workload(
        "burn",
        "2 connections burn 20 ms each, hello beside them (100/s)",
        "apps:mixed",
        _BURN_LANES,
        (Bar("p99_ms:hello", 10.0),),
        servers=(*POOLS, "barkeep"),
    ),
    Workload(
        "idle",
        "5,000 idle connections",
        "apps:hello",
        _hello(),
        (Bar("idle_kib", 0.5), Bar("idle_cost", 1.05)),
        kind="idle",
    ),
    Workload(
        "start",
        "start to first answer; memory of one worker",
        "apps:hello",
        _hello(),
        (Bar("start_ms", 60.0), Bar("worker_mib", 18.0)),
        servers=(*PEERS, "barkeep"),
        kind="start",
    ),
)


def find_workload(name: str) -> Workload | None:
    """The workload with this name, or None."""
    return next((workload for workload in WORKLOADS if workload.name == name), None)
