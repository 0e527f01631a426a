"""Serve files below a prefix: conditional requests, ranges, precompressed siblings (RFC 9110 sections 13 and
14)."""

from __future__ import annotations

import os
import re

from ..setting import Kind
from ..setting_kinds import duration, path, plain_text, switch
from .base import Middleware, Option
from .codings import choose_coding
from .option_kinds import by_prefix, texts
from .paths import quoted_path
from .response import answer_text
from .static_answer import FileAnswer, answer_file
from .static_files import Root, content_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from .static_files import OpenFile

YEAR_S = 365 * 86_400

# Coding -> what a precompressed sibling is called: app.js.br beside app.js. The best one first.
SIBLINGS = {"zstd": ".zst", "br": ".br", "gzip": ".gz"}

# Names with a hash of the content in them, as webpack and Django's ManifestStaticFilesStorage make them:
# app.3f2a9c1b.js. Digits and letters both: report-20261120.pdf has a date, and may change. Vite's hashes are
# not hexadecimal and could be words; who uses it says so with `immutable`.
HASHED_NAME = r"(?:\.|-)(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,64}\.[a-z0-9.]+$"


def _pattern() -> Kind[str]:
    def read(found: object) -> str:
        if not isinstance(found, str):
            raise ValueError  # noqa: TRY004 - a kind tells any fault of a value by ValueError
        try:
            re.compile(found)
        except re.error as error:
            raise ValueError(str(error)) from None
        return found

    return Kind("a regular expression, or empty for none", "PATTERN", read, str)


class Static(Middleware):
    """Serves files below path prefixes; other requests go to the application.

    Refused are names with "..", a dot first, or a NUL, and links that lead out of the directory. Directories
    are never listed.
    """

    shorthand = "mounts"

    mounts = Option(
        by_prefix("paths with directories, such as /static=./public", path("a directory"), "PATH=DIR"),
        help="directories by path prefix; the longest prefix counts",
    )  # fmt: skip
    index = Option(
        plain_text("a file name, or off"), default="index.html",
        help="file that answers for a directory; off for none",
    )  # fmt: skip
    max_age = Option(
        duration(0.0, float(YEAR_S)), default=0.0,
        help="how long a copy may be used without asking (Cache-Control); 0 is always ask",
    )  # fmt: skip
    immutable = Option(
        _pattern(), default=HASHED_NAME,
        help="file names whose content never changes: a year without asking. By default those with a hash",
    )  # fmt: skip
    precompressed = Option(
        switch(), default=True,
        help="send app.js.zst, app.js.br or app.js.gz for app.js, when it is there and the client takes it",
    )  # fmt: skip
    dotfiles = Option(
        texts("names with a dot first", lambda text: text.startswith(".") and text.strip(".") != ""),
        default=(".well-known",),
        help="names with a dot first that are served all the same",
    )  # fmt: skip
    fall_through = Option(
        switch(), default=True, help="ask the application when there is no such file; off: 404"
    )  # fmt: skip

    def check(self) -> None:
        for prefix, directory in self.mounts:
            if not os.path.isdir(directory):
                raise self.fault("mounts", f'{prefix or "/"} needs a directory, found "{directory}".')

    def wrap(self, application: WSGIApplication, /) -> WSGIApplication:
        roots = [(prefix, Root(directory, self.dotfiles)) for prefix, directory in self.mounts]

        def served(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            request_path = environ.get("PATH_INFO", "")
            for prefix, root in roots:
                if request_path.startswith(f"{prefix}/"):
                    answered = self._answer(environ, start_response, root, request_path[len(prefix) + 1 :])
                    if answered is not None:
                        return answered
                    break
            else:
                return application(environ, start_response)
            if self.fall_through:
                return application(environ, start_response)
            return answer_text(environ, start_response, "404 Not Found", "There is no such file.")

        return served

    def _answer(
        self, environ: WSGIEnvironment, start_response: StartResponse, root: Root, name: str
    ) -> Iterable[bytes] | None:
        """The answer for a file that is there; None when there is none."""
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return None
        is_directory = name == "" or name.endswith("/")
        if is_directory:
            if self.index == "off":
                return None
            name += self.index
        found = root.open(name)
        if found is None:
            if is_directory or self.index == "off" or not root.has(f"{name}/{self.index}"):
                return None
            # Relative links of the page would lead elsewhere without the slash.
            query = environ.get("QUERY_STRING", "")
            location = quoted_path(environ) + "/" + ("?" + query if query else "")
            return answer_text(
                environ, start_response, "301 Moved Permanently", location, [("Location", location)]
            )
        return self._send(environ, start_response, root, name, found)

    def _send(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        root: Root,
        name: str,
        found: OpenFile,
    ) -> Iterable[bytes]:
        headers = [("Content-Type", content_type(name)), ("Cache-Control", self._cache_rule(name))]
        if self.precompressed:
            # Only whether there is something: `open` looks at what it is, and where.
            siblings = tuple(
                coding for coding, ending in SIBLINGS.items() if os.path.lexists(found.path + ending)
            )
            if siblings:
                headers.append(("Vary", "Accept-Encoding"))
                coding = choose_coding(environ.get("HTTP_ACCEPT_ENCODING"), siblings)
                sibling = None
                if coding != "identity":
                    sibling = root.open(name + SIBLINGS[coding], f"-{coding}")
                if sibling is not None:
                    found.close()
                    found = sibling
                    headers.append(("Content-Encoding", coding))
        return answer_file(FileAnswer(environ, start_response, found, headers))

    def _cache_rule(self, name: str) -> str:
        if self.immutable and re.search(self.immutable, name.rpartition("/")[2]):
            return f"public, max-age={YEAR_S}, immutable"
        return f"public, max-age={int(self.max_age)}" if self.max_age else "no-cache"
