"""A library that is not there is told with the extra that brings it."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from barkeep.errors import SettingError
from barkeep.middleware.basic_auth import BasicAuth
from barkeep.middleware.bearer_auth import BearerAuth
from barkeep.middleware.proxy import Proxy
from barkeep.middleware.rate_limit import RateLimit

BEARER = {"keys": "k.json", "algorithms": "RS256", "audience": "a", "issuer": "i"}


@pytest.mark.parametrize(
    ("missing", "extra", "kind", "settings"),
    [
        ("limits", "ratelimit", RateLimit, {"limit": "1/minute"}),
        ("redis", "ratelimit", RateLimit, {"limit": "1/minute", "store": "redis://127.0.0.1"}),
        ("urllib3", "proxy", Proxy, {"mounts": "/=http://127.0.0.1"}),
        ("jwt", "auth", BearerAuth, BEARER),
        ("cryptography", "auth", BearerAuth, BEARER),
    ],
)
def test_a_missing_library_names_its_extra(
    missing: str, extra: str, kind: Any, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    expected = rf"needs the library {missing}\. Install it with: pip install 'barkeep\[{extra}\]'"
    with pytest.raises(SettingError, match=expected):
        kind(**settings)


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        ("bcrypt", "ada:$2b$04$" + "a" * 53),
        ("argon2", "ada:$argon2id$v=19$m=64,t=1,p=1$YWFhYWFhYWE$YWFhYWFhYWE"),
    ],
)
def test_a_file_asks_only_for_the_libraries_of_its_hashes(
    missing: str, line: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "users"
    file.write_text(line)
    assert BasicAuth(str(file))
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SettingError, match=f"BasicAuth with {missing} needs the library {missing}"):
        BasicAuth(str(file))
