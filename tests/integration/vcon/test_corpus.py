"""vCons of every maker: each comes in, and what comes out of Redis and two storages is the same."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from devstack.servers.postgres import Postgres
from lib import vcon_egress_compat
from links import tag
from pipeline.live_config import Configuration
from pipeline.storages import lookup as finder_module
from pipeline.storages.lookup import VconLookup
from pipeline.vcon.normalization import outgoing
from schemas.vcon import TEXT_FORM
from storage import file, postgres
from tests.integration.support.operations_scene import Operations, operations
from tests.integration.support.pipeline_fixtures import configured, storage
from tests.integration.support.postgres_scene import as_options
from tests.integration.vcon.corpus_scene import corpus, differences

FORMS = [TEXT_FORM, "0.4.0", "0.0.1"]
CORPUS = corpus()


@pytest.fixture
async def ops(
    redis_url: str,
    tmp_path: Path,
    postgres_server: Postgres,
    empty_database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Operations]:
    """A chain that takes envelopes and keeps everything in files and in a database."""
    options = as_options(postgres_server, empty_database)
    shelves = [
        storage(
            lambda vcon_uuid, _: file.save(vcon_uuid, {"path": str(tmp_path)}),
            "file",
            get=lambda vcon_uuid, _: file.get(vcon_uuid, {"path": str(tmp_path)}),
        ),
        storage(_with(postgres.save, options), "postgres", get=_with(postgres.get, options)),
    ]
    loaded = {spec.name: each for spec, each in shelves}
    monkeypatch.setattr(finder_module, "load_storage", lambda spec: loaded[spec.name])
    chain = configured(storages=shelves, allow_envelopes=True)
    async with operations(redis_url) as opened:
        opened.configure(Configuration(chain.config, chain.plugins))
        opened.intake._max_depth = len(CORPUS)
        yield opened
        await postgres.close()
    vcon_egress_compat.configure(TEXT_FORM)


def _with(function: Any, options: dict[str, Any]) -> Any:
    async def called(vcon_uuid: str, _options: Any) -> Any:
        return await function(vcon_uuid, options)

    return called


def _finder(ops: Operations) -> VconLookup:
    return ops.operations._lookup


async def taken(ops: Operations) -> dict[str, str]:
    """The whole corpus, in and through the chain: its uuids by name."""
    uuids = {name: (await ops.take(vcon, "in")).uuid for name, vcon in CORPUS.items()}
    ended = await ops.work(len(uuids))
    assert {each.status for each in ended} == {"done"}
    return uuids


@pytest.mark.parametrize("form", FORMS)
async def test_every_vcon_comes_in_and_comes_out_whole(ops: Operations, form: str) -> None:
    """None is refused; no member is lost, changed or made up, in any form and from any place."""
    vcon_egress_compat.configure(form)
    wrong: dict[str, Any] = {}
    for name, vcon_uuid in (await taken(ops)).items():
        for place, after in (await outs(ops, vcon_uuid, form)).items():
            assert after["uuid"] == vcon_uuid
            wrong[f"{name} from {place}"] = differences(CORPUS[name], after)
        for place in ("file", "postgres"):
            before, after = await brought_back(ops, vcon_uuid, place)
            wrong[f"{name} back from {place}"] = differences(before, after)
            wrong[f"{name} from {place} and back"] = differences(after, before)
            assert form != TEXT_FORM or before == after
    assert {where: found for where, found in wrong.items() if found} == {}


async def outs(ops: Operations, vcon_uuid: str, form: str) -> dict[str, Any]:
    """The vCon as it leaves, from each place that has it."""
    finder = _finder(ops)
    found = {
        "Redis": await finder.find(vcon_uuid),
        "file": await finder.find_in("file", vcon_uuid),
        "postgres": await finder.find_in("postgres", vcon_uuid),
    }
    left = {place: outgoing(vcon, form) for place, vcon in found.items()}
    told: dict[str, Any] = json.loads(json.dumps(left))
    return told


async def brought_back(ops: Operations, vcon_uuid: str, place: str) -> tuple[Any, Any]:
    """The vCon in Redis before Redis has lost it, and after one storage has given it back."""
    before = ops.client.json().get(f"vcon:{vcon_uuid}")
    ops.forget_time(vcon_uuid)
    storages = ops.configuration.config.storages
    only = {place: storages[place]}
    vars(ops.configuration.config)["storages"] = only
    assert await _finder(ops).bring_back(vcon_uuid) == vcon_uuid
    vars(ops.configuration.config)["storages"] = storages
    return before, ops.client.json().get(f"vcon:{vcon_uuid}")


async def test_a_link_changes_nothing_but_what_it_adds(ops: Operations) -> None:
    """Read and written by a built-in link: its tag is there, and all the rest as it came."""
    wrong = {}
    for name, vcon in CORPUS.items():
        vcon_uuid = (await ops.take(vcon)).uuid
        await tag.run(vcon_uuid, "tag", {"tags": ["corpus"]})
        after = ops.client.json().get(f"vcon:{vcon_uuid}")
        tags = [each for each in after["attachments"] if "corpus:corpus" in str(each.get("body"))]
        assert len(tags) == 1, name
        mine = after["attachments"].index(tags[0])
        if mine < len(vcon.get("attachments") or []):
            after["attachments"][mine] = vcon["attachments"][mine]
        else:
            del after["attachments"][mine]
        if found := differences(vcon, after):
            wrong[name] = found
    assert wrong == {}
