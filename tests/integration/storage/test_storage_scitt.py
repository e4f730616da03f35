"""The storage `scitt`: registers, verifies, and keeps the receipts in Redis."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest
from redis import Redis

from lib.scitt.cose import signing_key
from lib.vcon_redis import AsyncVconRedis, VconRedis
from links.scitt import create_hashed_signed_statement, register_signed_statement
from pipeline.runs.vcon_store import VconStore
from storage import scitt
from storage.scitt import ReceiptError, VendorError, delete, receipts, save
from tests.integration.links.integrity.scitt_scene import KEY, UUID, VCON, new_key, options, service
from tests.integration.support.vendors.transparency import Transparency

MISSING = "00000000-0000-8000-8000-000000000000"
__all__ = ["service"]
SUBJECTS = ["tel:+15550100", "tel:+15550101"]


@pytest.fixture(autouse=True)
async def _kept(store: VconStore) -> None:
    """The store has one vCon."""
    await store.put(VCON)


async def test_verified_receipts_are_kept_for_a_time(service: Transparency, redis_url: str) -> None:
    """In Redis and not in the vCon; each operation and number has one."""
    operations = ["vcon_enhanced", "vcon_created"]
    await save(UUID, options(service, operations=operations, receipts_expire=5000))
    kept = await receipts(UUID)
    assert [(each["vcon_operation"], each["subject"]) for each in kept] == [
        (operation, subject) for operation in operations for subject in SUBJECTS
    ]
    with Redis.from_url(redis_url, decode_responses=True) as client:
        assert [json.loads(each) for each in client.lrange(f"pc:receipts:{UUID}", 0, -1)] == kept
        assert 4900 < client.ttl(f"pc:receipts:{UUID}") <= 5000
    assert await AsyncVconRedis().get_vcon_dict(UUID) == VCON


async def test_a_second_save_sends_nothing_more(service: Transparency, store: VconStore) -> None:
    """Unless the vCon has changed; `vcon_created` not even then."""
    given = options(service, operations=["vcon_created", "vcon_enhanced"])
    await save(UUID, given)
    requests = len(service.got)
    await save(UUID, given)
    assert len(service.got) == requests
    await store.put(VCON | {"subject": "Changed"})
    await save(UUID, given)
    assert service.posts() == 6
    await save(UUID, given | {"signing_key_pem": new_key(), "operations": ["vcon_enhanced"]})
    assert [each["vcon_operation"] for each in await receipts(UUID)][4:] == ["vcon_enhanced"] * 4


async def test_only_the_last_receipts_are_kept(
    service: Transparency, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vCon that is saved for years does not fill Redis."""
    monkeypatch.setattr(scitt, "MOST_KEPT", 3)
    for operation in ("a", "b"):
        await save(UUID, options(service, operations=[operation]))
    assert [each["vcon_operation"] for each in await receipts(UUID)] == ["a", "b", "b"]


async def test_all_receipts_of_one_save_are_kept(
    service: Transparency, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the next save would register again what is missing."""
    monkeypatch.setattr(scitt, "MOST_KEPT", 3)
    for _ in range(2):
        await save(UUID, options(service, operations=["a", "b"]))
        assert service.posts() == 4


async def test_what_fails_is_not_kept(service: Transparency) -> None:
    """The next save registers the rest."""
    service.answers = ["ok", "ok", "ok", "400"]
    with pytest.raises(VendorError, match="answered 400"):
        await save(UUID, options(service))
    assert [each["subject"] for each in await receipts(UUID)] == SUBJECTS[:1]
    service.change_receipt = lambda receipt: receipt[:-1] + bytes([receipt[-1] ^ 1])
    with pytest.raises(ReceiptError):
        await save(UUID, options(service))
    service.change_receipt = lambda receipt: receipt
    await save(UUID, options(service))
    assert [each["subject"] for each in await receipts(UUID)] == SUBJECTS
    assert len(service.entries) == 2


async def test_delete_says_whether_there_was_anything(service: Transparency) -> None:
    """Then nothing of it is left in Redis."""
    await save(UUID, options(service))
    assert [await delete(UUID), await delete(UUID)] == [True, False]
    assert await receipts(UUID) == []


async def test_a_vcon_that_is_not_in_redis_is_an_error(service: Transparency) -> None:
    """Which a chain takes for a failed save."""
    with pytest.raises(LookupError, match=MISSING):
        await save(MISSING, options(service))
    with pytest.raises(ValueError, match="not a uuid"):
        await save("../x", options(service))


class EcdsaKey:
    """A key as the package `ecdsa` has it, as far as it is used."""

    def to_string(self) -> bytes:
        key = signing_key(base64.b64decode(KEY))
        return key.private_numbers().private_value.to_bytes(32)


def foreign_save(vcon_uuid: str, url: str, key: object) -> dict[str, str | bytes]:
    """What a storage does that was written for vcon-server."""
    vcon = VconRedis().get_vcon(vcon_uuid)
    assert vcon is not None
    statement = create_hashed_signed_statement.create_hashed_signed_statement(
        issuer="conserver",
        signing_key=key,
        subject=f"vcon://{vcon_uuid}",
        kid=b"conserver-key-1",
        meta_map={"vcon_operation": "vcon_enhanced"},
        payload=f"{vcon.hash}:vcon_enhanced".encode(),
        payload_hash_alg="SHA-256",
        payload_location="",
        pre_image_content_type="application/vcon+json",
    )
    found = register_signed_statement.register_statement(url, statement)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("kind", ["file", "ecdsa"])
async def test_a_foreign_storage_finds_the_functions_it_imports(
    kind: str, service: Transparency, tmp_path: Path
) -> None:
    """They are called from a thread, without `await`."""
    key: object = EcdsaKey()
    if kind == "file":
        path = tmp_path / "key.pem"
        path.write_bytes(base64.b64decode(KEY))
        key = create_hashed_signed_statement.open_signing_key(str(path))
    found = await asyncio.to_thread(foreign_save, UUID, service.url, key)
    assert list(service.statements) == [found["entry_id"]]
    assert found["receipt"]
