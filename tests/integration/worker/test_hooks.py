"""Hooks as vcon-server has them: called at their moments, bounded, and never the end of a vCon."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigurationError
from pipeline.config.parser import parse
from pipeline.live_config import Configuration
from pipeline.plugins.loader import load
from tests.integration.support.composition_scene import Opened, at_work
from tests.integration.support.law_gates import Purposes
from tests.integration.support.pipeline_fixtures import Scene, a_vcon
from tests.plugins.scene import PLUGINS

MODULES = ("old_hook", "old_audited", "hook", "after_link_hook", "vcon_hook", "slow_hook")
PARTIES = [{"name": "Ada", "tel": "+15550100"}, {"mailto": "a@b.c"}, {"name": "Bob"}]

type Make = Callable[..., Configuration]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes a configuration of one chain with a link and hooks."""
    monkeypatch.syspath_prepend(PLUGINS / "old-habits")
    monkeypatch.syspath_prepend(tmp_path)
    for name in MODULES:
        sys.modules.pop(name, None)

    def configuration(**changes: Any) -> Configuration:
        options = {"after_link": {"audit": 1}} | changes.pop("options", {})
        document = {
            "links": {"audited": {"module": "old_audited", "options": options}},
            "chains": {"main": {"links": ["audited"], "ingress_lists": ["in"], "max_attempts": 1}},
            "hooks": {"all": {"module": "old_hook"}},
        } | changes
        how: Any = {"on_broken": document.pop("on_broken", "refuse")}
        written = {name: each for name, each in document.items() if each is not None}
        config = parse(written, {}, **how)
        return Configuration(config, load(config))

    yield configuration
    for name in MODULES:
        sys.modules.pop(name, None)


def told(scene: Scene) -> list[list[Any]]:
    """What the hook has told."""
    return [json.loads(each) for each in scene.client.lrange("told", 0, -1)]


async def fed(scene: Scene) -> str:
    """A vCon with parties, in the list."""
    document = a_vcon(parties=PARTIES)
    await scene.store.put(document)
    await scene.redis.command("RPUSH", "in", document["uuid"])
    return str(document["uuid"])


async def quiet(scene: Scene) -> None:
    """Until the worker's tasks have ended, so that the last hook has been called."""
    for crew in scene.crews:
        crew.worker.stop()
        await crew.worker.idle()


async def test_the_moments_of_a_run(scene: Scene, make: Make) -> None:
    """Before it, after its link with what the link declares, and after it."""
    await scene.start(make())
    uuid = await fed(scene)
    assert (await scene.finished()).status == "done"
    await quiet(scene)
    audit = {"third_party_service": "acme", "data_type": "transcript"}
    parties = ["+15550100", "a@b.c"]
    assert told(scene) == [
        ["before", uuid, "main", "in"],
        ["link", uuid, "audited", audit, {"audit": 1}, "success", "", parties],
        ["after", uuid, None],
    ]


async def test_a_link_that_fails(scene: Scene, make: Make) -> None:
    """Its error is told, and the run's; the dead letter is as without hooks."""
    await scene.start(make(options={"fail": True}))
    uuid = await fed(scene)
    assert (await scene.finished()).status == "failed"
    await quiet(scene)
    _, link, after = told(scene)
    assert link[5:7] == ["error", "acme is away"]
    assert after == ["after", uuid, "ValueError: acme is away"]
    assert scene.elements("DLQ:in") == [uuid]


LOSES = """
effect = "once"
def run(vcon_uuid, link_name, opts): raise TimeoutError("no answer")
"""


async def test_a_link_whose_outcome_is_unknown(scene: Scene, make: Make, tmp_path: Path) -> None:
    """It is told as a link that failed; the run becomes a dead letter."""
    (tmp_path / "slow_hook.py").write_text(LOSES)
    await scene.start(make(links={"audited": {"module": "slow_hook"}}))
    uuid = await fed(scene)
    assert (await scene.finished()).run["error"].startswith("OutcomeUnknownError: link audited may")
    await quiet(scene)
    [link] = [each for each in told(scene) if each[0] == "link"]
    assert (link[1], link[5]) == (uuid, "error")
    assert "no answer" in link[6]


async def test_a_vcon_that_is_skipped_is_recorded(scene: Scene, make: Make) -> None:
    """As a halted run that says which hook it was; no link runs, and it is no dead letter."""
    await scene.start(make())
    document = a_vcon()
    scene.client.sadd("unwanted", document["uuid"])
    await scene.store.put(document)
    await scene.redis.command("RPUSH", "in", document["uuid"])
    ended = await scene.finished()
    assert (ended.status, ended.run["steps"]) == ("halted", [])
    assert ended.run["error"] == "skipped: before_processing of hook all returned nothing"
    await quiet(scene)
    assert [each[0] for each in told(scene)] == ["before", "after"]
    assert scene.elements("DLQ:in") == []


BAD = """
import time
def before_processing(vcon_id, chain_details, context): raise OSError("down")
def after_processing(vcon_id, chain_details, context, error=None): raise SystemExit(3)
async def after_link(*said):
    import asyncio
    await asyncio.Event().wait()
"""


async def test_hooks_that_fail_or_hang(scene: Scene, make: Make, tmp_path: Path) -> None:
    """They are bounded and logged, and the run goes on."""
    (tmp_path / "slow_hook.py").write_text(BAD)
    await scene.start(make(hooks={"bad": {"module": "slow_hook", "timeout": 0.05}}))
    await fed(scene)
    assert (await scene.finished()).status == "done"
    await quiet(scene)


async def test_a_hook_may_fail_the_attempt(scene: Scene, make: Make, tmp_path: Path) -> None:
    """With `on_error: fail`, so that no vCon passes a check that could not be made."""
    (tmp_path / "slow_hook.py").write_text(BAD)
    bad = {"module": "slow_hook", "timeout": 0.05, "on_error": "fail"}
    await scene.start(make(hooks={"bad": bad}))
    uuid = await fed(scene)
    ended = await scene.finished()
    assert (ended.status, ended.run["error"]) == ("failed", "hook bad: OSError: down")
    assert scene.elements("DLQ:in") == [uuid]
    await quiet(scene)


def test_a_replaced_module_on_the_path(make: Make, tmp_path: Path) -> None:
    """It is used as it is there, and said so; a section `hooks` decides by itself."""
    (tmp_path / "hook.py").write_text("def before_processing(a, b, c): return a\n")
    (tmp_path / "vcon_hook.py").write_text("def on_vcon_deleted(vcon_id): pass\n")
    plugins = make(hooks=None).plugins
    assert [each.name for each in plugins.hooks.before_processing] == ["hook"]
    assert [each.name for each in plugins.hooks.on_vcon_deleted] == ["vcon_hook"]
    assert sum("is used as a hook" in note for note in plugins.notes) == 2
    plugins = make(hooks={"mine": {"module": "hook"}}).plugins
    assert [each.name for each in plugins.hooks.before_processing] == ["mine"]
    assert plugins.hooks.on_vcon_deleted == ()
    assert plugins.notes == (
        "hooks: the module 'vcon_hook' is on the path, and not used: this section does not name it",
    )
    assert make(hooks={}).plugins.hooks.before_processing == ()


def test_a_hook_that_no_basis_gates_is_noted(make: Make, tmp_path: Path) -> None:
    """Where bases are evaluated: it gets the whole vCon, also one that is withheld."""
    (tmp_path / "slow_hook.py").write_text("def on_vcon_created(a, b, c): pass\n")
    hooks = {"mine": {"module": "slow_hook"}}
    assert make(hooks=hooks).plugins.notes == ()
    [note] = make(hooks=hooks, law={"basis": {}}).plugins.notes
    assert note.startswith("hooks.mine: on_vcon_created gets every vCon")


def test_modules_of_the_names_that_are_for_something_else(make: Make, tmp_path: Path) -> None:
    """A module without any of the functions, and a folder: neither is a hook, nor an error."""
    (tmp_path / "hook.py").write_text("x = 1\n")
    (tmp_path / "vcon_hook").mkdir()
    plugins = make(hooks=None).plugins
    assert plugins.hooks.before_processing == ()
    assert plugins.notes == ()


def test_a_broken_hook_is_not_passed_over(make: Make) -> None:
    """CONFIG_ON_BROKEN does not count: a chain without its check of consent must not run."""
    with pytest.raises(ConfigurationError, match=r"hooks\.mine: no module named"):
        make(hooks={"mine": {"module": "no_such_hook"}}, on_broken="disable")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("x = 1\n", "hooks.mine: has none of the functions before_processing"),
        ("def on_vcon_deleted(): pass\n", "is defined as on_vcon_deleted(), but is called as"),
        ("after_link = 3\n", "hooks.mine: after_link is not a function"),
        ("raise OSError('x')\n", "hooks.mine: importing slow_hook fails"),
    ],
)
def test_modules_that_are_no_hooks(make: Make, tmp_path: Path, content: str, problem: str) -> None:
    """They are refused at the start."""
    (tmp_path / "slow_hook.py").write_text(content)
    with pytest.raises(ConfigurationError) as refused:
        make(hooks={"mine": {"module": "slow_hook"}})
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"module": "old_hook", "timeout": 0}, "hooks.h.timeout: must be a number of seconds"),
        ({"module": "old_hook", "on_error": "stop"}, "hooks.h.on_error: must be continue or fail"),
        ({}, "hooks.h.module: is missing"),
        (["old_hook"], "hooks.h: must be a mapping"),
        ({"module": "old_hook", "options": {"a": "${NO_SUCH}"}}, "has no NO_SUCH"),
    ],
)
def test_entries_that_are_wrong(make: Make, entry: object, problem: str) -> None:
    """With the place."""
    with pytest.raises(ConfigurationError) as refused:
        make(hooks={"h": entry})
    assert problem in str(refused.value)


FILE = "chains: {main: {ingress_lists: [in]}}\nhooks: {all: {module: old_hook}}\n"


@pytest.mark.usefixtures("make")
async def test_vcons_that_come_in_and_are_deleted(tmp_path: Path, redis_url: str) -> None:
    """New and replaced ones, with their lists; not one that comes again."""
    (path := tmp_path / "config.yml").write_text(FILE)
    async with at_work(path, redis_url) as opened:
        internal, vcon = opened.front.service.internal, a_vcon()
        await internal.take(vcon, ["in"], None)
        await internal.take(vcon, ["in"], None)
        await seen(opened, 1)
        await internal.take(vcon | {"subject": "other"}, [], None)
        await seen(opened, 2)
        await opened.front.service.operations.delete(vcon["uuid"], [])
        found = await seen(opened, 3)
    uuid = vcon["uuid"]
    assert found == [
        ["created", uuid, uuid, ["in"]],
        ["created", uuid, uuid, []],
        ["deleted", uuid],
    ]


async def seen(opened: Opened, count: int) -> list[Any]:
    """So many words of the hook, as soon as it has said them."""
    await opened.until(lambda: opened.client.llen("told") >= count)
    return [json.loads(each) for each in opened.client.lrange("told", 0, -1)]


async def test_a_withheld_run_has_not_ended_yet(scene: Scene, make: Make) -> None:
    """`after_processing` is told once, when the run has gone on to its end."""
    links = {"audited": {"module": "old_audited", "requires": {"purpose": "x"}}}
    await scene.start(make(links=links, law={"basis": {}}))
    await fed(scene)
    assert (await scene.ended()).status == "withheld"
    await quiet(scene)
    assert [each[0] for each in told(scene)] == ["before"]


GUARD = """
import json
from redis_mgr import redis
def tell(name, vcon_id):
    redis.rpush("told", json.dumps([name, vcon_id]))
"""
BEFORE = """
def before_processing(vcon_id, chain_details, context):
    tell("before", vcon_id)
    return vcon_id
"""
LATER = """
def after_link(vcon_id, *rest):
    tell("link", vcon_id)
def after_processing(vcon_id, chain_details, context, error=None):
    tell("after", vcon_id)
"""
HOOKS: dict[str, Any] = {"guard": {"module": "slow_hook", "requires": {"purpose": "hooked"}}}


@pytest.mark.parametrize(
    ("text", "status", "calls"),
    [
        (BEFORE + LATER, "withheld", []),
        (LATER, "done", []),
        (BEFORE + LATER, "done", ["before", "link", "after"]),
    ],
)
async def test_a_hook_that_the_law_does_not_allow(
    scene: Scene, make: Make, tmp_path: Path, text: str, status: str, calls: list[str]
) -> None:
    """It is not called; one before the first link withholds the run."""
    (tmp_path / "slow_hook.py").write_text(GUARD + text)
    scene.law_gate = Purposes(*(["hooked"] if calls else []))
    await scene.start(make(hooks=HOOKS, law={"basis": {}}))
    await fed(scene)
    assert (await scene.ended()).status == status
    await quiet(scene)
    assert [each[0] for each in told(scene)] == calls


def test_a_hook_outside_of_runs_requires_nothing(make: Make) -> None:
    """Nothing is evaluated there, so it is refused, as is one without `law.basis`."""
    hooks = {"all": {"module": "old_hook", "requires": {"purpose": "hooked"}}}
    for changes, problem in (
        ({"law": {"basis": {}}}, "on_vcon_created is called outside of runs"),
        ({}, "hooks.all.requires: needs law.basis"),
    ):
        with pytest.raises(ConfigurationError) as refused:
            make(hooks=hooks, **changes)
        assert problem in str(refused.value)
