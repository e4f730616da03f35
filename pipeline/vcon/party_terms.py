"""The normalised forms of a party's number, mail address and name, by which vCons are found again.

Two spellings of one number, address or name have the same form, and the form of a form is itself:

* tel: E.164, read as a number of the default region where it has no country code; with an extension
  `+12015550123;ext=12`. What is no number of a plan (short codes, internal numbers, sender names)
  keeps its digits, or its letters in lower case; a user of SIP with letters keeps the host, too.
* mailto: in lower case, the domain in its ASCII form.
* name: NFKC and casefolded, with single spaces. Accents stay: `Jose` is not `José`.

Control and format characters (such as the marks of direction that come with copied numbers) are
left out. The metadata of `phonenumbers` takes 45 ms to load, so it is imported at the first number;
workers never call this file.
"""

import re
import unicodedata
from collections.abc import Iterable
from email.utils import parseaddr
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote

type Field = Literal["tel", "mailto", "name"]

FIELDS: tuple[Field, ...] = ("tel", "mailto", "name")
LONGEST = 250
"""Characters of a form; what is longer is cut, on both sides of a comparison."""
_ROUNDS = 16
"""Repetitions until a form does not change any more, such as `tel:tel:...`."""
_SCHEME = re.compile(r"(?:tel|callto|sips?):(?://)?", re.IGNORECASE)
_EXTENSION = re.compile(r";ext=([0-9]+)$")
_HOST_END = re.compile(r"[;?>]")
_NAME = re.compile(r"(?!(?:x|ext|tel)[0-9])[^\W\d_]\d|\d[^\W\d_]")
"""Letters and digits of one word, such as a user's name."""
_DIALLED = re.compile(r"[^0-9*#+]")


def is_region(code: str) -> bool:
    """Whether it is the code of a country with a numbering plan; loads the metadata."""
    import phonenumbers  # noqa: PLC0415 -- see `_planned`

    return code in phonenumbers.SUPPORTED_REGIONS


def normal(field: Field, value: str, region: str) -> str:
    """The form of one value; "" if nothing is left of it. `region`: ISO code, such as `US`."""
    form = value
    for _ in range(_ROUNDS):
        following = _once(field, form, region)[:LONGEST]
        if following == form:
            break
        form = following
    return form


def terms(field: Field, value: str, region: str) -> list[str]:
    """The forms under which a value is kept: also without the extension, if a number has one.

    So a search for the number finds its extensions, and one for an extension only that.
    """
    form = normal(field, value, region)
    if not form:
        return []
    short = _EXTENSION.sub("", form) if field == "tel" else form
    return [form] if short == form else [form, short]


def split(term: str) -> tuple[Field, str] | None:
    """Field and value of a search term as Redis has them: `tel:...`; None for anything else."""
    name, _, value = term.partition(":")
    found = next((field for field in FIELDS if field == name), None)
    return (found, value) if found and value else None


def party_terms(values: Iterable[tuple[Field, str]], region: str) -> list[tuple[Field, str]]:
    """The terms of the parties of one vCon, each once."""
    found = ((field, term) for field, value in values for term in terms(field, value, region))
    return list(dict.fromkeys(found))


def _once(field: Field, value: str, region: str) -> str:
    text = _plain(value)
    if field == "tel":
        return _number(text, region)
    return _address(text) if field == "mailto" else text.casefold()


def _plain(value: str) -> str:
    """NFKC without control and format characters, with single spaces."""
    if value.isascii() and value.isprintable():  # nearly all: it is NFKC as it is
        return " ".join(value[: 8 * LONGEST].split())
    known = unicodedata.normalize("NFKC", value[: 8 * LONGEST])
    kept = (_kept(character) for character in known)
    return " ".join(unicodedata.normalize("NFKC", "".join(kept)).split())


def _kept(character: str) -> str:
    if character.isspace():
        return " "
    return "" if unicodedata.category(character) in ("Cc", "Cf", "Cs") else character


def _number(text: str, region: str) -> str:
    if "<" in text:  # "Ann" <sip:+12015550123@example.org>
        text = text.rpartition("<")[2].partition(">")[0] or text
    said = unquote(_SCHEME.sub("", text, count=1)).strip()
    user, at, host = said.partition("@")
    if at and any(each.isalpha() for each in user.partition(";")[0]):  # another's at another host
        return f"{user.casefold()}@{_domain(_HOST_END.split(host, 1)[0])}"
    return _planned(user, region) or _short(user)


@lru_cache(maxsize=4096)  # 10 us a number, and some are in very many vCons
def _planned(said: str, region: str) -> str | None:
    """E.164 for a number that can exist in a numbering plan; else None."""
    import phonenumbers  # noqa: PLC0415 -- 45 ms and 10 MB, only where numbers are compared

    if said.startswith("00"):  # the international prefix of most countries, also in others
        said = f"+{said[2:].lstrip('0')}"
    try:
        number = phonenumbers.parse(said, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    form = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{form};ext={number.extension}" if number.extension else form


def _short(said: str) -> str:
    """Digits as they are dialled, if there are any; else the letters, as of an SMS's sender."""
    if _NAME.search(said):
        return said.casefold()
    dialled = _DIALLED.sub("", said)
    return dialled if any(each.isdigit() for each in dialled) else said.casefold()


def _address(text: str) -> str:
    said = text[7:] if text[:7].lower() == "mailto:" else text
    said = unquote(said.partition("?")[0]).strip()
    if "<" in said:  # "Ann" <ann@example.org>
        said = parseaddr(said)[1] or said
    local, at, domain = said.rpartition("@")
    if not at:
        return said.lower()
    return f"{local.strip().lower()}@{_domain(domain)}"


def _domain(name: str) -> str:
    lowered = name.strip().rstrip(".").lower()
    try:
        return lowered.encode("idna").decode("ascii")
    except UnicodeError:  # no domain, or too long for one: compared as it is
        return lowered
