"""The fingerprint of a failure: the same for each vCon, and bounded for each text."""

from __future__ import annotations

import string
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.observability.failure_cause import (
    LONGEST,
    UNKNOWN,
    FailureCause,
    cause_of,
    causes_of_run,
    normalised,
)

VALUES = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map("{:.6f}".format),
    st.uuids().map(str),
    st.uuids().map("urn:uuid:{}".format),
    st.ip_addresses().map(str),
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.integers(0, 2**63).map(hex),
    st.binary(min_size=4, max_size=32).map(bytes.hex),
    st.text(string.ascii_letters + " .,;-", min_size=1).map("'{}'".format),
    st.text(string.ascii_letters + " .,;-'", min_size=1).map('"{}"'.format),
    st.from_regex(r"[a-z][a-z0-9._+-]{0,20}@[a-z]{1,10}\.[a-z]{2,5}", fullmatch=True),
    st.text(string.ascii_lowercase, min_size=1).map("https://example.com/{}?q=1".format),
    st.text(string.ascii_lowercase, min_size=1).map("/var/tmp/{}".format),
)


def fingerprint(error: str, **changes: str) -> str:
    """That of an error in one link."""
    parts = {"kind": "link", "name": "tag", "config_hash": "h"} | changes
    return cause_of(error=error, **parts).fingerprint


@given(value=VALUES)
def test_no_value_is_left(value: str) -> None:
    """A value is replaced by one mark, wherever it stands, so that its kind alone counts."""
    mark = normalised(value)
    assert mark in {"<n>", "<uuid>", "<address>", "<text>", "<url>", "<path>"}
    told = f"cannot read {value} of the file"
    assert normalised(told) == f"cannot read {mark} of the file"
    assert normalised(f"refused ({value}).") == f"refused ({mark})."


@given(st.text(), st.text())
def test_every_text_has_a_bounded_cause(type_name: str, message: str) -> None:
    """Without digits and control characters, storable, the same at each call."""
    found = cause_of("storage", "s3", f"{type_name}: {message}", "h")
    assert found == cause_of("storage", "s3", f"{type_name}: {message}", "h")
    assert len(found.message) <= LONGEST
    assert len(found.type) <= LONGEST
    assert not any(each.isnumeric() for each in found.message)
    assert (found.message + found.type).isprintable()
    assert len(found.fingerprint) == 16 or found.fingerprint == UNKNOWN
    found.message.encode()


def test_what_makes_a_cause() -> None:
    """Step, type, message and configuration each make another one."""
    causes = {
        fingerprint("OSError: down"),
        fingerprint("OSError: away"),
        fingerprint("ValueError: down"),
        fingerprint("OSError: down", name="other"),
        fingerprint("OSError: down", kind="storage"),
        fingerprint("OSError: down", config_hash="another"),
    }
    assert len(causes) == 6
    assert fingerprint("OSError: port 5432 of 10.0.0.7") == fingerprint("OSError: port 1 of ::1")


def test_as_it_is_shown() -> None:
    """Type and message apart; an error without a type is all message."""
    shown = cause_of("link", "tag", "httpx.ReadTimeout: no answer of 'api' in 3.5 s", "h")
    assert shown == FailureCause(
        shown.fingerprint, "link tag", "httpx.ReadTimeout", "no answer of <text> in <n> s", "h"
    )
    assert cause_of(None, None, "can't be settled: 5", "").message == "can't be settled: <n>"
    assert cause_of(None, None, None, "h").fingerprint == UNKNOWN


@pytest.mark.parametrize(
    "hostile",
    ["<b>bold</b>", "\x1b[31m", "\ud800", "'" * 5000, "a" * 100_000, "\0", "[" * 5000, ":" * 5000],
)
def test_hostile_messages(hostile: str) -> None:
    """Control characters go; a long text is cut, whatever it holds."""
    found = cause_of("link", hostile, f"OSError: {hostile}", "h")
    assert len(found.message) <= LONGEST
    assert len(found.step) <= LONGEST
    (found.message + found.step).encode()
    assert "\x1b" not in found.message


def test_the_causes_of_a_run() -> None:
    """One for a failed link, one for each failed storage, none for a run that is done."""
    failed = {"name": "tag", "kind": "link", "outcome": "failed", "error": "OSError: no"}
    stored = [
        {"name": name, "kind": "storage", "outcome": outcome, "error": error}
        for name, outcome, error in (
            ("a", "failed", "OSError: full"),
            ("b", "ok", None),
            ("c", "failed", "OSError: full"),
        )
    ]
    run = {"status": "failed", "steps": [failed], "error": "OSError: no", "config_hash": "h"}
    assert list(causes_of_run(run)) == [
        (cause_of("link", "tag", "OSError: no", "h"), "OSError: no")
    ]
    partial = {"status": "partial", "steps": stored, "config_hash": "h"}
    assert [each.step for each, _ in causes_of_run(partial)] == ["storage a", "storage c"]
    assert list(causes_of_run({"status": "done", "steps": []})) == []
    for steps in (5, "x", [1], [{}], [{"outcome": "failed", "kind": 5, "name": {}}]):
        assert len(list(causes_of_run({"status": "failed", "steps": steps, "error": 5}))) == 1
    assert [each.type for each, _ in causes_of_run({"status": "failed", "error": "Lost"})] == [
        "Lost"
    ]


def test_a_uuid_of_letters() -> None:
    """Hexadecimal numbers need no digit to be known as such."""
    assert normalised(f"no {UUID(int=0xABCDEF)}") == "no <uuid>"
    assert normalised("no deadbeefdead") == "no <n>"
