"""The shapes of the working group's 17 examples, made here: each is classified, none raises.

The files themselves are not copied. 14 are plain, of which two have no uuid; one is signed with
names in two headers, one encrypted, and one is the signed form that the encrypted one holds.
"""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import InvalidError
from pipeline.ingest.entry import entry_of
from pipeline.law.reading.opening import opened
from tests.signed_vcons import NOW, UUID, plain, signed, signer, trust
from tests.unit.law.reading.test_decryption import OAEP, sealed

RECORDING = {
    "type": "recording",
    "start": "2022-06-21T17:53:26.000+00:00",
    "duration": 33.12,
    "parties": [0, 1],
    "mediatype": "audio/x-mp3",
    "filename": "call.mp3",
}
OUTSIDE = RECORDING | {"url": "https://files.example/call.mp3", "content_hash": "sha512-AAAA"}
INSIDE = RECORDING | {"body": "AAAA", "encoding": "base64url"}
ANALYSIS = {
    "type": "transcript",
    "dialog": 0,
    "vendor": "V",
    "encoding": "json",
    "body": [{"a": 1}],
}
MAIL = {"type": "text", "start": "2022-09-23T21:44:26Z", "parties": [0, [1, 2]], "body": "x"}
IMAGE = {"party": 0, "mediatype": "image/png", "body": "AAAA", "encoding": "base64url"}
OTHER = "0199e054-ed10-8035-b9a2-279e0d16bc46"
TWO = [{"tel": "+15550100", "name": "Alice"}, {"tel": "+15550101", "name": "Bob"}]


def shape(**changes: Any) -> dict[str, Any]:
    """A vCon of two parties without `vcon` and `created_at`."""
    return {"uuid": UUID, "parties": TWO, **changes}


PLAIN: dict[str, dict[str, Any]] = {
    "parties": {"parties": TWO},
    "recording outside": shape(dialog=[OUTSIDE]),
    "amended": shape(dialog=[OUTSIDE], amended={"uuid": OTHER}, analysis=[ANALYSIS]),
    "analysis": shape(dialog=[OUTSIDE], analysis=[ANALYSIS], created_at="2022-06-21T17:53:26Z"),
    "verified": shape(dialog=[OUTSIDE], subject="verified"),
    "redacted": shape(dialog=[OUTSIDE], redacted={"uuid": OTHER, "type": "PII"}, vcon="0.4.0"),
    "to be redacted": shape(dialog=[OUTSIDE], analysis=[ANALYSIS, ANALYSIS]),
    "recording inside": shape(dialog=[INSIDE]),
    "mail thread": shape(dialog=[MAIL, MAIL], parties=[*TWO, {"mailto": "c@example.org"}]),
    "follow-up": shape(dialog=[MAIL], parties=[*TWO, {"mailto": "c@example.org"}]),
    "reply": shape(dialog=[MAIL, MAIL, MAIL], parties=[*TWO, {}]),
    "text thread": shape(dialog=[MAIL | {"parties": [0, 1]}], attachments=[]),
    "image": shape(dialog=[RECORDING], attachments=[IMAGE]),
    "simple": {"parties": TWO, "dialog": [MAIL | {"parties": 0}], "created_at": "2023-01-18"},
}


def sealed_shape() -> dict[str, Any]:
    """With `enc` in three places."""
    one = sealed(signed(None, "wg"))
    one["unprotected"]["enc"] = OAEP["enc"]
    one["recipients"][0]["header"] = {"enc": OAEP["enc"]}
    return one


SHAPES = PLAIN | {
    "signed": signed(None, "wg"),
    "encrypted": sealed_shape(),
    "decrypted": signed(None, "wg"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_each_is_classified(name: str) -> None:
    """By its form; what is signed is verified."""
    found = opened(SHAPES[name], trust(), [signer().as_law_key()], NOW)
    form = "unsigned" if name in PLAIN else "encrypted" if name == "encrypted" else "signed"
    assert (found.form, found.verified) == (form, form != "unsigned")
    assert found.document == (PLAIN[name] if name in PLAIN else plain())


@pytest.mark.parametrize("name", PLAIN)
def test_each_plain_one_comes_in_unless_it_has_no_uuid(name: str) -> None:
    """`vcon` and `created_at` are optional."""
    if "uuid" in PLAIN[name]:
        assert entry_of(PLAIN[name], 8_000_000).vcon_uuid == UUID
    else:
        with pytest.raises(InvalidError, match="a UUID is needed"):
            entry_of(PLAIN[name], 8_000_000)


def test_there_are_17() -> None:
    """As many as the working group has."""
    assert len(SHAPES) == 17
