"""`lib.dialog_body`, which links of vcon-server use for recordings inside a vCon."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from lib.dialog_body import decode_inline_dialog_body

CONTENT = bytes(range(250, 256)) * 3 + b"\0"
TEXT = base64.b64encode(CONTENT).decode()
SAFE = base64.urlsafe_b64encode(CONTENT).decode().rstrip("=")


@pytest.mark.parametrize(
    "dialog",
    [
        {"body": SAFE, "encoding": "base64url"},
        {"body": SAFE + "==", "encoding": "base64url"},
        {"body": TEXT, "encoding": "base64"},
        {"body": TEXT},
        {"body": f"{TEXT[:8]}\r\n{TEXT[8:]}\n", "encoding": None},
    ],
)
def test_a_body_is_decoded_as_its_encoding_says(dialog: dict[str, Any]) -> None:
    """With and without padding, and in lines."""
    assert decode_inline_dialog_body(dialog) == CONTENT


@pytest.mark.parametrize(
    "dialog",
    [
        {"body": "a text", "encoding": "none"},
        {"body": TEXT, "encoding": "hex"},
        {"body": "a?b=", "encoding": "base64url"},
        {"body": "AAAAA", "encoding": "base64"},
        {"body": {"a": 1}, "encoding": "base64url"},
        {"body": None},
    ],
)
def test_what_is_no_recording_is_refused(dialog: dict[str, Any]) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match="the dialog's body is"):
        decode_inline_dialog_body(dialog)


def test_a_dialog_without_a_body() -> None:
    """It is told apart from one whose body is wrong."""
    with pytest.raises(KeyError, match="body"):
        decode_inline_dialog_body({"url": "https://example.com/a.wav"})
