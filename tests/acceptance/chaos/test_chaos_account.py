"""The account sees each run that is repeated without a reason, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devstack.chaos.custody.account import Account
from devstack.chaos.custody.commits import is_complete, is_refused
from devstack.chaos.plugins.chaos_plugins.behaviour import CALLED, note
from devstack.chaos.system.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FED = {"a": "pass", "b": "fail"}


class World:
    """A chain of one link and one storage, a Postgres that knows what is settled, an account."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settled: set[str] = set()
        self.account = Account(lambda: frozenset(self.settled), Ledger(folder))

    def call(self, vcon: str = "a") -> None:
        """The first link of a run is called, and has not read the vCon yet."""
        note(str(self.folder), CALLED, "mark", vcon)

    def begin(self, vcon: str = "a") -> None:
        """A run begins."""
        note(str(self.folder), "began", "mark", vcon)

    def end(self, vcon: str = "a") -> None:
        """It ends."""
        note(str(self.folder), "saved", "first", vcon)
        self.settled.add(vcon)

    async def lose(self, meanwhile: Callable[[], None] = lambda: None, *, sudden: bool) -> None:
        """A loss, in which this happens."""
        async with self.account.loss(is_sudden=sudden):
            meanwhile()

    async def repeated(self) -> str:
        """What is said of "a"."""
        return (await self.account.repeated(FED)).get("a", "")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty one."""
    return World(tmp_path)


@pytest.mark.parametrize("sudden", [False, True])
async def test_what_was_settled_may_not_run_again(world: World, *, sudden: bool) -> None:
    """Neither its link nor its storage."""
    world.begin()
    world.end()
    await world.lose(sudden=sudden)
    assert await world.repeated() == ""
    world.end()
    assert await world.repeated() == "settled, and then again in saved first"


@pytest.mark.parametrize(("sudden", "repeats"), [(True, 1), (False, 2)])
async def test_what_was_in_work_may_run_again(world: World, repeats: int, *, sudden: bool) -> None:
    """For each loss that has met it in work; twice if Redis was down, see `custody.account`."""
    world.begin()
    await world.lose(sudden=sudden)
    for _ in range(repeats):
        world.begin()
    assert await world.repeated() == ""
    world.begin()
    told = f"lost 1 times while in work, but ran {{'began mark': {repeats + 2}}}"
    assert await world.repeated() == told
    await world.lose(sudden=sudden)
    assert await world.repeated() == ""


@pytest.mark.parametrize("sudden", [False, True])
async def test_what_was_not_in_work_may_not(world: World, *, sudden: bool) -> None:
    """What was queued, or came in later, runs once."""
    await world.lose(sudden=sudden)
    world.begin()
    world.begin()
    assert await world.repeated() == "lost 0 times while in work, but ran {'began mark': 2}"


async def test_what_is_committed_while_redis_is_down_is_settled(world: World) -> None:
    """Postgres is asked after the kill."""
    world.begin()
    await world.lose(world.end, sudden=False)
    world.begin()
    assert await world.repeated() == "settled, and then again in began mark"


async def test_what_is_claimed_just_before_a_sudden_loss_was_in_work(world: World) -> None:
    """What has begun is asked for after it, what was settled before it."""
    await world.lose(world.begin, sudden=True)
    world.begin()
    assert await world.repeated() == ""


@pytest.mark.parametrize("sudden", [False, True])
async def test_what_has_read_its_vcon_before_a_loss_was_in_work(
    world: World, *, sudden: bool
) -> None:
    """Although it goes on only after the account has looked."""
    world.call()
    await world.lose(sudden=sudden)
    world.begin()
    world.begin()
    assert await world.repeated() == ""


async def test_attempts_of_vcons_that_fail_are_no_repetition(world: World) -> None:
    """But once they are settled they are not tried again."""
    for _ in range(3):
        world.begin("b")
    assert await world.account.repeated(FED) == {}
    world.end("b")
    await world.lose(sudden=True)
    world.begin("b")
    assert await world.account.repeated(FED) == {"b": "settled, and then again in began mark"}


def test_the_last_save_counts(tmp_path: Path) -> None:
    """One without the work of the links is a loss, unless a whole one follows in that storage."""
    for what, vcon in [
        ("bare", "a"),
        ("saved", "a"),
        ("saved", "b"),
        ("bare", "b"),
        ("saved", "b"),
    ]:
        note(str(tmp_path), what, "first", vcon)
    note(str(tmp_path), "saved", "second", "a")
    assert Ledger(tmp_path).bare() == {"a", "b"}
    note(str(tmp_path), "saved", "first", "a")
    assert Ledger(tmp_path).bare() == {"b"}


READY = b"Z\x00\x00\x00\x05I"
IN_TRANSACTION = b"Z\x00\x00\x00\x05T"
DONE = b"C\x00\x00\x00\x0bCOMMIT\x00"
ERROR = b"E\x00\x00\x00\x05\x00"


@pytest.mark.parametrize(
    ("answer", "complete", "refused"),
    [
        (DONE + READY, True, False),
        (ERROR + READY, True, True),
        (DONE + IN_TRANSACTION, False, False),
        (DONE + READY[:-1], False, False),
        (b"", False, False),
    ],
)
def test_the_proxy_reads_answers(answer: bytes, *, complete: bool, refused: bool) -> None:
    """Whether Postgres has committed, from its messages."""
    assert (is_complete(answer), is_refused(answer)) == (complete, refused)
