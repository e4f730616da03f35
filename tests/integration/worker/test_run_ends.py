"""Every run ends, for all that a plugin may raise or return."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from concurrent import futures
from typing import Any

import pytest

from core.errors import ConflictError
from core.rpc.request_handler import encode
from lib.vcon_redis import AsyncVconRedis, VconRedis
from pipeline.admin.dead_letters import DeadLetters
from pipeline.live_config import Configuration
from schemas.run import Run
from tests.integration.support.pipeline_fixtures import (
    Scene,
    a_vcon,
    configured,
    link,
    storage,
    tracer,
)
from tests.integration.worker.worker_scene import raising, touches
from tests.time_limits import HOUR

pytestmark = pytest.mark.usefixtures("at_once")


LATIN_1 = os.fsdecode(b"caf\xe9.wav")


class PanicException(BaseException):
    """What a Rust extension raises when it panics."""


class MuteError(Exception):
    """An error that cannot say anything."""

    def __str__(self) -> str:
        raise PanicException


def hostile(names: Iterable[str]) -> type[Exception]:
    """A class of errors; asking one of them for any of these attributes raises."""

    def ask(_: object) -> None:
        raise KeyboardInterrupt

    return type("Hostile", (Exception,), dict.fromkeys(names, property(ask)))


class Unhashable(type(Exception)):  # type: ignore[misc]
    """Makes classes that no dict can have as a key."""

    __hash__ = None


class Odd(Exception, metaclass=Unhashable):  # noqa: N818 -- a plugin's own
    """Of such a class."""


class Endless(ExceptionGroup[Exception]):
    """Says that it contains itself: rendering it would not end."""

    exceptions = property(lambda self: (self,))  # type: ignore[assignment]


NO_EXCEPTIONS = [
    (PanicException("called `Option::unwrap()`"), "PanicException: called `Option::unwrap()`"),
    (GeneratorExit(), "GeneratorExit"),
    (KeyboardInterrupt(), "KeyboardInterrupt"),
    (SystemExit(3), "SystemExit: called sys.exit(3)"),
    (asyncio.CancelledError(), "CancelledError: was cancelled from within"),
    (StopIteration("over"), "StopIteration"),
    (StopAsyncIteration("over"), "StopAsyncIteration: over"),
    (BaseExceptionGroup("all", [PanicException("one")]), "PanicException: one"),
    (ExceptionGroup("all", [ValueError("one")]), "ValueError: one"),
    (MuteError(), "MuteError"),
    (ValueError(f"no {LATIN_1}\0"), "ValueError: no caf\ufffd.wav\ufffd"),
    (RuntimeError("x" * 5_000_000), "RuntimeError: xxx"),
    (futures.CancelledError("one"), "CancelledError: one"),
    (Odd("one"), "Odd: one"),
    (ExceptionGroup("all", [Endless("all", [ValueError("one")])]), "ValueError: one"),
]


def places(error: BaseException, *, is_async: bool) -> dict[str, tuple[Configuration, str]]:
    """A chain for each kind of plugin that raises this, and where its dead letters are."""
    rude = raising(error, is_async=is_async)

    async def fine(vcon_uuid: str, *_: Any) -> str:
        return vcon_uuid

    watched = configured(
        links=[link(fine)], tracers=[tracer(rude, dlq_vcon_on_error=True)], max_attempts=2
    )
    limited = [link(rude, timeout=HOUR)]
    return {
        "link": (configured(links=[link(rude)], max_attempts=2), "DLQ:in"),
        "link with a limit": (configured(links=limited, max_attempts=2), "DLQ:in"),
        "storage": (configured(storages=[storage(rude)]), "DLQ:storage:shelf"),
        "tracer": (watched, "DLQ:in"),
    }


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
@pytest.mark.parametrize(("error", "text"), NO_EXCEPTIONS)
async def test_any_exception_of_a_plugin_ends_the_run_as_a_dead_letter(
    scene: Scene, error: BaseException, text: str, is_async: bool
) -> None:
    """After `max_attempts`, with the type and the text of what was raised."""
    for place, (chain, letters) in places(error, is_async=is_async).items():
        crew = await scene.start(chain, place)
        [vcon_uuid] = await scene.feed()
        ended = await scene.finished()
        assert (ended.status, ended.held) == ("partial" if place == "storage" else "failed", True)
        assert ended.claim.attempt == (1 if place == "storage" else 2)
        assert text in scene.reason(letters, vcon_uuid)["error"], place
        Run.model_validate(ended.run)
        await crew.stop()
    assert scene.client.hgetall("pc:locks") == {}


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
@pytest.mark.parametrize("name", ["__class__", "__traceback__", "__cause__", "__notes__"])
async def test_an_error_whose_attributes_raise_ends_the_run(
    scene: Scene, name: str, is_async: bool
) -> None:
    """The interpreter, asyncio and the log ask every error for them."""
    rude = raising(hostile([name])("one"), is_async=is_async)
    await scene.start(configured(links=[link(rude)], max_attempts=2))
    [vcon_uuid] = await scene.feed()
    await scene.finished()
    assert scene.reason("DLQ:in", vcon_uuid)["error"] == "Hostile: one"


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
async def test_a_plugin_cannot_say_that_its_run_was_taken_over(
    scene: Scene, is_async: bool
) -> None:
    """Redis says whether that is so; if it is not, the attempt has failed."""
    rude = raising(ConflictError("not mine any more"), is_async=is_async)
    for name, chain in {
        "link": configured(links=[link(rude)], max_attempts=2),
        "storage": configured(storages=[storage(rude)], max_attempts=2),
        "tracer": configured(links=[link(touches)], tracers=[tracer(rude)], max_attempts=2),
    }.items():
        crew = await scene.start(chain, name)
        [vcon_uuid] = await scene.feed()
        ended = await scene.finished()
        assert (ended.status, ended.claim.attempt, ended.held) == ("failed", 2, True)
        assert "not mine any more" in scene.reason("DLQ:in", vcon_uuid)["error"]
        await crew.stop()


class Contrary:
    """A value whose every method fails."""

    def __init__(self, where: str) -> None:
        def fails(*_: Any) -> None:
            raise PanicException(where)

        self.__class__ = type("Contrary", (Contrary,), {where: fails})


class OddText(str):
    """A text that is never equal to anything and does not want to be shown."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, _other: object) -> bool:
        raise PanicException

    def __repr__(self) -> str:
        raise PanicException


@pytest.mark.parametrize(
    "value",
    [
        *(Contrary("__bool__"), Contrary("__len__"), Contrary("__repr__"), OddText("x")),
        *(LATIN_1, "a\0b", "x" * 5_000_000, ["x"], {"\udce9": 1}, b"\xff", 10**5000, object()),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_an_odd_return_value_fails_the_attempt(scene: Scene, value: object) -> None:
    """Of a sync link, an async one, and one with a limit."""

    async def returns_async(*_: Any) -> object:
        return value

    def returns(*_: Any) -> object:
        return value

    for run, limit in ((returns, None), (returns, HOUR), (returns_async, None)):
        crew = await scene.start(configured(links=[link(run, timeout=limit)], max_attempts=1))
        [vcon_uuid] = await scene.feed()
        assert (await scene.finished()).status == "failed"
        assert scene.reason("DLQ:in", vcon_uuid)["error"]
        await crew.stop()


async def test_a_subclass_of_str_is_a_uuid_like_any_other(scene: Scene) -> None:
    """Its own methods are not asked."""
    await scene.start(configured(links=[link(lambda uuid, *_: OddText(uuid), "odd")]))
    [vcon_uuid] = await scene.feed()
    assert (await scene.finished()).status == "done"
    assert scene.elements("out") == [vcon_uuid]


@pytest.mark.parametrize("only_through_lib", [True, False])
@pytest.mark.parametrize("body", [LATIN_1, "a\0b", "x" * 5_000_000], ids=["half", "nul", "5 MB"])
@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
async def test_a_vcon_with_odd_text_never_keeps_its_run_from_ending(
    scene: Scene, is_async: bool, body: str, only_through_lib: bool
) -> None:
    """What JSON cannot hold fails the attempt; what it can hold is stored."""
    analysis = [{"type": body[:10], "dialog": 0, "vendor": "x", "body": body}]

    async def writes_async(vcon_uuid: str, *_: Any) -> str:
        await AsyncVconRedis().store_vcon_dict(a_vcon(vcon_uuid, analysis=analysis))
        return vcon_uuid

    def writes(vcon_uuid: str, *_: Any) -> str:
        VconRedis().store_vcon_dict(a_vcon(vcon_uuid, analysis=analysis))
        return vcon_uuid

    run = writes_async if is_async else writes
    chain = configured(links=[link(run, only_through_lib=only_through_lib)], max_attempts=2)
    await scene.start(chain)
    [vcon_uuid] = await scene.feed()
    ended = await scene.finished()
    if body == LATIN_1:
        assert (ended.status, ended.claim.attempt) == ("failed", 2)
        assert "surrogates" in scene.reason("DLQ:in", vcon_uuid)["error"]
    else:
        assert ended.status == "done"
        document = await scene.store.get(vcon_uuid)
        assert document is not None
        assert document["analysis"][0]["body"] == body


@pytest.mark.parametrize(
    "element", [b"caf\xe9", b"\xed\xa0\x80", b"a\0b", b"", b"x" * 1_000_000, "é".encode()]
)
async def test_an_element_of_any_bytes_ends_as_a_dead_letter(scene: Scene, element: bytes) -> None:
    """Other programs fill lists, too: what is no UTF-8 is found again under the same bytes."""
    scene.client.rpush("in", element)
    await scene.start(configured(links=[link(touches)], max_attempts=2))
    ended = await scene.finished()
    assert (ended.status, ended.held, ended.claim.attempt) == ("failed", True, 2)
    [dead] = await scene.redis.command("LRANGE", "DLQ:in", 0, -1)
    assert dead.encode(errors="surrogateescape") == element
    [letter] = (await DeadLetters(scene.redis, run_expiry=60).page("DLQ:in", None, 10)).entries
    encode({"fields": [letter]})
    assert scene.client.keys("pc:inflight:*") == []
