"""Texts that are numbers or dates to a reader, written as no number or date is read, and how to mend them."""

import re
import unicodedata
from collections.abc import Sequence

from clearprop.data.inference import parse_number
from clearprop.data.printable import quoted

_DAY = re.compile(r"[0-9]{1,2}([/-])[0-9]{1,2}\1([0-9]{4}|[0-9]{2})")
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_NAMED_DAY = re.compile(rf"[0-9]{{1,2}}[ -]{_MONTH}[ -][0-9]{{2,4}}|{_MONTH} [0-9]{{1,2}},? [0-9]{{4}}", re.IGNORECASE)
_MARKED = re.compile(r"([+-]?)(\D{0,2}?)\s?([+-]?[0-9.,]+)\s?([^\s0-9.,]{0,4})")


def remedy(texts: Sequence[str]) -> str:
    """Return what to change so that all of these are read as numbers or dates; nothing if they are neither."""
    if texts and any(all(form.fullmatch(text) for text in texts) for form in (_DAY, _NAMED_DAY)):
        return f"; write dates such as {quoted(texts[0])} as year-month-day"
    marks = {_mark(text) for text in texts}
    if len(marks) == 1 and None not in marks and marks != {""}:
        return f"; write values such as {quoted(texts[0])} without {quoted(str(marks.pop()))} to have numbers"
    return ""


def _mark(text: str) -> str | None:
    """Return the currency sign before a number, or the unit behind it; None if it is no such text."""
    match = _MARKED.fullmatch(text.strip())
    if match is None:
        return None
    sign, before, number, behind = match.groups()
    numeric = any(parse_number(sign + number, mark) is not None for mark in (".", ","))
    if not numeric or (before and behind) or not all(unicodedata.category(letter) == "Sc" for letter in before):
        return None
    return before + behind
