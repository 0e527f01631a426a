"""Files below one directory: which name may be opened, and what it is. Nothing here knows of WSGI."""

from __future__ import annotations

import functools
import mimetypes
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import BufferedReader

# Types the standard table lacks in some versions of Python. The system's own tables are not read: the same
# file must have the same type on every machine.
MORE_TYPES = {
    ".avif": "image/avif",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".map": "application/json",
    ".md": "text/markdown",
    ".otf": "font/otf",
    ".ttf": "font/ttf",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
TYPES_OF_ENCODED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
UNKNOWN_TYPE = "application/octet-stream"

# Longest file name of any system we run on, and longest path, in bytes (NAME_MAX, PATH_MAX of Linux).
MAX_PATH_BYTES = 4096


class OpenFile:
    """A plain file that is open for reading. Whoever gets it closes it.

    path: where it really is. etag: strong, from modification time in nanoseconds, size and variant.
    modified_s: whole seconds since 1970.
    """

    __slots__ = ("etag", "file", "modified_s", "path", "size_bytes")

    def __init__(self, path: str, file: BufferedReader, found: os.stat_result, variant: str) -> None:
        self.path = path
        self.file = file
        self.size_bytes = found.st_size
        self.modified_s = int(found.st_mtime)
        self.etag = f'"{found.st_mtime_ns:x}-{found.st_size:x}{variant}"'

    def close(self) -> None:
        """Close the file."""
        self.file.close()


class Root:
    """A directory to serve from. Where it really is, is found out once; it must be there."""

    def __init__(self, directory: str, allowed_dotfiles: tuple[str, ...]) -> None:
        self._directory = os.path.realpath(directory)
        self._allowed_dotfiles = frozenset(allowed_dotfiles)

    def open(self, name: str, variant: str = "") -> OpenFile | None:
        """Open a plain file by its path below the root; None when it may not be served. The caller closes it.

        name: in latin-1 as PEP 3333 has it. variant: ends its ETag, which must differ among the codings of
        one resource.
        """
        real = self._resolve(name)
        if real is None:
            return None
        try:
            # What became a link since is not followed, and a named pipe does not make us wait.
            descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            return None
        return OpenFile(real, os.fdopen(descriptor, "rb"), found, variant)

    def has(self, name: str) -> bool:
        """Whether there is such a file, which `open` would open unless its permissions say no."""
        real = self._resolve(name)
        return real is not None and os.path.isfile(real)

    def _resolve(self, name: str) -> str | None:
        """The real path of a name; None when it may not be served.

        Each part is looked at as the client wrote it, and again after links were followed.
        """
        try:
            path = os.fsdecode(name.encode("latin-1"))
        except UnicodeError:
            return None
        if len(path) > MAX_PATH_BYTES or not all(map(self._may_be_served, path.split("/"))):
            return None
        try:
            real = os.path.realpath(os.path.join(self._directory, path))
        except (OSError, ValueError):
            return None
        inside = os.path.join(self._directory, "")
        if not real.startswith(inside) or not all(map(self._may_be_served, real[len(inside) :].split("/"))):
            return None
        return real

    def _may_be_served(self, part: str) -> bool:
        # The empty part also: "a//b" would be a second name of "a/b".
        if not part or "\0" in part:
            return False
        return part[0] != "." or part in self._allowed_dotfiles


@functools.lru_cache(maxsize=1)
def _types() -> mimetypes.MimeTypes:
    types = mimetypes.MimeTypes()
    for ending, kind in MORE_TYPES.items():
        types.add_type(kind, ending)
    return types


def content_type(name: str) -> str:
    """The Content-Type of a file by its name; texts are taken for UTF-8."""
    kind, encoding = _types().guess_type(name)
    if encoding is not None:
        # site.tar.gz is to be saved as it is, and not to be unpacked on the way.
        return TYPES_OF_ENCODED.get(encoding, UNKNOWN_TYPE)
    if kind is None:
        return UNKNOWN_TYPE
    is_text = kind.startswith("text/") or kind in ("application/json", "application/manifest+json")
    return f"{kind}; charset=utf-8" if is_text else kind
