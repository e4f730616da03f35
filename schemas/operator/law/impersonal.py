"""Texts that are kept for good, such as reasons in the audit, and therefore may name no person.

An erasure cannot remove them: the audit is append-only. What looks like a number or a mail address
is refused when it is entered, and so is the value by which the same request finds a person. Not
recognised are names of other persons, and digits joined to ASCII letters, as in INC0012345678.
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
_ADDRESS = re.compile(
    r"[^\s@<>](?:@| @ |%40)[^\s@<>]"
    r"|\b(?:mailto|sips?|xmpp|did):[^\s]"
    r"|[\w\-]\s?[(\[{<]\s?at\s?[)\]}>]\s?\w"
    r"|\w at [\w\-]+ (?:dot|punkt) \w",
    re.IGNORECASE,
)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b", re.IGNORECASE)
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
_SEPARATORS: Final = r"[\s().\-/]{0,3}|\s?[^\w\s@#,;:]\s?|[,;:_]"
_CALLED_UP: Final = r"(?:tele)?(?:phone|fon|fax)|tel|mobile?|cell|handy|call|sms|whatsapp"
_NUMBER = re.compile(
    rf"(?:(?<![A-Z0-9])(?<![A-Z0-9][-_#/])|(?P<called>\b(?:{_CALLED_UP})\W{{0,3}}))"
    rf"(?P<far>\+|00)?\(?\d(?:(?:{_SEPARATORS})\d)*",
    re.IGNORECASE | re.ASCII,
)
"""Not digits that are joined to letters, such as those of a ticket."""
_BETWEEN = re.compile(rf"(?<=\d)(?:{_SEPARATORS})(?=\d)")
_INSTEAD: Final = "it is kept for good: write a reference of your own system, such as REQ-4711"


def objection(text: str) -> str | None:
    """Why a text cannot be kept: it looks as if it had a number or an address; None if not."""
    known = _plain(text)
    if _ADDRESS.search(known):
        return f"has what looks like a mail address; {_INSTEAD}"
    if any(_is_iban(each) for each in _IBAN.findall(known)):
        return f"has what looks like an account number; {_INSTEAD}"
    for found in _NUMBER.finditer(_HARMLESS.sub("-", known)):
        digits = sum(map(str.isdigit, found[0]))
        if digits >= (LEAST_SURE if found["far"] or found["called"] else MOST_SURE):
            return f"has what looks like a telephone number; {_INSTEAD}"
    return None


def _plain(text: str) -> str:
    """The text without marks that have no width, and with ASCII's digits and hyphens only."""
    return "".join(map(_plain_character, unicodedata.normalize("NFKC", text)))


def _plain_character(character: str) -> str:
    if character.isascii():
        return character
    kind = unicodedata.category(character)
    if kind in _UNSEEN:
        return ""
    if kind == "Pd" or character in _HYPHENS:
        return "-"
    number = unicodedata.numeric(character, -1)
    return str(int(number)) if number in range(10) else character


_UNSEEN: Final = {"Cf", "Mn", "Me"}
"""Categories of marks without a width: joiners, soft hyphens, directions, variants, keycaps."""
_HYPHENS: Final = "\u2043\u2212"
_ONE_OF_97: Final = 97


def _is_iban(text: str) -> bool:
    """Whether the check digits of ISO 13616 are right."""
    moved = text[4:] + text[:4]
    return int("".join(str(int(each, 36)) for each in moved)) % _ONE_OF_97 == 1


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
    return _BETWEEN.sub("", _plain(text)).casefold()


def _impersonal(text: str) -> str:
    if problem := objection(text):
        raise ValueError(problem)
    return text


IMPERSONAL = AfterValidator(_impersonal)
"""Refuses a text that looks as if it had a number or an address of a person."""
