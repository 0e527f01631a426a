"""The codes BK101 to BK199: start_response, the status and the header fields."""

from __future__ import annotations

from .rule import ADVICE, ERROR, WARNING, Rule

START_RESPONSE = "PEP 3333, The start_response() Callable"
APPLICATION_SIDE = "PEP 3333, The Application/Framework Side"
ERROR_HANDLING = "PEP 3333, Error Handling"
UNICODE = "PEP 3333, Unicode Issues"
OTHER_HTTP = "PEP 3333, Other HTTP Features"
LENGTH = "PEP 3333, Handling the Content-Length Header"

HEAD_RULES = (
    Rule(
        "BK101", ERROR, "start_response was never called", APPLICATION_SIDE,
        why="The server has no status to send, so the client gets an error of the server's own.",
        mend="Call start_response(status, headers) once on every path, before the first chunk.",
        in_validate=True,
    ),
    Rule(
        "BK102", ERROR, "start_response was called after the first chunk", START_RESPONSE,
        why="The head goes out before the body, so it must be known when the first chunk comes, even an "
        "empty one.",
        mend="In a generator, call start_response before the first yield.",
        in_validate=True,
    ),
    Rule(
        "BK103", ERROR, "start_response was called a second time without exc_info", START_RESPONSE,
        why="Only an error may replace the head; anything else is a fault of the application, and fatal.",
        mend="Call it once, or give exc_info=sys.exc_info() when the second head tells of an error.",
    ),
    Rule(
        "BK104", ERROR, "the status is not a str", "PEP 3333, A Note On String Types",
        why="Status and fields are native strings; a subclass or bytes fails on the next server.",
        mend='Give exactly a str, such as "200 OK"; convert lazy or marked-up strings with str().',
        in_validate=True,
    ),
    Rule(
        "BK105", ERROR, "the status is not three digits, a space and a reason", START_RESPONSE,
        why="It is sent as the status line, and must not have control characters or white space around it.",
        mend='Write the status as in "404 Not Found".',
        in_validate=True,
    ),
    Rule(
        "BK106", ERROR, "the status is no final status", "RFC 9110, 15 Status Codes",
        why="A 1xx status is only an interim answer, which is the server's to give; above 599 there is none.",
        mend="Answer with a status from 200 to 599.",
        in_validate=True,
    ),
    Rule(
        "BK107", ERROR, "the header fields are not a list", START_RESPONSE,
        why="The server may change the list, so it must be a list and not a tuple, a dict or a subclass.",
        mend='Give a list of pairs: [("Content-Type", "text/plain")].',
        in_validate=True,
    ),
    Rule(
        "BK108", ERROR, "a header field is not a pair", START_RESPONSE,
        why="Servers and middleware unpack each field as (name, value), and compare its type.",
        mend="Give each field as a tuple of two strings.",
        in_validate=True,
    ),
    Rule(
        "BK109", ERROR, "a header name or value is not a str", "PEP 3333, A Note On String Types",
        why="Numbers, bytes and subclasses of str work on one server and fail on the next.",
        mend='Convert it: ("Content-Length", str(size)).',
        in_validate=True,
    ),
    Rule(
        "BK110", ERROR, "a header name is not a token", START_RESPONSE,
        why="A name with a colon, a space or a line end makes another field of what follows.",
        mend="Use letters, digits and hyphens only.",
        in_validate=True,
    ),
    Rule(
        "BK111", WARNING, "a header name is unusual", START_RESPONSE,
        why="Names with more than letters, digits, hyphens and underscores, or with one of those at an end, "
        "are dropped by CGI gateways and proxies.",
        mend="Begin with a letter and end with a letter or a digit.",
        in_validate=True,
    ),
    Rule(
        "BK112", ERROR, "a header value has a control character", START_RESPONSE,
        why="A line end in a value lets whoever chose it write fields or a whole answer of their own.",
        mend="Refuse or escape control characters in what you put into fields.",
        in_validate=True,
    ),
    Rule(
        "BK113", WARNING, "a header value has white space at its ends", "RFC 9110, 5.5 Field Values",
        why="White space around a value is not part of it: what the client reads is another text.",
        mend="Strip the value.",
    ),
    Rule(
        "BK114", ERROR, "the status or a header field has characters beyond latin-1", UNICODE,
        why="Each character stands for one byte on the wire, so there is none for those above U+00FF.",
        mend="Encode it as the field's definition says, such as filename*=UTF-8''... (RFC 8187).",
    ),
    Rule(
        "BK115", ERROR, "a hop-by-hop header field was given", OTHER_HTTP,
        why="Connection, Transfer-Encoding and the like are about one connection, which is the server's.",
        mend="Leave the field out; the server frames the body and decides about the connection.",
    ),
    Rule(
        "BK116", ERROR, "a Status header field was given", START_RESPONSE,
        why="Under CGI it would replace the status that start_response was given.",
        mend="Give the status as the first argument of start_response.",
        in_validate=True,
    ),
    Rule(
        "BK117", WARNING, "an answer has no Content-Type", "RFC 9110, 8.3 Content-Type",
        why="The client guesses what the body is, and may take a text for a program.",
        mend='Add ("Content-Type", "...") to every answer but 204 and 304.',
        in_validate=True,
    ),
    Rule(
        "BK118", WARNING, "an answer without a body has a Content-Type", "RFC 9110, 15.3.5 and 15.4.5",
        why="204 and 304 have no content, and the field of a 304 replaces that of what the client has kept.",
        mend="Leave the field out of 204 and 304.",
        in_validate=True,
    ),
    Rule(
        "BK119", ERROR, "Content-Length is not one number", LENGTH,
        why="Two lengths, or one that is no number, let client and proxy disagree where the answer ends.",
        mend="Give it once, as str(len(body)), or not at all.",
    ),
    Rule(
        "BK120", WARNING, "a header field that may be there once is repeated", "RFC 9110, 5.3 Field Order",
        why="One client takes the first and the next takes the last.",
        mend="Set the field instead of adding another; only list fields and Set-Cookie may be repeated.",
    ),
    Rule(
        "BK121", ERROR, "exc_info is not what sys.exc_info() gives", ERROR_HANDLING,
        why="The server raises it again when the head is out, and needs type, error and traceback.",
        mend="Give sys.exc_info() from within the except block.",
        in_validate=True,
    ),
    Rule(
        "BK122", ERROR, "start_response was called with other arguments", START_RESPONSE,
        why="The parameters have no agreed names: two or three values, by position, are all that any server "
        "takes.",
        mend="Write start_response(status, headers) or start_response(status, headers, exc_info).",
        in_validate=True,
    ),
    Rule(
        "BK123", WARNING, "the header list was changed after start_response", START_RESPONSE,
        why="The list is the server's from then on: whether it sees the change depends on the server.",
        mend="Make the list complete before the call.",
    ),
    Rule(
        "BK124", ERROR, "the error that start_response raised was swallowed", ERROR_HANDLING,
        why="It is raised to end an answer whose head is out; going on sends a body that looks complete.",
        mend="Do not catch what start_response raises when it was given exc_info.",
    ),
    Rule(
        "BK125", ERROR, "start_response was called after the answer had ended", START_RESPONSE,
        why="The exchange is over, and on a kept connection the next request's answer may be hit.",
        mend="Call it while the application runs or its iterable is iterated over; not from close(), a timer "
        "or another thread.",
    ),
    Rule(
        "BK126", WARNING, "a field that the status needs is missing", "RFC 9110, 15 Status Codes",
        why="401 needs WWW-Authenticate, 405 Allow, 206 and 416 Content-Range, 426 Upgrade, and a "
        "redirection Location; without it the client cannot go on.",
        mend="Add the field.",
    ),
    Rule(
        "BK127", ADVICE, "Date or Server was given by the application", OTHER_HTTP,
        why="The server adds them, with the time at which the answer was sent. An answer with Via is another "
        "server's, passed on: it keeps them (RFC 9110 6.6.1).",
        mend="Leave them to the server.",
    ),
    Rule(
        "BK128", ERROR, "Content-Length was given with 204", "RFC 9110, 8.6 Content-Length",
        why="A 204 ends with its head: a client that believes the length waits for ever.",
        mend="Leave the field out of a 204.",
    ),
)  # fmt: skip
