"""The attachments of a vCon that hold a basis, in any version of the draft, and their bodies.

A body is a JSON object, as a value or as text.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Never

import orjson

from pipeline.law.basis.profiles import PROFILES
from pipeline.law.basis.profiles.profile import Profile

MAX_CHARACTERS = 262_144
"""JSON text of all bodies with a basis in one vCon; a vCon with more is denied every purpose."""

_QUOTED = 2
"""How often JSON may stand in a JSON text: a body that two programs turned into text."""


_BASE64 = ("base64url", "base64")


class AmbiguousError(ValueError):
    """A JSON text with a name twice in one object: readers differ in which of the two counts."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise AmbiguousError("a name twice in one object")
    return found


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is no JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse)


def size_of(attachment: Mapping[str, Any]) -> int:
    """About how many characters of JSON the body is."""
    body = attachment.get("body")
    if isinstance(body, str):
        return len(body)
    try:
        return len(orjson.dumps(body))
    except TypeError:  # nested too deeply, or no JSON
        return MAX_CHARACTERS + 1


def members_of(attachment: Mapping[str, Any]) -> dict[str, Any] | None:
    """The object that the body is or says as text; None: it is no object.

    Raises:
        AmbiguousError: it can be read in two ways.
    """
    body = attachment.get("body")
    try:
        if isinstance(body, str) and attachment.get("encoding") in _BASE64:
            body = _decoded(body)
        for _ in range(_QUOTED):
            if isinstance(body, str):
                body = _DECODER.decode(body)
    except AmbiguousError:
        raise
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _decoded(body: str) -> str:
    try:
        url = body.replace("+", "-").replace("/", "_")
        return base64.urlsafe_b64decode(url + "=" * (-len(url) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("no text in base64url") from error


_BY_ATTACHMENT = {each.attachment: each for each in PROFILES.values()}


@dataclass(slots=True)
class BasisAttachment:
    """One of them. `place` is its path in the vCon."""

    members: Mapping[str, Any]
    place: str
    profile: Profile
    plainly_named: bool
    """False where `purpose` says that it is something else, or the name is spelt otherwise."""

    def body(self) -> dict[str, Any] | None:
        """Its body as an object; None: it is none.

        Raises:
            AmbiguousError: it can be read in two ways.
        """
        return members_of(self.members)


def with_basis(document: Mapping[str, Any]) -> Iterator[BasisAttachment]:
    """Them, in the order of the document.

    `purpose` names an attachment, and `type` did before; recorded vCons have both. Where they
    differ, an attachment is a basis if either says so, also in another spelling.
    """
    attachments = document.get("attachments")
    for index, entry in enumerate(attachments if isinstance(attachments, list) else ()):
        if not isinstance(entry, dict):
            continue
        purpose, older = entry.get("purpose"), entry.get("type")
        if profile := _profile(purpose) or _profile(older):
            told = older if purpose is None or purpose == "" else purpose
            plain = told == profile.attachment
            yield BasisAttachment(entry, f"attachments[{index}]", profile, plain)


def _profile(name: object) -> Profile | None:
    if not isinstance(name, str) or len(name) > _LONGEST:
        return None
    found = _BY_ATTACHMENT.get(name)
    return found or _BY_ATTACHMENT.get(re.sub(r"[\s-]", "_", name.strip()).lower())


_LONGEST = 40
"""Characters of a name that is compared with those of the profiles."""
