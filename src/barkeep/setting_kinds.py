"""The kinds of value settings take: counts, sizes in bytes, durations in seconds, choices, texts.

Reading is strict: what int() or float() would forgive ("1_000", " 8", "+8", "nan") is an error here.
Lists are in setting_lists.py.
"""

from __future__ import annotations

from .setting import Kind

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB

# Largest unit first: a size is shown in the largest one that divides it.
SIZE_UNITS = (("TiB", TIB), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB), ("B", 1))
# Seconds per unit. "ms" stands before "s", which it ends with.
DURATION_UNITS = (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0))

BUILT_IN_FORMATS = ("combined", "json")


def whole_number(low: int, high: int) -> Kind[int]:
    """A count from low to high, both allowed."""

    def read(found: object) -> int:
        number = _digits(found)
        _check_range(number, low, high)
        return number

    return Kind(f"a whole number from {low} to {high}", "N", read, str)


def size(low: int, high: int, metavar: str = "SIZE") -> Kind[int]:
    """A number of bytes: 65536, 64KiB, 1MiB or 1GiB."""

    def read(found: object) -> int:
        factor = 1
        if isinstance(found, str):
            for unit, unit_bytes in SIZE_UNITS:
                if found.lower().endswith(unit.lower()):
                    found, factor = found[: -len(unit)].rstrip(" "), unit_bytes
                    break
        size_bytes = _digits(found) * factor
        _check_range(size_bytes, low, high)
        return size_bytes

    allowed = f"a size such as 65536, 64KiB or 1MiB, from {show_size(low)} to {show_size(high)}"
    return Kind(allowed, metavar, read, show_size)


def duration(low_s: float, high_s: float) -> Kind[float]:
    """A time in seconds: 30, 0.5, 500ms, 30s, 2m or 1h."""

    def read(found: object) -> float:
        seconds_per_unit = 1.0
        if isinstance(found, str):
            for unit, unit_s in DURATION_UNITS:
                if found.endswith(unit):
                    found, seconds_per_unit = found[: -len(unit)].rstrip(" "), unit_s
                    break
        duration_s = _decimal(found) * seconds_per_unit
        _check_range(duration_s, low_s, high_s)
        return duration_s

    bounds = f"from {show_duration(low_s)} to {show_duration(high_s)}"
    allowed = f"a time in seconds, or such as 500ms, 30s or 2m, {bounds}"
    return Kind(allowed, "TIME", read, show_duration)


def switch() -> Kind[bool]:
    """On or off; the flag alone means on."""

    def read(found: object) -> bool:
        if isinstance(found, bool):
            return found
        if found in ("on", "off"):
            return found == "on"
        raise ValueError

    def show(value: bool) -> str:
        return "on" if value else "off"

    return Kind("on or off", "", read, show)


def count_or_auto(low: int, high: int) -> Kind[int | str]:
    """A count, or the word auto."""
    count = whole_number(low, high)

    def read(found: object) -> int | str:
        return "auto" if found == "auto" else count.read(found)

    return Kind(f"{count.allowed}, or auto", "N|auto", read, str)


def size_or_auto(low: int, high: int) -> Kind[int | str]:
    """A number of bytes, or one of the words auto and off."""
    amount = size(low, high)

    def read(found: object) -> int | str:
        return found if isinstance(found, str) and found in ("auto", "off") else amount.read(found)

    def show(value: int | str) -> str:
        return value if isinstance(value, str) else show_size(value)

    return Kind(f"{amount.allowed}, or auto, or off", "SIZE|auto|off", read, show)


def plain_text(what: str) -> Kind[str]:
    """A printable text without spaces around it; "" stands for none."""

    def read(found: object) -> str:
        text = str(found) if isinstance(found, int) and not isinstance(found, bool) else _text(found)
        if not text or not text.isprintable() or text != text.strip(" "):
            raise ValueError
        return text

    return Kind(what, "TEXT", read, str)


def choice(*words: str) -> Kind[str]:
    """One of a few words."""

    def read(found: object) -> str:
        if isinstance(found, str) and found in words:
            return found
        raise ValueError

    return Kind("one of " + ", ".join(words), "|".join(words), read, str)


def path(what: str) -> Kind[str]:
    """The path of a file or directory that need not exist yet; "" stands for none."""

    def read(found: object) -> str:
        text = _text(found)
        if not text or "\0" in text:
            raise ValueError
        return text

    return Kind(what, "PATH", read, str)


def log_file() -> Kind[str | None]:
    """A path, "-" for standard output, or "off" (None)."""

    def read(found: object) -> str | None:
        text = _text(found)
        if not text or "\0" in text:
            raise ValueError
        return None if text == "off" else text

    def show(value: str | None) -> str:
        return "off" if value is None else value

    return Kind('a file, "-" for standard output, or "off"', "FILE", read, show)


def log_format() -> Kind[str]:
    """combined, json, or a text with {named} fields; the engine holds the list of names."""

    def read(found: object) -> str:
        text = _text(found)
        if text in BUILT_IN_FORMATS:
            return text
        if "{" not in text or not text.isprintable():
            raise ValueError
        _check_format_fields(text)
        return text

    return Kind("combined, json, or a text with {named} fields", "FORMAT", read, str)


def url_prefix() -> Kind[str]:
    """SCRIPT_NAME of every request (PEP 3333): "" or a path with a leading and no trailing slash."""

    def read(found: object) -> str:
        text = _text(found)
        is_visible = text.isascii() and text.isprintable() and not any(mark in text for mark in " ?#")
        if text and not (text.startswith("/") and not text.endswith("/") and is_visible):
            raise ValueError
        return text

    return Kind('empty, or a path such as /shop with no "/" at its end', "PATH", read, str)


def field_value() -> Kind[str]:
    """A header field value: visible ASCII with single spaces or tabs inside only (RFC 9110 5.5)."""

    def read(found: object) -> str:
        text = _text(found)
        if not (text.isascii() and text.isprintable() and text == text.strip(" ")):
            raise ValueError
        return text

    return Kind("visible ASCII text, or empty for no such header", "TEXT", read, str)


def file_mode() -> Kind[int]:
    """Permission bits as octal text only: a TOML file's 440 would be decimal, and quietly mean 0670."""

    def read(found: object) -> int:
        digits = _text(found).removeprefix("0o")
        if not digits or any(digit not in "01234567" for digit in digits):
            raise ValueError
        mode = int(digits, 8)
        _check_range(mode, 0, 0o777)
        return mode

    return Kind('octal permissions in quotes, from "0000" to "0777"', "MODE", read, "{:04o}".format)


def optional_file_mode() -> Kind[int | None]:
    """As `file_mode`, for a setting that has none by default."""
    mode = file_mode()

    def show(value: int | None) -> str:
        return "" if value is None else mode.show(value)

    return Kind(mode.allowed, mode.metavar, mode.read, show)


def show_size(size_bytes: int) -> str:
    """A size in the largest unit that divides it, as 64KiB; plain bytes below that."""
    for unit, unit_bytes in SIZE_UNITS[:-1]:
        if size_bytes and size_bytes % unit_bytes == 0:
            return f"{size_bytes // unit_bytes}{unit}"
    return str(size_bytes)


def show_duration(duration_s: float) -> str:
    """A time as 30s, or 500ms below one second."""
    if 0 < duration_s < 1:
        return f"{duration_s * 1000:g}ms"
    # "g" writes a year as 3.1536e+07.
    return f"{int(duration_s)}s" if duration_s == int(duration_s) else f"{duration_s:g}s"


def _digits(found: object) -> int:
    if isinstance(found, str) and found.isascii() and found.isdigit() and len(found) <= 20:
        return int(found)
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    raise ValueError


def _decimal(found: object) -> float:
    if isinstance(found, str):
        whole, _point, fraction = found.partition(".")
        digits = whole + fraction
        if digits.isascii() and digits.isdigit():
            return float(found)
    if isinstance(found, (int, float)) and not isinstance(found, bool):
        return float(found)
    raise ValueError


def _check_range(number: float, low: float, high: float) -> None:
    # NaN compares false with everything, so it is refused here too.
    if not low <= number <= high:
        raise ValueError


def _text(found: object) -> str:
    if isinstance(found, str):
        return found
    raise ValueError


def _check_format_fields(text: str) -> None:
    """Raises ValueError that names the first field the engine does not know."""
    # Imported only for a format of the user's own: string and the engine cost more than a start may spend.
    import string

    from .setting import nearest_name

    try:
        from ._engine import ACCESS_LOG_FIELDS
    except ImportError:
        # A source tree without the built engine: the engine checks the format again when it opens the log.
        return
    names = list(ACCESS_LOG_FIELDS)
    for _literal, field, spec, conversion in string.Formatter().parse(text):
        if field is None:
            continue
        if spec or conversion:
            raise ValueError(f'field "{field}" takes no format of its own')
        if field not in names:
            listed = ", ".join(names)
            raise ValueError(f'there is no field "{field}".{nearest_name(field, names)} Fields: {listed}')
