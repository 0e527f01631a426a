"""Step 5 of 6 - where other threads are in Python, for the log; with and without a GIL.

With a GIL the frames of a thread stand still while another reads them. Without one the thread runs on, and
its frames are freed under the reader: looking at what sys._current_frames() gives may crash the process
(python/cpython#152355). Then Python's fault handler is asked, which stops all threads first.
"""

from __future__ import annotations

import os
import re
import sys

from .wsgi import serve_exchanges

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Collection
    from traceback import StackSummary

# Its frames are the last of ours below the application.
CALLER = serve_exchanges.__code__.co_filename

# What the fault handler writes: a head for each thread, with its ident, then its calls, the innermost first.
THREAD = re.compile(r"(?:Current thread|Thread) 0x([0-9a-f]+)\b")
CALL = re.compile(r'  File "(.*)", line ([0-9]+) in (.*)')


def gil_is_enabled() -> bool:
    """False while threads of this process run Python at the same time."""
    if sys.version_info >= (3, 13):
        return sys._is_gil_enabled()  # noqa: SLF001 - private by name and documented
    return True


def stacks_of(idents: Collection[int]) -> dict[int, StackSummary]:
    """Where each of these threads is, its outermost call first; one that has ended is not there.

    Read at once, because the threads go on. Without a GIL a thread beyond the hundredth is not there either:
    the fault handler writes no more.
    """
    import traceback

    if not gil_is_enabled():
        return {ident: stack for ident, stack in _read_dump(_dump()).items() if ident in idents}
    # Private by name and documented: the only way to another thread's frame.
    frames = sys._current_frames()  # noqa: SLF001
    try:
        return {ident: traceback.extract_stack(frames[ident]) for ident in idents if ident in frames}
    finally:
        # Our own frame is among them: a circle, which would keep what the requests of all threads have.
        frames.clear()


def is_waiting(stack: StackSummary) -> bool:
    """Whether an application thread with this stack waits for its next exchange."""
    innermost = stack[-1]
    return innermost.filename == CALLER and innermost.name == serve_exchanges.__name__


def text_of(stack: StackSummary | None) -> str:
    """As a traceback has it, from the application's first frame on."""
    if stack is None:
        return "  (the thread has ended, or is not among those that Python shows)"
    # Imported when first needed: it costs 1.5 MiB.
    from traceback import format_list

    ours = [index for index, call in enumerate(stack) if call.filename == CALLER]
    return "".join(format_list(stack[ours[-1] + 1 :] if ours else stack)).rstrip()


def write_on_signal(number: signal.Signals, descriptor: int) -> None:
    """From now on that signal has all stacks written to the descriptor. For the main thread.

    With a GIL also while C code holds it. Without one, once the main thread is back in Python. To be called
    again when what was imported since may have brought the GIL back.
    """
    import faulthandler
    import signal

    if gil_is_enabled():
        faulthandler.register(number, file=descriptor, all_threads=True)
        return

    def write(_number: int, _frame: object) -> None:
        try:
            os.write(descriptor, _dump())
        except BlockingIOError:
            # A pipe that nobody reads.
            pass

    # faulthandler.register() would read the frames of threads that run: its handler cannot stop them.
    signal.signal(number, write)


def _dump() -> bytes:
    """What the fault handler writes of all threads; they stand still meanwhile, also without a GIL."""
    import faulthandler

    # A file takes all of it at once: a pipe that is full would keep everybody waiting.
    file = _open_nameless()
    try:
        faulthandler.dump_traceback(file, all_threads=True)
        return os.pread(file, os.fstat(file).st_size, 0)
    finally:
        os.close(file)


def _open_nameless() -> int:
    if sys.platform == "linux":
        file = os.memfd_create("barkeep-stacks", os.MFD_CLOEXEC)
    else:
        import tempfile

        file, path = tempfile.mkstemp(prefix="barkeep-stacks-")
        os.unlink(path)
    return file


def _read_dump(dumped: bytes) -> dict[int, StackSummary]:
    from traceback import FrameSummary, StackSummary

    calls: dict[int, list[FrameSummary]] = {}
    ident = 0
    for line in dumped.decode("utf-8", "replace").splitlines():
        if head := THREAD.match(line):
            ident = int(head[1], 16)
        elif call := CALL.match(line):
            calls.setdefault(ident, []).insert(0, FrameSummary(call[1], int(call[2]), call[3]))
    return {ident: StackSummary.from_list(found) for ident, found in calls.items()}
