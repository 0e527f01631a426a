"""A client without sockets: requests go to an application in memory, and it is linted on the way."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from ..lint.wrapper import Lint
from .cookies import Cookies
from .environ import make_environ
from .form import encode_form, encode_json, encode_multipart, encode_query
from .gateway import MemoryExchange
from .response import Response
from .streams import ErrorText

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any
    from wsgiref.types import WSGIApplication

    from ..lint.record import Finding
    from .form import File, Pairs

    Headers = Mapping[str, str] | Iterable[tuple[str, str]]
    Body = bytes | Iterable[bytes]

# A circle of redirections fails the test.
MAX_REDIRECTS = 20


class LintFailure(AssertionError):
    """The application broke rules of PEP 3333. findings: which, with their lines."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = findings


class Client:
    """Sends requests to an application and keeps cookies, as a browser does.

    Errors of the application come out of the call that made it run. An answer that breaks a MUST of PEP 3333
    raises LintFailure when it is closed; lint=False leaves that out, ignore=... leaves codes out.
    base_url: scheme, host and port of the site. headers: sent with each request. root_path: SCRIPT_NAME.
    One thread at a time.
    """

    def __init__(
        self,
        application: WSGIApplication,
        *,
        base_url: str = "http://localhost",
        headers: Headers = (),
        root_path: str = "",
        lint: bool = True,
        ignore: Iterable[str] = (),
    ) -> None:
        self.base_url = base_url
        self.headers = _as_pairs(headers)
        self.root_path = root_path
        self.cookies = Cookies()
        self._findings: list[Finding] = []
        if lint:
            application = Lint(application, report=self._findings.append, ignore=ignore)
        self.application = application

    def get(self, target: str, **more: Any) -> Response:
        """GET, with the keywords of request()."""
        return self.request("GET", target, **more)

    def head(self, target: str, **more: Any) -> Response:
        """HEAD, with the keywords of request()."""
        return self.request("HEAD", target, **more)

    def options(self, target: str, **more: Any) -> Response:
        """OPTIONS, with the keywords of request()."""
        return self.request("OPTIONS", target, **more)

    def post(self, target: str, **more: Any) -> Response:
        """POST, with the keywords of request()."""
        return self.request("POST", target, **more)

    def put(self, target: str, **more: Any) -> Response:
        """PUT, with the keywords of request()."""
        return self.request("PUT", target, **more)

    def patch(self, target: str, **more: Any) -> Response:
        """PATCH, with the keywords of request()."""
        return self.request("PATCH", target, **more)

    def delete(self, target: str, **more: Any) -> Response:
        """DELETE, with the keywords of request()."""
        return self.request("DELETE", target, **more)

    def request(self, method: str, target: str, *, follow: bool = False, **more: Any) -> Response:
        """One request and its complete answer. follow: go after redirections, as browsers do.

        The other keywords are those of stream().
        """
        response = self._complete(method, target, **more)
        for _ in range(MAX_REDIRECTS):
            location = response.header("Location")
            if not follow or response.status not in (301, 302, 303, 307, 308) or location is None:
                return response
            url = urlsplit(urljoin(urljoin(self.base_url, target), location))
            if f"{url.scheme}://{url.netloc}" != self.base_url:
                raise AssertionError(f"redirected to {location}, which is another site")
            target = url.path + (f"?{url.query}" if url.query else "")
            if response.status not in (307, 308):
                method, more = "HEAD" if method == "HEAD" else "GET", {"headers": more.get("headers", ())}
            more.pop("query", None)
            response = self._complete(method, target, **more)
        raise AssertionError(f"more than {MAX_REDIRECTS} redirections, the last to {target}")

    def stream(
        self,
        method: str,
        target: str,
        *,
        query: Pairs | None = None,
        headers: Headers = (),
        body: Body = b"",
        form: Pairs | None = None,
        files: Mapping[str, File] | None = None,
        json: object = None,
        environ: Mapping[str, Any] | None = None,
    ) -> Response:
        """One request whose answer is taken chunk by chunk: `with client.stream("GET", "/") as response`.

        The head is known when this returns. query: added to the target. body: bytes, or an iterable of pieces
        for a chunked request. form, files, json: the body is made of them. environ: keys to set beside.
        """
        fields = self.headers + _as_pairs(headers)
        content_type, body = _make_body(body, form, files, json)
        if content_type and not any(name.lower() == "content-type" for name, _value in fields):
            fields.append(("Content-Type", content_type))
        if query is not None:
            target += ("&" if "?" in target else "?") + encode_query(query)
        url = urljoin(self.base_url, target)
        cookie = self.cookies.field_for(url)
        if cookie:
            fields.append(("Cookie", cookie))
        made = make_environ(
            method, target, headers=fields, body=body, base_url=self.base_url, root_path=self.root_path
        )
        made.update(environ or {})
        errors = made["wsgi.errors"]
        self._findings.clear()
        exchange = MemoryExchange(self.application, made)
        try:
            exchange.advance_to_head()
        except BaseException:
            exchange.close()
            raise
        self.cookies.take(url, [value for name, value in exchange.headers if name.lower() == "set-cookie"])
        told = errors if isinstance(errors, ErrorText) else ErrorText()
        return Response(exchange, f"{method} {target}", told, self._check)

    def _complete(self, method: str, target: str, **more: Any) -> Response:
        with self.stream(method, target, **more) as response:
            # Taken now, so that close() comes after the last chunk, as under a server.
            body = response.body
        if method == "HEAD" and body:
            # A server leaves it out (RFC 9110, 9.3.2).
            response.drop_body()
        return response

    def _check(self) -> None:
        wrong = [finding for finding in self._findings if finding.severity == "error"]
        if wrong:
            raise LintFailure(wrong)


def _make_body(
    body: Body, form: Pairs | None, files: Mapping[str, File] | None, json: object
) -> tuple[str, Body]:
    given = [
        name for name, value in (("body", body), ("form", form), ("json", json)) if value not in (b"", None)
    ]
    if len(given) > 1 or (files and given not in ([], ["form"])):
        raise ValueError(f"one of body, form (with files) and json makes the body, found {', '.join(given)}")
    if files:
        return encode_multipart(form or {}, files)
    if form is not None:
        return encode_form(form)
    if json is not None:
        return encode_json(json)
    return "", body


def _as_pairs(headers: Headers) -> list[tuple[str, str]]:
    from collections.abc import Mapping

    return list(headers.items() if isinstance(headers, Mapping) else headers)
