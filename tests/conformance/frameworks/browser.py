"""A small browser over the standard library's HTTP client: keeps cookies, sends forms and files.

http.client is another's reader of HTTP: what it understands is not only what our own strict client does.
"""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message

    from typing_extensions import Self

    from tests.raw_client import Address

BOUNDARY = "----barkeep-test-boundary"


@dataclass(frozen=True)
class Page:
    """One answer, read to its end."""

    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode()


class Browser:
    """One connection, which lives on from page to page as the server allows. Close it when done."""

    def __init__(self, address: Address) -> None:
        self.connection = http.client.HTTPConnection(*address, timeout=20)
        self.cookies: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def ask(
        self, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Page:
        """Send a request with the cookies so far; read its answer and keep its cookies."""
        sent = dict(headers or {})
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        self.connection.request(method, target, body, sent)
        answer = self.connection.getresponse()
        content = answer.read()
        for line in answer.headers.get_all("Set-Cookie") or []:
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.coded_value
        return Page(answer.status, answer.headers, content)

    def get(self, target: str, **headers: str) -> Page:
        """GET with these fields; "_" in a name stands for "-"."""
        return self.ask(
            "GET", target, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )

    def post(self, target: str, form: Mapping[str, str]) -> Page:
        """POST a form."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask("POST", target, urlencode(form).encode(), headers)

    def upload(self, target: str, filename: str, content: bytes, *, is_chunked: bool = False) -> Page:
        """POST a file in the field "file", and a text in the field "title"."""
        head = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="title"\r\n\r\na title\r\n'
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        body = head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        if not is_chunked:
            return self.ask("POST", target, body, headers)
        headers["Transfer-Encoding"] = "chunked"
        pieces = [body[at : at + 50_000] for at in range(0, len(body), 50_000)]
        framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        return self.ask("POST", target, framed, headers)


def upload_report(title: str, filename: str, content: bytes) -> str:
    """What every site here answers to an upload: enough to see that all of it arrived."""
    import hashlib

    return f"{title}: {filename}, {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}"
