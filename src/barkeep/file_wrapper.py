"""Step 5 of 6 - wsgi.file_wrapper: files go from the disk to the socket (PEP 3333, Optional Platform-Specific
File Handling)."""

from __future__ import annotations

import io
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ._engine import Exchange

# Only for these does the descriptor hold what read() would give: a GzipFile has a descriptor too.
PLAIN_FILES = (io.BufferedReader, io.BufferedRandom, io.FileIO)


class FileWrapper:
    """An iterable over a file-like object; the engine sends plain files without reading them here.

    filelike: has read(size) and gives bytes; its close(), if any, is called by whoever closes this.
    block_size: bytes per chunk where the file must be read after all.
    """

    def __init__(self, filelike: Any, block_size: int = 64 * 1024) -> None:
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk: bytes = self.filelike.read(self.block_size)
        if not chunk:
            raise StopIteration
        return chunk


def send_file(exchange: Exchange, wrapper: FileWrapper) -> bool:
    """Hand a plain file's bytes from its position on to the engine. False: iterate over it instead."""
    # tempfile's wrappers keep the real file in `file`.
    file = getattr(wrapper.filelike, "file", wrapper.filelike)
    if type(file) not in PLAIN_FILES or exchange.head_is_sent:
        return False
    try:
        if file.writable():
            file.flush()
        descriptor, offset = file.fileno(), file.tell()
        found = os.fstat(descriptor)
    except (OSError, ValueError):
        return False
    if not stat.S_ISREG(found.st_mode):
        return False
    exchange.send_file(descriptor, offset, max(0, found.st_size - offset))
    return True
