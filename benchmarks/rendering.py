"""From workload to bytes: requests for the load generator, expected bodies, the floor's ready-made answer."""

from __future__ import annotations

import apps
from workloads import Lane, Request, Workload


def render_request(request: Request, *, closes: bool) -> bytes:
    """The request's bytes. `closes` adds Connection: close (RFC 9112 section 9.6)."""
    fields = list(request.fields)
    if closes:
        fields.append("Connection: close")
    if request.post is not None:
        fields += ["Content-Type: application/octet-stream", f"Content-Length: {len(request.post)}"]
    method = "GET" if request.post is None else "POST"
    head = f"{method} {request.target} HTTP/1.1\r\n" + "".join(f"{field}\r\n" for field in fields) + "\r\n"
    return head.encode("latin-1") + (request.post or b"")


def render_lane_request(lane: Lane, request: Request) -> tuple[bytes, bytes]:
    """All that a connection of this lane sends at once, and the bodies it must get back, in order."""
    if lane.depth == 1:
        return render_request(request, closes=lane.one_request_per_connection), request.body
    pipeline = [request.numbered(number) for number in range(lane.depth)]
    return b"".join(render_request(one, closes=False) for one in pipeline), b"".join(
        one.body for one in pipeline
    )


def render_floor_answer(workload: Workload) -> bytes:
    """The answer the floor sends to each request, with the fields servers send, ready-made.

    The generator's is in the chunked coding with one chunk per step (RFC 9112 section 7.1), sent at once.
    """
    lane = workload.lanes[0]
    body = lane.requests[0].body
    fields = [
        "HTTP/1.1 200 OK",
        "Content-Type: text/plain",
        "Date: Fri, 20 Nov 2026 12:00:00 GMT",
        "Server: floor",
    ]
    if lane.one_request_per_connection:
        fields.append("Connection: close")
    if workload.name == "generator":
        fields.append("Transfer-Encoding: chunked")
        chunk = f"{len(apps.CHUNK):x}\r\n".encode() + apps.CHUNK + b"\r\n"
        body = chunk * apps.CHUNK_COUNT + b"0\r\n\r\n"
    else:
        fields.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(fields) + "\r\n\r\n").encode() + body
