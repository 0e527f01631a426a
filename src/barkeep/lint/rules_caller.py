"""The codes BK401 to BK599: middleware between two lints, and whoever calls the application."""

from __future__ import annotations

from .rule import ADVICE, ERROR, WARNING, Rule

BOUNDARIES = "PEP 3333, Middleware Handling of Block Boundaries"
MIDDLEWARE = "PEP 3333, Middleware: Components that Play Both Sides"
VARIABLES = "PEP 3333, environ Variables"
SERVER_SIDE = "PEP 3333, The Server/Gateway Side"
STREAMS = "PEP 3333, Input and Error Streams"

CALLER_RULES = (
    Rule(
        "BK401", ERROR, "middleware held a chunk back while it waited for another", BOUNDARIES,
        why="What the application has given must go on at once: the next chunk may take minutes to come.",
        mend='Give one chunk for each one taken, b"" when there is nothing to send yet.',
    ),
    Rule(
        "BK402", ERROR, "middleware left exc_info out", "PEP 3333, Error Handling",
        why="The server cannot tell that the second head replaces the first, or that the answer must be cut.",
        mend="Take exc_info=None as third parameter of your start_response and hand it on.",
    ),
    Rule(
        "BK403", ERROR, "middleware lost what was written with write()", MIDDLEWARE,
        why="The application's body never reaches the client.",
        mend="Return a write callable from your start_response that hands the bytes on.",
    ),
    Rule(
        "BK501", ERROR, "the application was called with other arguments", SERVER_SIDE,
        why="Its parameters have no agreed names: exactly two values, by position.",
        mend="Write application(environ, start_response).",
        in_validate=True,
    ),
    Rule(
        "BK502", ERROR, "environ is not a built-in dict", VARIABLES,
        why="The application may change it in any way, and a subclass behaves otherwise.",
        mend="Give dict(environ).",
        in_validate=True,
    ),
    Rule(
        "BK503", ERROR, "a variable that must be in environ is missing", VARIABLES,
        why="Applications read it without asking whether it is there.",
        mend="Set it for every request.",
        in_validate=True,
    ),
    Rule(
        "BK504", ERROR, "a CGI variable is not a str", VARIABLES,
        why="Applications use string methods on it without asking.",
        mend="Convert it, or give the key a dot so that it is an extension of your own.",
        in_validate=True,
    ),
    Rule(
        "BK505", ERROR, "a CGI variable has characters beyond latin-1", "PEP 3333, Unicode Issues",
        why='Each character stands for one byte; applications call .encode("latin-1") to get the bytes back.',
        mend='Decode the bytes of the request with .decode("latin-1").',
    ),
    Rule(
        "BK506", ERROR, "environ has HTTP_CONTENT_TYPE or HTTP_CONTENT_LENGTH", VARIABLES,
        why="Both have names of their own, and two texts for one field can differ.",
        mend="Set CONTENT_TYPE and CONTENT_LENGTH only.",
        in_validate=True,
    ),
    Rule(
        "BK507", ERROR, "a wsgi. variable has the wrong type or value", VARIABLES,
        why="Applications rely on (1, 0) for wsgi.version, and on http or https for wsgi.url_scheme.",
        mend="Set it as PEP 3333 says.",
        in_validate=True,
    ),
    Rule(
        "BK508", ERROR, "SCRIPT_NAME or PATH_INFO is malformed", VARIABLES,
        why="Each is empty or begins with a slash; SCRIPT_NAME is never '/' alone, and one of both is there.",
        mend="Move whole segments from PATH_INFO to SCRIPT_NAME, with their slash in front.",
        in_validate=True,
    ),
    Rule(
        "BK509", ERROR, "CONTENT_LENGTH is not a number", VARIABLES,
        why="Applications convert it to know how much to read.",
        mend="Refuse the request; leave the variable out, or empty, when there is no body.",
        in_validate=True,
    ),
    Rule(
        "BK510", ERROR, "wsgi.input or wsgi.errors lacks a method", STREAMS,
        why="Applications call it without asking.",
        mend="Give all of read, readline, readlines, __iter__ and flush, write, writelines.",
        in_validate=True,
    ),
    Rule(
        "BK511", ERROR, "start_response gave no write callable", "PEP 3333, The write() Callable",
        why="Applications with an older interface write their body through it.",
        mend="Return what the server's start_response returned, or a callable that takes bytes.",
    ),
    Rule(
        "BK512", ERROR, "close() of the iterable was never called", SERVER_SIDE,
        why="Files, database connections and locks that the application holds for the answer stay with it.",
        mend="Call close() in a finally block, also when the client has gone or an error was raised.",
        in_validate=True,
    ),
    Rule(
        "BK513", WARNING, "close() of the iterable was called more than once", SERVER_SIDE,
        why="What it releases may belong to another request by then.",
        mend="Call it once, from one place.",
    ),
    Rule(
        "BK514", ERROR, "the iterable was used after close()", SERVER_SIDE,
        why="What it reads from is closed.",
        mend="Stop iterating before close() is called.",
        in_validate=True,
    ),
    Rule(
        "BK515", ERROR, "wsgi.input gave something else than bytes", STREAMS,
        why="The body of a request is bytes.",
        mend="Give bytes from read and readline, and a list of them from readlines.",
        in_validate=True,
    ),
    Rule(
        "BK516", ERROR, "start_response took exc_info after the head was out", "PEP 3333, Error Handling",
        why="The application believes that its error page is shown, and the client gets a mixture.",
        mend="Raise exc_info again when a chunk was sent before.",
    ),
    Rule(
        "BK517", ADVICE, "QUERY_STRING is not in environ", VARIABLES,
        why="It may be absent, but parsers of forms then look at sys.argv.",
        mend="Set it to an empty str.",
        in_validate=True,
    ),
    Rule(
        "BK518", ERROR, "REQUEST_METHOD is not a token", "RFC 9110, 9.1 Methods",
        why="Applications choose what to do by it.",
        mend="Refuse the request with 400.",
    ),
    Rule(
        "BK519", ERROR, "wsgi.file_wrapper cannot be called",
        "PEP 3333, Optional Platform-Specific File Handling",
        why="Applications call it with a file and a block size when it is there.",
        mend="Leave the key out, or give a callable.",
    ),
    Rule(
        "BK520", ERROR, "start_response cannot be called", SERVER_SIDE,
        why="The application has no other way to give its head.",
        mend="Give a callable of two or three positional arguments.",
    ),
)  # fmt: skip
