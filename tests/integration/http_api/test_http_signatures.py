"""Keys with a signing secret: what is signed, where that holds, and that the secret stays one."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import json
from typing import Any

import httpx
import pytest

from core.errors import ForbiddenError
from core.observability.redaction import KNOWN
from pipeline.ingest.key_cache import hashed
from schemas.ingress_key import Author
from tests.integration.http_api.http_scene import CONFIG, HEADER, Start
from tests.integration.support.pipeline_fixtures import a_vcon

KEY, SECRET = "key-of-a-partner-1", "the-signing-secret-of-a-partner"
SIGNED = CONFIG.replace(f"in: {KEY}", f"in: {{key: {KEY}, signing_secret: {SECRET}}}")
PATH = "/vcon/external-ingress?ingress_list=in"


def signature(body: bytes, secret: str = SECRET) -> str:
    """The header of a body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


async def push(http: httpx.AsyncClient, body: bytes, signed: str | None, **headers: str) -> Any:
    """The answer to a body with this signature."""
    headers = {HEADER: KEY} | headers
    if signed is not None:
        headers["x-hub-signature-256"] = signed
    return await http.post(PATH, content=body, headers=headers)


async def test_a_body_is_signed(start: Start) -> None:
    """204 with the right signature; 403 with a text without one, or with a wrong one."""
    body = json.dumps(a_vcon(), indent=3).encode()
    async with start(SIGNED) as served, served.http(None) as http:
        for signed, text in [
            (None, "X-Hub-Signature-256 required"),
            ("sha1=" + "0" * 40, "X-Hub-Signature-256 must be sha256= and 64 hex digits"),
            (signature(body, "x"), "X-Hub-Signature-256 does not match the body"),
            (signature(body + b"\n"), "X-Hub-Signature-256 does not match the body"),
        ]:
            answer = await push(http, body, signed)
            assert (answer.status_code, answer.json()) == (403, {"detail": text})
        assert served.client.keys("vcon:*") == []
        assert (await push(http, body, signature(body))).status_code == 204
        await served.pipeline.service.partners.usage.write()
        [key] = await asyncio.to_thread(served.records.keys.all, "in")
        [usage] = await asyncio.to_thread(served.records.ledger.usage, key.id, None, None)
        assert (usage.accepted, usage.refused) == (1, {"forbidden": 4})


@pytest.mark.parametrize("body", [b"{", b'{"test": true}', b"[" * 5000, b""])
async def test_nothing_is_parsed_before_the_signature(start: Start, body: bytes) -> None:
    """403 for a body that is none, and for a ping; a signed ping is answered."""
    async with start(SIGNED) as served, served.http(None) as http:
        assert (await push(http, body, None)).status_code == 403
        assert (await push(http, body, signature(b"x"))).status_code == 403
        status = 200 if b"test" in body else 422
        assert (await push(http, body, signature(body))).status_code == status
        wrong = await push(http, body, signature(body), **{HEADER: "wrong"})
        assert wrong.json() == {"detail": "Invalid API Key for ingress list 'in'"}


async def test_the_bytes_as_received_are_signed(start: Start) -> None:
    """Packed ones as they are packed."""
    body = json.dumps(a_vcon()).encode()
    packed = gzip.compress(body)
    zipped = {"content-encoding": "gzip"}
    async with start(SIGNED) as served, served.http(None) as http:
        assert (await push(http, packed, signature(body), **zipped)).status_code == 403
        assert (await push(http, packed, signature(packed), **zipped)).status_code == 204


async def test_a_key_without_a_secret_needs_none(start: Start) -> None:
    """A signature is ignored, however wrong."""
    async with start(CONFIG) as served, served.http(None) as http:
        answer = await push(http, json.dumps(a_vcon()).encode(), "sha256=nonsense")
        assert answer.status_code == 204


async def test_no_other_way_in_takes_the_key_unsigned(start: Start) -> None:
    """RPC callers cannot sign: both actions refuse the key."""
    async with start(SIGNED) as served, served.http(None) as http:
        await push(http, b"{}", None)
        service = served.pipeline.service
        for api in (service.partners, service.internal):
            with pytest.raises(ForbiddenError, match="signed requests over HTTP only"):
                await api.take(a_vcon(), ["in"], KEY)
        assert served.client.keys("vcon:*") == []


async def test_it_holds_in_a_replica_that_learns_of_the_key_by_postgres(start: Start) -> None:
    """And for a rotated key, which is in no file; the file can change and remove it."""
    body = json.dumps(a_vcon()).encode()
    async with start(SIGNED) as served, served.http(None) as http:
        await push(http, body, None)
        [key] = await asyncio.to_thread(served.records.keys.all, "in")
        author = Author(actor="test")
        await asyncio.to_thread(served.records.keys.rotate, key.id, hashed("new"), 1, author)
    async with start(CONFIG.replace(f"  in: {KEY}\n", "")) as served, served.http(None) as http:
        for each in (KEY, "new"):
            assert (await push(http, body, None, **{HEADER: each})).status_code == 403
            answer = await push(http, body, signature(body), **{HEADER: each})
            assert answer.status_code == 204, answer.text


async def test_the_file_changes_and_removes_the_secret(start: Start) -> None:
    """As it does a label; without it no signature is asked for."""
    body = json.dumps(a_vcon()).encode()
    for text, signed in [
        (SIGNED, signature(body)),
        (SIGNED.replace(SECRET, f"another-{SECRET}"), signature(body, f"another-{SECRET}")),
        (CONFIG, None),
    ]:
        async with start(text) as served, served.http(None) as http:
            assert (await push(http, body, signed)).status_code == 204
            if signed:
                assert (await push(http, body, None)).status_code == 403


async def test_the_secret_is_told_to_no_one(start: Start) -> None:
    """Not in ListIngressKeys, the audit, Redis, or a text; log lines hide it."""
    async with start(SIGNED) as served, served.http(None) as http:
        await push(http, b"{}", signature(b"{}"))
        [key] = await asyncio.to_thread(served.records.keys.all, None)
        found = await asyncio.to_thread(served.records.keys.find, hashed(KEY))
        events = await asyncio.to_thread(served.records.ledger.events, None, None, 100)
        config = served.pipeline._configuration.config
        told = [repr(key), key.model_dump_json(), repr(found), found.model_dump_json()]
        told += [repr(events), repr(config), repr(config.ingress_keys)]
        told += [str(served.client.dump(name)) for name in served.client.keys("*")]
        assert SECRET not in "".join(told)
        assert found.signing_secret == SECRET
    assert SECRET not in KNOWN.sentence(f"a line with {SECRET}")
