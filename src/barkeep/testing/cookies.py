"""A browser's cookies, kept by the standard library's jar: domain, path, expiry and Secure count."""

from __future__ import annotations

from email.message import Message
from http.cookiejar import Cookie, CookieJar
from urllib.request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Cookies:
    """The cookies of one client, by name; several paths may have one of the same name."""

    def __init__(self) -> None:
        self._jar = CookieJar()

    def __getitem__(self, name: str) -> str:
        """The value of a cookie. Raises KeyError when there is none."""
        for cookie in self._jar:
            if cookie.name == name:
                return cookie.value or ""
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(cookie.name == name for cookie in self._jar)

    def __iter__(self) -> Iterator[str]:
        return iter([cookie.name for cookie in self._jar])

    def __len__(self) -> int:
        return len(self._jar)

    def set(self, url: str, name: str, value: str, *, path: str = "/") -> None:
        """Keep a cookie as if the server at this URL had set it."""
        self.take(url, [f"{name}={value}; Path={path}"])

    def clear(self) -> None:
        """Forget all."""
        self._jar.clear()

    def get_all(self) -> list[Cookie]:
        """All with their attributes."""
        return list(self._jar)

    def take(self, url: str, set_cookie_values: Iterable[str]) -> None:
        """Keep what an answer's Set-Cookie fields say."""
        self._jar.extract_cookies(_Answer(set_cookie_values), Request(url))  # type: ignore[arg-type]  # noqa: S310

    def field_for(self, url: str) -> str | None:
        """The Cookie field of a request to this URL."""
        request = Request(url)  # noqa: S310 - nothing is opened
        self._jar.add_cookie_header(request)
        return request.get_header("Cookie")


class _Answer:
    """As much of an answer as a CookieJar asks for."""

    def __init__(self, set_cookie_values: Iterable[str]) -> None:
        self._message = Message()
        for value in set_cookie_values:
            self._message["Set-Cookie"] = value

    def info(self) -> Message:
        return self._message
