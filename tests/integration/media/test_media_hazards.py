"""What callers forge, other programs write, and crashes leave behind."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis import Redis

from core.errors import UnavailableError
from lib.vcon_redis import AsyncVconRedis
from pipeline.media import sweep
from pipeline.media.file_store import FileStore
from pipeline.media.media import Media
from pipeline.media.rules import Rule
from pipeline.media.stores import MediaAwayError, MediaGoneError
from pipeline.media.sweep import MediaSweep
from pipeline.redis_client.client import RedisConnection
from pipeline.runs import vcon_store
from pipeline.runs.document_writes import written
from pipeline.runs.vcon_store import VconStore
from tests.integration.media.media_scene import (
    AUDIO,
    LEAST,
    beside,
    in_redis,
    is_stripped,
    recorded,
    taken_in,
    workers,
)
from tests.integration.support.pipeline_fixtures import a_vcon, configured, link, storage


async def victim(redis: RedisConnection, client: Redis) -> tuple[str, str]:
    """A vCon with a recording beside it, and the placeholder of that."""
    vcon = recorded()
    await VconStore(redis).put(vcon)
    placeholder = orjson.loads(in_redis(client, vcon["uuid"]))["dialog"][0]["body"]
    assert placeholder.startswith("pc:media:redis:")
    return vcon["uuid"], placeholder


@pytest.mark.parametrize("kind", ["redis", None])
async def test_a_forged_placeholder_is_a_text(
    redis: RedisConnection, client: Redis, kind: str | None
) -> None:
    """Whether media are on or off: the caller gets what it has sent, in its own and other vCons."""
    async with beside("redis", redis):
        vcon_uuid, placeholder = await victim(redis, client)
    async with beside(kind, redis), workers(redis, client) as scene:
        forged = a_vcon(attachments=[{"body": placeholder, "encoding": "none", "type": "x"}])
        await taken_in(scene, forged)
        read = await scene.store.get(forged["uuid"])
        assert read is not None
        assert read["attachments"][0]["body"] == placeholder
        own = {**forged, "uuid": vcon_uuid, "subject": "with what it names beside it"}
        await taken_in(scene, own)
        read = await scene.store.get(vcon_uuid)
        assert read is not None
        assert read["attachments"][0]["body"] == placeholder


async def test_another_program_cannot_name_media(redis: RedisConnection, client: Redis) -> None:
    """A document with a placeholder of another vCon is an error, and not that vCon's recording."""
    async with beside("redis", redis):
        _, placeholder = await victim(redis, client)
        other, path = (a_vcon(x, dialog=[{"body": placeholder}]) for x in (None, "../../etc"))
        for vcon in (other, path):
            client.json().set(f"vcon:{vcon['uuid']}", "$", vcon)
        with pytest.raises(
            MediaGoneError, match=rf"{other['uuid']}: the body of dialog\[0\] is not"
        ):
            await VconStore(redis).get(other["uuid"])
        assert await VconStore(redis).get("../../etc") == path  # media have the uuid in their path


async def test_what_was_taken_out_is_read_when_media_are_off(
    redis: RedisConnection, client: Redis, tmp_path: Path
) -> None:
    """From Redis and each store that is set up; another one is named."""
    async with beside("file", redis, {"file": FileStore(tmp_path)}):
        vcon = recorded()
        await VconStore(redis).put(vcon)
    async with beside(None, redis, {"file": FileStore(tmp_path)}):
        read = await VconStore(redis).get(vcon["uuid"])
        assert read is not None
        assert read["dialog"] == vcon["dialog"]
    async with beside("redis", redis):
        with pytest.raises(MediaAwayError, match="store file, which this process does not know"):
            await VconStore(redis).get(vcon["uuid"])


@pytest.mark.parametrize("kind", ["redis", "file"])
async def test_unused_media_are_swept(
    redis: RedisConnection,
    client: Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    """Those of a writer that died before the document, of a document that is gone; not in haste."""
    async with beside(kind, redis, {"file": FileStore(tmp_path)}) as media:
        died, gone = recorded(), recorded()
        await media.taken_out(died)
        await VconStore(redis).put(gone)
        store, names = media.stores[kind], await media.stores[kind].names(died["uuid"])
        assert len(names) == 2
        client.delete(f"vcon:{gone['uuid']}")
        for seconds, left in ((3600, 2), (-10, 0)):
            client.zadd("pc:media", {died["uuid"]: 1, gone["uuid"]: 1})
            monkeypatch.setattr(sweep, "UNUSED_SECONDS", seconds)
            await MediaSweep(redis, media).round()
            for each in (died, gone):
                assert len(await store.names(each["uuid"])) == left
                assert client.zscore("pc:media", each["uuid"]) is not None or not left
        assert client.keys("pc:media*") == []


async def test_replaced_media_are_swept(
    redis: RedisConnection, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a link has removed goes, unless a run works on the vCon; what is named stays."""
    async with beside("redis", redis) as media:
        vcon = recorded()
        await VconStore(redis).put(vcon)
        await VconStore(redis).put(vcon | {"dialog": []})
        before = await media.stores["redis"].names(vcon["uuid"])
        monkeypatch.setattr(sweep, "REPLACED_SECONDS", -10)
        for lock, left in (("worker", len(before)), ("", 1)):
            client.hset("pc:locks", vcon["uuid"], lock)
            if not lock:
                client.delete("pc:locks")
            client.expire(f"vcon:{vcon['uuid']}", 60)
            client.zadd("pc:media", {vcon["uuid"]: 1})
            await MediaSweep(redis, media).round()
            assert len(await media.stores["redis"].names(vcon["uuid"])) == left
        now = client.time()[0]
        due = client.zscore("pc:media", vcon["uuid"])
        assert due is not None
        assert now < due < now + 120  # soon after the document expires
        assert await VconStore(redis).get(vcon["uuid"]) == vcon | {"dialog": []}


async def test_a_store_that_is_away_and_one_that_has_lost_a_body(
    redis: RedisConnection, client: Redis, tmp_path: Path, at_once: None
) -> None:
    """An outage repeats the attempt; a vCon without its body is a dead letter, and not stored."""
    folder, away, saved = tmp_path / "media", tmp_path / "away", []
    await asyncio.to_thread(folder.mkdir)

    async def shaky(vcon_uuid: str, *_: Any) -> str:
        here, there = (folder, away) if await asyncio.to_thread(folder.exists) else (away, folder)
        await asyncio.to_thread(here.rename, there)
        document = await AsyncVconRedis().get_vcon_dict(vcon_uuid)
        assert document is not None
        await AsyncVconRedis().store_vcon_dict(document | {"subject": "touched"})
        return vcon_uuid

    async def save(vcon_uuid: str, _options: Any) -> None:
        saved.append(await AsyncVconRedis().get_vcon_dict(vcon_uuid))

    spec, shelf = storage(save)
    links = [link(shaky, only_through_lib=True)]
    shelves = [(spec, replace(shelf, only_through_lib=True))]
    async with (
        beside("file", redis, {"file": FileStore(folder)}),
        workers(redis, client) as scene,
    ):
        vcon = recorded()
        await taken_in(scene, vcon, "in")
        crew = await scene.start(configured(links=links, storages=shelves, max_attempts=3))
        ended = [await scene.ended(), await scene.ended()]
        assert [(each.how, each.status) for each in ended] == [
            ("later", "queued"),
            ("finish", "done"),
        ]
        assert [each["dialog"] for each in saved] == [vcon["dialog"]]
        await crew.stop()
        lost = recorded()
        await taken_in(scene, lost, "in")
        for file in await asyncio.to_thread(lambda: list(folder.rglob(f"*/{lost['uuid']}/*"))):
            file.write_bytes(b'"damaged"')
        await scene.start(configured(storages=shelves), "two")
        assert (await scene.finished()).status == "partial"
        assert len(saved) == 1
        error = scene.reason("DLQ:storage:shelf", lost["uuid"])["error"]
        assert f"vCon {lost['uuid']}: the body of dialog[0] is not in media store file" in error


async def test_media_of_another_vcon_are_not_taken_for_its_own(
    redis: RedisConnection, client: Redis
) -> None:
    """A link that copies a recording into another vCon: that one has media of its own."""
    copies = a_vcon()

    async def copy(vcon_uuid: str, *_: Any) -> str:
        document = await AsyncVconRedis().get_vcon_dict(vcon_uuid)
        assert document is not None
        await AsyncVconRedis().store_vcon_dict(copies | {"dialog": document["dialog"]})
        return vcon_uuid

    async with beside("redis", redis), workers(redis, client) as scene:
        vcon = recorded()
        await taken_in(scene, vcon, "in")
        await scene.start(configured(links=[link(copy, only_through_lib=True)]))
        assert (await scene.ended()).status == "done"
        assert is_stripped(client, copies["uuid"])
        client.delete(f"vcon:{vcon['uuid']}", f"pc:media:{vcon['uuid']}")
        read = await scene.store.get(copies["uuid"])
        assert read is not None
        assert read["dialog"][0]["body"] == AUDIO


async def test_replicas_with_another_setting_are_named(
    redis: RedisConnection, client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Once each: one that has it unset, and one of an earlier version; not one that has ended."""
    told = {"alike": f'"redis, from {LEAST} bytes"', "unset": '"unset"', "earlier": ""}
    client.sadd("pc:processes", *told, "ended")
    for replica, media in told.items():
        client.hset(
            f"pc:process:{replica}", mapping={"seen": 1} | ({"media": media} if media else {})
        )
    async with beside("redis", redis) as media:
        swept = MediaSweep(redis, media)
        for _ in range(2):
            await swept.round()
    found = [record.error for record in caplog.records]  # type: ignore[attr-defined]
    assert sorted(found) == [
        f"MEDIA_STORE here: redis, from {LEAST} bytes; in replica {name}"
        for name in ("earlier: that of an earlier version", "unset: unset")
    ]


async def test_an_outage_while_media_are_put_back(
    redis: RedisConnection, client: Redis, monkeypatch: pytest.MonkeyPatch, at_once: None
) -> None:
    """The plugin that reads Redis itself is called only when they are there."""
    seen, failures = list[str](), [UnavailableError("Redis went away")]

    def reads_redis(vcon_uuid: str, *_: Any) -> str:
        seen.append(in_redis(client, vcon_uuid))
        return vcon_uuid

    async def shaky(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return await written(*arguments)

    monkeypatch.setattr(vcon_store, "written", shaky)
    async with beside("redis", redis), workers(redis, client) as scene:
        await taken_in(scene, recorded(), "in")
        await scene.start(configured(links=[link(reads_redis)]))
        assert (await scene.ended()).status == "done"
    assert failures == []
    [text] = seen
    assert AUDIO in text


@pytest.mark.parametrize("form", ["{}", "../../{}"])
async def test_another_program_cannot_have_files_removed(
    redis: RedisConnection, client: Redis, tmp_path: Path, form: str
) -> None:
    """By the register: what is no uuid would be the path of any folder."""
    folder = tmp_path / "media"
    file = tmp_path / "other" / "file"
    for each in (folder, file.parent):
        each.mkdir()
    file.write_bytes(b"1")
    name = str(file.parent) if form == "{}" else form.format("other")
    async with beside("file", redis, {"file": FileStore(folder)}) as media:
        store = media.stores["file"]
        assert isinstance(store, FileStore)
        above = Path(*store._folder_of(name).parts[: len(folder.parts) + 1])
        await asyncio.to_thread(above.mkdir, exist_ok=True)
        assert await store.names(name) == ["file"]
        client.zadd("pc:media", {name: 1})
        await MediaSweep(redis, media).round()
    assert file.exists()
    assert client.zcard("pc:media") == 0


async def test_replicas_that_differ_forget_nothing(
    redis: RedisConnection, client: Redis, tmp_path: Path
) -> None:
    """One that does not know the store finds no bodies; the others would never remove them."""
    vcon = recorded()
    async with beside("file", redis, {"file": FileStore(tmp_path)}):
        await VconStore(redis).put(vcon)
    client.delete(f"vcon:{vcon['uuid']}")
    client.sadd("pc:processes", "other")
    client.hset("pc:process:other", mapping={"seen": 1, "media": f'"file, from {LEAST} bytes"'})
    async with beside(None, redis) as media:
        for left in (1, 0):
            client.zadd("pc:media", {vcon["uuid"]: 1})
            await MediaSweep(redis, media).round()
            assert client.zcard("pc:media") == left
            client.delete("pc:processes")


async def test_the_text_of_another_program_is_taken_in(
    redis: RedisConnection, client: Redis
) -> None:
    """As JSON.GET returns it to a backup and to custody: other numbers and escapes, or invalid."""
    vcon = recorded()
    numbers = b'{"words": [' + b",".join([b"1E5, 0.10"] * LEAST) + b"]}"
    text = orjson.dumps(vcon | {"analysis": [{"body": "NUMBERS"}]}).replace(b'"NUMBERS"', numbers)
    half = text.replace(b'"analysis"', b'"half": "\\ud83d", "analysis"')
    async with beside("redis", redis) as media:
        stripped = await media.stripped(vcon["uuid"], text)
        assert len(stripped) < LEAST
        read = orjson.loads(stripped)
        await media.put_back(vcon["uuid"], read, {})
        assert read == orjson.loads(text)
        assert await media.stripped(vcon["uuid"], half) == half
        marked = half.replace(b'"half"', b'"pc:media:"')
        assert await media.for_keeping(vcon["uuid"], marked) == b" " + marked


async def test_without_media_nothing_more_is_asked(redis: RedisConnection) -> None:
    """Off, a vCon is read and written by the same commands as before; on, one without media too."""
    for rule in (None, Rule("redis", LEAST)):
        asked: list[str] = []
        connection = _Counting(redis, asked)
        media = Media(connection, rule)  # type: ignore[arg-type]
        vcon = a_vcon(dialog=[{"body": "short", "encoding": "none"}])
        taken = await media.taken_out(vcon)
        assert taken.document == vcon
        assert await media.put_back(vcon["uuid"], vcon, {}) == {}
        text = orjson.dumps(vcon)
        assert await media.whole(vcon["uuid"], text) == text
        assert await media.stripped(vcon["uuid"], text) == text
        assert asked == []


class _Counting:
    def __init__(self, redis: RedisConnection, asked: list[str]) -> None:
        self._redis, self._asked = redis, asked

    async def command(self, *words: Any) -> Any:
        self._asked.append(str(words[0]))
        return await self._redis.command(*words)
