"""Texts that are kept for good, such as reasons in the audit, and therefore may name no person.

An erasure cannot remove them: the audit is append-only. What looks like a number or a mail address
is refused when it is entered, and so is the value by which the same request finds a person. Names
of other persons are not recognised.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from pydantic import AfterValidator

MOST_SURE, LEAST_SURE = 9, 7
"""Digits from which on a number is taken for one of a telephone: alone, and after + or 00."""
_SHORTEST: Final = 3
"""Letters of the shortest word of a name that is looked for."""
_ADDRESS = re.compile(r"[^\s@<>]@[^\s@<>]")
_D, _M = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])"
_ISO: Final = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_DATE: Final = rf"{_D}\.{_M}\.(?:\d{{4}}|\d\d)|{_D}/{_D}/\d{{4}}"
_BEFORE, _AFTER = r"(?<![\d./+-])", r"(?![./-]?\d)"
_OCTET: Final = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_HARMLESS = re.compile(
    r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"  # a uuid
    rf"|{_BEFORE}{_ISO}(?:/{_ISO})?{_AFTER}"  # a date, or from one to another
    rf"|{_BEFORE}(?:{_D}\.(?:{_M}\.)? ?- ?)?(?:{_DATE})(?: ?- ?(?:{_DATE}))?{_AFTER}"
    r"|(?<!\d)\d\d:\d\d(?::\d\d)?(?!\d)"  # a time of day
    rf"|(?<![\d.+])(?<!00\.){_OCTET}(?:\.{_OCTET}){{3}}(?![\d.])",  # an address of a machine
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![^\W_])(?<![^\W_][-_#/])(?P<far>\+|00)?\(?\d(?:[\s().\-/]{0,3}\d)*")
"""Not digits that are joined to letters, such as those of a ticket."""
_BETWEEN = re.compile(r"(?<=\d)[\s().\-/]+(?=\d)")
_INSTEAD: Final = "it is kept for good: write a reference of your own system, such as REQ-4711"


def objection(text: str) -> str | None:
    """Why a text cannot be kept: it looks as if it had a number or an address; None if not."""
    known = unicodedata.normalize("NFKC", text)
    known = re.sub("[\u2010-\u2015\u2212]", "-", known)
    if _ADDRESS.search(known):
        return f"has what looks like a mail address; {_INSTEAD}"
    for found in _NUMBER.finditer(_HARMLESS.sub("-", known)):
        digits = sum(map(str.isdigit, found[0]))
        if digits >= (LEAST_SURE if found["far"] else MOST_SURE):
            return f"has what looks like a telephone number; {_INSTEAD}"
    return None


def names(text: str, person: Iterable[tuple[str, str]]) -> str | None:
    """Why a text cannot be kept: it repeats a value by which a person is found; None if not.

    `person`: fields of a party as vCons call them, each with its value.
    """
    for field, value in person:
        if any(_has(text, each) for each in _parts(field, value)):
            return f"repeats the {_CALLED.get(field, field)} of the person; {_INSTEAD}"
    return None


_CALLED: Final = {"tel": "number", "mailto": "mail address"}


def _parts(field: str, value: str) -> Sequence[str]:
    if field == "name":
        return [each for each in re.findall(r"[^\W\d_]+", value) if len(each) >= _SHORTEST]
    if field == "tel":
        return [value, "".join(filter(str.isdigit, value))]
    return [value, value.removeprefix("mailto:").partition("@")[0]]


def _has(text: str, part: str) -> bool:
    """Whether the text has it as a word, in any case and with any separators of digits."""
    whole, sought = _folded(text), _folded(part)
    at = whole.find(sought) if len(part) >= _SHORTEST else -1
    while at >= 0:
        around = whole[at - 1 : at] + whole[at + len(sought) :][:1]
        if not any(each.isalnum() or each == "_" for each in around):
            return True
        at = whole.find(sought, at + 1)
    return False


def _folded(text: str) -> str:
    return _BETWEEN.sub("", unicodedata.normalize("NFKC", text)).casefold()


def _impersonal(text: str) -> str:
    if problem := objection(text):
        raise ValueError(problem)
    return text


IMPERSONAL = AfterValidator(_impersonal)
"""Refuses a text that looks as if it had a number or an address of a person."""
