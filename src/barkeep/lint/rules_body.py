"""The codes BK201 to BK399: the body that an application gives, write(), and the streams that it is given."""

from __future__ import annotations

from .rule import ADVICE, ERROR, WARNING, Rule

APPLICATION_SIDE = "PEP 3333, The Application/Framework Side"
BUFFERING = "PEP 3333, Buffering and Streaming"
LENGTH = "PEP 3333, Handling the Content-Length Header"
STREAMS = "PEP 3333, Input and Error Streams"
WRITE = "PEP 3333, The write() Callable"

BODY_RULES = (
    Rule(
        "BK201", ERROR, "the application returned nothing that can be iterated over", APPLICATION_SIDE,
        why="The server iterates over what is returned; None makes it fail after the work was done.",
        mend="Return an iterable of bytes, [] for an empty body.",
        in_validate=True,
    ),
    Rule(
        "BK202", ERROR, "the application returned a string", BUFFERING,
        why="A string is iterated over one character at a time: numbers for bytes, and text for str.",
        mend="Return [body], a list of one chunk.",
        in_validate=True,
    ),
    Rule(
        "BK203", ERROR, "a chunk is not bytes", "PEP 3333, A Note On String Types",
        why="Which encoding a str has is the application's to know; bytearray, memoryview and subclasses "
        "work on some servers only.",
        mend='Encode it: text.encode("utf-8"), and name the charset in Content-Type.',
        in_validate=True,
    ),
    Rule(
        "BK204", ERROR, "an answer that has no body was given one", "RFC 9110, 15.3.5 and 15.4.5",
        why="After a 204 or 304 the client takes further bytes for the beginning of the next answer.",
        mend="Return [] with 204 and 304, or use another status.",
    ),
    Rule(
        "BK205", WARNING, "HEAD is answered with another status than GET", "RFC 9110, 9.3.2 HEAD",
        why="HEAD asks for the head that GET would have; link checkers and caches take its status for GET's.",
        mend="Handle HEAD as GET; the server leaves the body out.",
    ),
    Rule(
        "BK206", ERROR, "the body is shorter than Content-Length", LENGTH,
        why="The client waits for the rest, and the server can only cut the connection.",
        mend="Count the bytes of the encoded body, or leave the field to the server. "
        "Middleware that changes a body removes the field.",
    ),
    Rule(
        "BK207", ERROR, "the body is longer than Content-Length", LENGTH,
        why="What is above the length would be read as the next answer, so servers cut it or the connection.",
        mend="Count bytes and not characters, or leave the field to the server.",
    ),
    Rule(
        "BK208", WARNING, "the body comes in tiny chunks", BUFFERING,
        why="Each chunk is sent before the next is asked for: a system call for every few bytes.",
        mend='Join what belongs together: [b"".join(parts)], or yield blocks of some KiB.',
    ),
    Rule(
        "BK209", ERROR, "len() of the iterable is not its number of chunks",
        "PEP 3333, The Server/Gateway Side",
        why="The server takes a length of one for a body whose size it knows, and sends that size.",
        mend="Let __len__ tell the number of chunks, or leave it out.",
    ),
    Rule(
        "BK210", ERROR, "close() of the iterable raised", "PEP 3333, The Server/Gateway Side",
        why="The answer is out; the error hits the server, and what close() should release stays open.",
        mend="Catch and log errors inside close().",
    ),
    Rule(
        "BK211", ERROR, "the application raised", "PEP 3333, Error Handling",
        why="The client gets the server's bare 500, or half an answer when the head was out.",
        mend="Mend the error, or answer it: start_response with exc_info=sys.exc_info().",
    ),
    Rule(
        "BK212", ERROR, "the application tried to end the process", "PEP 3333, Error Handling",
        why="One request must not end the server: other requests are under way in the same process.",
        mend="Answer with a 5xx status instead of calling sys.exit().",
    ),
    Rule(
        "BK213", ADVICE, "an open file is the body, so its lines are the chunks",
        "PEP 3333, Optional Platform-Specific File Handling",
        why="A picture with a line end every 100 bytes goes out in pieces of 100 bytes.",
        mend="Call environ's wsgi.file_wrapper where the server has one, else yield blocks of some KiB.",
    ),
    Rule(
        "BK214", ADVICE, "write() was used", WRITE,
        why="It is there for old interfaces: it cannot be interrupted, and some servers hold all of it back.",
        mend="Return or yield the chunks.",
    ),
    Rule(
        "BK215", ERROR, "write() was given no bytes", WRITE,
        why="Its argument is sent as it is, and must be bytes like any other chunk.",
        mend="Encode text before it is written.",
        in_validate=True,
    ),
    Rule(
        "BK216", ERROR, "write() was called from within the iterable", WRITE,
        why="Then nobody can tell in which order the two outputs go out.",
        mend="Call write() only before the application returns, or yield everything.",
    ),
    Rule(
        "BK217", WARNING, "the iterable has no bytes for long stretches", BUFFERING,
        why="An empty chunk is a way to say 'not yet'; thousands of them keep a thread spinning.",
        mend="Wait for the data inside the iterable and yield when there is some.",
    ),
    Rule(
        "BK301", WARNING, "wsgi.input was read without a size", STREAMS,
        why="A server need not simulate the end of the body: read() may then wait for bytes that never come.",
        mend='Read int(environ.get("CONTENT_LENGTH") or 0) bytes; see also wsgi.input_terminated.',
        in_validate=True,
    ),
    Rule(
        "BK302", WARNING, "wsgi.input was read past the end of the body", STREAMS,
        why="Past Content-Length there may be nothing for ever, or the client's next request.",
        mend="Count what was read, and stop at CONTENT_LENGTH.",
    ),
    Rule(
        "BK303", ERROR, "wsgi.input was closed", STREAMS,
        why="The stream is the server's: it may still have to read what the application left.",
        mend="Do not close it; a wrapper such as TextIOWrapper closes it too, so detach() that.",
        in_validate=True,
    ),
    Rule(
        "BK304", ERROR, "wsgi.errors was closed", STREAMS,
        why="It is the server's log, which later requests write to.",
        mend="Flush it instead.",
        in_validate=True,
    ),
    Rule(
        "BK305", ERROR, "wsgi.errors was given something that is not a str", STREAMS,
        why="It is a text stream.",
        mend="Decode bytes first, or write repr(value).",
        in_validate=True,
    ),
    Rule(
        "BK306", ERROR, "something else of wsgi.input or wsgi.errors was used", STREAMS,
        why="Only read, readline, readlines and iteration, and flush, write and writelines are promised.",
        mend="Copy the body into io.BytesIO or a temporary file when you need seek() or fileno().",
    ),
    Rule(
        "BK307", ERROR, "wsgi.input was used after the answer had ended", STREAMS,
        why="On a kept connection the bytes there are the next request's.",
        mend="Read the body before the answer ends, and hand on the bytes instead of the stream.",
    ),
    Rule(
        "BK308", ERROR, "wsgi.input was called with other arguments", STREAMS,
        why="Servers take at most one size, by position.",
        mend="Write read(n), readline() or readlines().",
        in_validate=True,
    ),
)  # fmt: skip
