"""Text from a file, made safe to show: a terminal never sees a control code that came with the data."""

import unicodedata

_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"})


def printable(text: object, limit: int = 80) -> str:
    r"""Return `text` with every control, format and unassigned character written as an escape.

    ESC becomes the four characters ``\x1b``, a line break ``\x0a``, a right-to-left override ``\u202e``; ordinary
    text of any language is left alone. A text of more than `limit` characters is cut and ends in ``…``. The result
    holds no character of the Unicode categories Cc, Cf, Cs, Cn, Co, Zl and Zp, so it can be written to a terminal,
    to a log or into an error message.
    """
    whole = str(text)
    shown = "".join(_escape(character) for character in whole[:limit])
    return shown + "…" if len(whole) > limit else shown


def quoted(text: object, limit: int = 60) -> str:
    """Return `printable(text)` between single quotes, as messages quote names and values."""
    return f"'{printable(text, limit)}'"


def listed(texts: list[str] | tuple[str, ...], limit: int = 12) -> str:
    """Return the quoted `texts` separated by commas, at most `limit` of them."""
    shown = ", ".join(quoted(text) for text in texts[:limit])
    return f"{shown} and {len(texts) - limit} more" if len(texts) > limit else shown


def _escape(character: str) -> str:
    if unicodedata.category(character) not in _UNSAFE:
        return character
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
