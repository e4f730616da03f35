"""New versions of vCons: their uuid, and what points to the version before."""

import hashlib
import uuid
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta, timezone

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.law.writing.versions import amended, content_hash, version_uuid
from tests.signed_vcons import NOW, UUID, plain

RUN = "0198f0a1-7000-7000-8000-0000000000aa"


def test_a_version_points_to_the_one_before():
    """By its uuid and the hash of its bytes."""
    prior = b"the signed bytes"
    found = amended(plain(subject="x"), "new", prior, NOW)
    digest = urlsafe_b64encode(hashlib.sha512(prior).digest()).rstrip(b"=").decode()
    assert found == {
        **plain(subject="x"),
        "uuid": "new",
        "amended": {"uuid": UUID, "content_hash": f"sha512-{digest}"},
        "updated_at": "2026-11-20T12:30:00.000Z",
    }


def test_references_of_the_version_before_stay_in_it():
    """A vCon has one of them."""
    document = plain(redacted={"uuid": "r", "type": "pii"}, appended={}, group=[], amended={"a": 1})
    found = amended(document, "new", b"", NOW)
    assert set(found) - set(plain()) == {"amended", "updated_at"}
    assert found["amended"]["uuid"] == UUID
    assert document["redacted"] == {"uuid": "r", "type": "pii"}


def test_time_is_in_utc():
    """With milliseconds."""
    there = datetime(2026, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert amended(plain(), "n", b"", there)["updated_at"] == "2025-12-31T23:30:00.000Z"


@settings(max_examples=50)
@given(st.uuids(), st.uuids(), st.uuids())
def test_a_uuid_is_that_of_run_and_version(prior, run, other):
    """Of version 8, the same at each attempt, and another for another run."""
    run, other = str(run), str(other)
    found = uuid.UUID(version_uuid(run, str(prior)))
    assert (found.version, found.variant) == (8, uuid.RFC_4122)
    assert str(found) == version_uuid(run, str(prior))
    assert (run == other) == (str(found) == version_uuid(other, str(prior)))


def test_a_uuid_keeps_the_time_that_it_has():
    """The first 48 bits of versions 7 and 8 are milliseconds; those of version 4 are not."""
    assert version_uuid(RUN, UUID)[:13] == UUID[:13]
    random = "11111111-2222-4333-8444-555555555555"
    assert version_uuid(RUN, random)[:13] != random[:13]


def test_hash_of_nothing():
    """A vector of SHA-512 in base64url."""
    assert content_hash(b"").startswith("sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg_SpIdNs6c5H0NE8")
