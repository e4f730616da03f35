"""The link that makes vCons smaller, with a real S3 and a media server that keeps its rules."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from lib.recordings.media import media
from lib.web.http_retry import VendorError
from pipeline.runs.vcon_store import VconStore
from tests.integration.links.vendor_links_scene import (
    MISSING,
    after,
    now,
    problem,
)
from tests.integration.support.http_stand_in import StandIn
from tests.integration.support.vendors import media_server
from tests.integration.support.vendors_scene import BUCKET, INLINE, QUICK, S3_KEYS, transcribed
from tests.plugins.scene import Later, canonical

diet, s3_client = Later("links.diet"), Later("lib.s3_client")
BODIES = {"remove_dialog_body": True, **QUICK}
pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture(scope="module")
def access(s3_url: str) -> Iterator[dict[str, Any]]:
    """Options for S3; the tests share its clients, since one takes half a second."""
    yield {**BODIES, **S3_KEYS, "s3_bucket": BUCKET, "endpoint_url": s3_url}
    s3_client.close()


@pytest.fixture
def server(vendors: StandIn) -> dict[str, Any]:
    """Options for a media server that keeps its rules."""
    vendors.checks[media_server.PATH] = media_server.check
    vendors.replies[media_server.PATH] = media_server.answer
    return {**BODIES, "post_media_to_url": vendors.base + media_server.PATH}


def recorded(*ids: Any) -> dict[str, Any]:
    """A vCon with a recording for each of these dialogs' ids."""
    document = canonical(INLINE)
    [dialog] = document["dialog"]
    document["dialog"] = [{**dialog, "id": each} if each else dict(dialog) for each in ids]
    return document


def objects(bucket: Any) -> dict[str, str]:
    """What is in the bucket."""
    return {each.key: each.get()["Body"].read().decode() for each in bucket.objects.all()}


async def test_bodies_go_to_s3_and_their_urls_are_stored(
    store: VconStore, access: dict[str, Any], bucket: Any
) -> None:
    """Under vcon-server's keys, as text; the dialog has the rest of its members."""
    document = recorded("first", None)
    found = await after(diet, store, document, {**access, "s3_path": "/a/b/"})
    kept, uuid = objects(bucket), document["uuid"]
    assert sorted(kept.values()) == [each["body"] for each in document["dialog"]]
    assert len([key for key in kept if key.startswith(f"a/b/{uuid}/first_")]) == 1
    assert all(key.startswith(f"a/b/{uuid}/") and key.endswith(".txt") for key in kept)
    for before, dialog in zip(document["dialog"], found["dialog"], strict=True):
        url = urlsplit(dialog["body"])
        assert parse_qs(url.query)["X-Amz-Expires"] == ["3600"]
        assert kept[url.path.removeprefix(f"/{BUCKET}/")] == before["body"]
        assert dialog == {**before, "body": dialog["body"], "body_type": "url"}
    assert S3_KEYS["aws_secret_access_key"] not in json.dumps(found)


@pytest.mark.parametrize("seconds", ["1", 604_800])
async def test_a_url_can_be_read_for_as_long_as_the_option_says(
    store: VconStore, access: dict[str, Any], bucket: Any, seconds: Any
) -> None:
    """From a second to seven days."""
    options = {**access, "presigned_url_expiration": seconds}
    found = await after(diet, store, recorded(None), options)
    assert f"X-Amz-Expires={seconds}&" in found["dialog"][0]["body"]


@pytest.mark.usefixtures("vendors")
async def test_the_other_links_read_a_body_that_was_moved(
    store: VconStore, access: dict[str, Any], bucket: Any
) -> None:
    """From its URL, and its hash is checked."""
    document = recorded(None)
    found = await after(diet, store, document, access)
    [dialog], [before] = found["dialog"], document["dialog"]
    assert dialog["content_hash"]
    assert await asyncio.to_thread(media, dialog) == await asyncio.to_thread(media, before)


async def test_a_second_run_uploads_and_changes_nothing(
    store: VconStore, access: dict[str, Any], bucket: Any, server: dict[str, Any], vendors: StandIn
) -> None:
    """Neither to S3 nor to a media server: a URL is no body."""
    for options in (access, server):
        once = await after(diet, store, recorded("a", "b"), options)
        there, asked = objects(bucket), len(vendors.got)
        assert await after(diet, store, once, options) == once
        assert (objects(bucket), len(vendors.got)) == (there, asked)
    assert len(there) == asked == 2


async def test_a_repetition_writes_the_same_object(
    store: VconStore, access: dict[str, Any], bucket: Any
) -> None:
    """As after a crash between the upload and the write to Redis."""
    for _ in range(2):
        await after(diet, store, recorded("a"), access)
    assert len(objects(bucket)) == 1


async def test_bodies_go_to_a_media_server(
    store: VconStore, server: dict[str, Any], vendors: StandIn
) -> None:
    """With their dialog's id, and its URL becomes the body; keys differ by dialog."""
    document = recorded("a", None)
    found = await after(diet, store, document, server)
    urls = [(each["body"], each["body_type"]) for each in found["dialog"]]
    assert urls == [("https://media.example/a", "url"), ("https://media.example/unnamed", "url")]
    assert vendors.asked(media_server.PATH)[0] == {
        "content": document["dialog"][0]["body"],
        "vcon_uuid": document["uuid"],
        "dialog_id": "a",
    }
    assert len({headers["idempotency-key"] for _, headers, _ in vendors.got}) == 2


@pytest.mark.parametrize("answer", [{}, {"url": None}, {"url": ""}])
async def test_a_media_server_need_not_have_urls(
    store: VconStore, server: dict[str, Any], vendors: StandIn, answer: Any
) -> None:
    """The body is empty then."""
    vendors.replies[media_server.PATH] = answer
    found = await after(diet, store, recorded("a"), server)
    assert found["dialog"][0]["body"] == ""
    assert "body_type" not in found["dialog"][0]


WRONG_URLS = ["javascript:alert(1)", 7, 0, False, ["x"], [], "https://a b", "x" * 9000]


@pytest.mark.parametrize("answer", [*({"url": each} for each in WRONG_URLS), [], 0, b"null", b""])
async def test_something_else_than_a_url_does_not_become_a_body(
    store: VconStore, server: dict[str, Any], vendors: StandIn, answer: Any
) -> None:
    """The run fails, and the body stays."""
    vendors.replies[media_server.PATH] = answer
    document = recorded("a")
    await store.put(document)
    with pytest.raises(VendorError, match="something else than a URL"):
        await diet.run(document["uuid"], "a_link", server)
    assert await now(document) == document


@pytest.mark.parametrize("status", ["404", "429 Retry-After: 3600"])
async def test_a_body_stays_whose_upload_failed(
    store: VconStore, server: dict[str, Any], vendors: StandIn, status: str
) -> None:
    """vcon-server removes it, and it is lost. What was uploaded before is not sent again."""
    document = recorded("a", "b")
    vendors.answers = ["ok", status]
    await store.put(document)
    with pytest.raises(VendorError, match=f"the media server answered {status[:3]}"):
        await diet.run(document["uuid"], "a_link", {**server, "remove_analysis": True})
    left = await now(document)
    assert [each.get("body_type") for each in left["dialog"]] == ["url", None]
    assert left["dialog"][1] == document["dialog"][1]
    found = await after(diet, store, left, server)
    assert [each["body_type"] for each in found["dialog"]] == ["url", "url"]
    assert [each["dialog_id"] for each in vendors.asked(media_server.PATH)] == ["a", "b", "b"]


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"s3_bucket": "another-bucket"}, "S3 answered 404: NoSuchBucket"),
        ({"endpoint_url": "http://127.0.0.1:9", "timeout": 5}, "S3 could not be reached"),
    ],
)
async def test_a_body_stays_that_s3_does_not_take(
    store: VconStore, access: dict[str, Any], changes: dict[str, Any], words: str
) -> None:
    """The error has what S3 says, and no key."""
    document = recorded("a")
    await store.put(document)
    with pytest.raises(VendorError, match=words) as failure:
        await diet.run(document["uuid"], "a_link", {**access, **changes})
    assert await now(document) == document
    assert failure.value.peer_failed == ("reached" in words)
    assert S3_KEYS["aws_secret_access_key"] not in str(failure.value)


@pytest.mark.parametrize("hostile", ["../../x", "a/b", "ä" * 300, {"a": 1}, "\n", 7])
async def test_a_dialogs_id_leads_nowhere_else(
    store: VconStore, access: dict[str, Any], bucket: Any, hostile: Any
) -> None:
    """The author of the vCon chooses it."""
    document = recorded(hostile)
    await after(diet, store, document, access)
    [key] = objects(bucket)
    folder, _, name = key.partition("/")
    assert folder == document["uuid"]
    assert "/" not in name
    assert len(key) < 250


@pytest.mark.parametrize(
    "claim",
    [{"body": "UklGRg", "body_type": "url"}, {"body": "https://a " + "x" * 99, "body_type": "url"}],
)
async def test_a_body_that_only_claims_to_be_a_url_is_removed(
    store: VconStore, claim: dict[str, Any]
) -> None:
    """Or else the author of a vCon could keep what the operator wants out."""
    document = recorded(None)
    document["dialog"][0].update(claim)
    found = await after(diet, store, document, BODIES)
    assert found["dialog"][0]["body"] == ""


async def test_without_a_place_bodies_are_only_removed(store: VconStore) -> None:
    """Of every kind of dialog."""
    document = recorded(None, None)
    document["dialog"][1] |= {"type": "text", "body": "Hello", "encoding": "none"}
    found = await after(diet, store, document, BODIES)
    assert [each["body"] for each in found["dialog"]] == ["", ""]


async def test_without_options_nothing_changes(store: VconStore) -> None:
    """In vcon-server a link without options fails."""
    document = transcribed(INLINE)
    assert await after(diet, store, document, None) == document  # type: ignore[arg-type]


@pytest.mark.usefixtures("store")
async def test_a_vcon_that_is_not_there_ends_the_run(
    server: dict[str, Any], vendors: StandIn
) -> None:
    """No request is sent."""
    assert await diet.run(MISSING, "a_link", server) is None
    assert vendors.got == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"presigned_url_expiration": 0}, "presigned_url_expiration"),
        ({"presigned_url_expiration": 604_801}, "less than or equal to 604800"),
        ({"presigned_url_expiration": "soon"}, "presigned_url_expiration"),
        ({"post_media_to_url": "ftp://a"}, "begins with http:// or https://"),
        ({"s3_path": "x" * 501}, "s3_path"),
        ({"remove_dialog_body": "perhaps"}, "remove_dialog_body"),
        ({"remove_attachment_types": {"a": 1}}, "remove_attachment_types"),
    ],
)
def test_wrong_options_are_told_at_the_start(options: dict[str, Any], words: str) -> None:
    """By their name."""
    assert words in problem("links.diet", options)
