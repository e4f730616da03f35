"""A chain that is disabled as it is broken: reported, its vCons kept, enabled when it is mended."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import InvalidError
from core.observability.metrics import BROKEN_CHAINS
from core.operator_interfaces import Call
from pipeline.config import yaml_file
from pipeline.live_config import Configuration
from pipeline.plugins.loader import Plugins
from schemas.operator.status import Status
from tests.integration.support.composition_scene import PATIENCE, Opened, at_work
from tests.integration.support.operator_scene import AUTHOR
from tests.integration.support.pipeline_fixtures import Scene, a_vcon

MODULE = "module_that_comes_late"
CONFIGURATION = f"""
links:
  tag: {{module: links.tag, options: {{tags: [seen]}}}}
  late: {{module: {MODULE}}}
chains:
  good: {{links: [tag], ingress_lists: [in]}}
  ill: {{links: [late, tag], ingress_lists: [calls], on_broken: disable}}
"""
LATE = "def run(vcon_uuid, link_name, opts):\n    return vcon_uuid\n"
PROBLEM = f"links.late: no module named '{MODULE}'; "


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file, in a folder that modules are imported from."""
    monkeypatch.syspath_prepend(tmp_path)
    (path := tmp_path / "config.yml").write_text(CONFIGURATION)
    yield path
    sys.modules.pop(MODULE, None)


async def mended(opened: Opened, config: Path) -> Configuration:
    """The configuration after the module has come, and SIGHUP."""
    config.with_name(f"{MODULE}.py").write_text(LATE)
    opened.front.reload()
    async with asyncio.timeout(PATIENCE):
        await opened.changes.wait()
    return opened.front.configuration


async def test_nothing_is_lost_and_a_reload_enables_it(
    config: Path, redis_url: str, scene: Scene
) -> None:
    """The other chain runs; this one takes vCons in, which run once its module is here."""
    async with at_work(config, redis_url, dynamic_install=False) as opened:
        service = opened.front.service
        await scene.start(opened.front.configuration)
        waiting = await service.internal.take(a_vcon(), ["calls"], None)
        quick = await service.internal.take(a_vcon(), ["in"], None)
        assert (await scene.finished()).claim.vcon_uuid == quick.uuid
        assert scene.elements("calls") == [waiting.uuid]
        with pytest.raises(InvalidError, match=r"ill is disabled, as it is broken: links\.late"):
            await service.run_chain("ill", waiting.uuid, 0)
        configuration = await mended(opened, config)
        assert [each.name for each in configuration.config.enabled_chains] == ["good", "ill"]
        await scene.start(configuration, "two")
        assert (await scene.finished()).claim.vcon_uuid == waiting.uuid
        assert [each.broken for each in await service.chains()] == [[], []]


async def test_it_is_reported(
    config: Path, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In the log, in ListChains, in the metrics, and in the status of any process."""
    async with at_work(config, redis_url, dynamic_install=False) as opened:
        [line] = [each for each in caplog.records if "it is broken" in each.getMessage()]
        assert (vars(line)["chain"], vars(line)["error"][: len(PROBLEM)]) == ("ill", PROBLEM)
        good, ill = await opened.front.service.chains()
        assert (good.enabled, good.broken, ill.enabled) == (True, [], False)
        assert ill.broken[0].startswith(PROBLEM)
        await opened.front.depths.look()
        [sample] = next(iter(BROKEN_CHAINS.collect())).samples
        assert (sample.labels, sample.value) == ({"chain": "ill"}, 1)
        await opened.front.register.sign()
        status = await told(opened)
        assert (status.level, status.causes[0].subject) == ("yellow", "ill")
        assert f"chain ill is disabled, as it is broken: {PROBLEM}" in status.causes[0].text
        await opened.front.service.internal.take(a_vcon(), ["calls"], None)
        assert (await told(opened)).level == "red"
        without = Configuration(yaml_file.read(config, {}), Plugins())  # as the commands have it
        opened.front.configuration.adopt(without)
        again = await told(opened)
        [ill_there] = [each for each in again.chains if each.name == "ill"]
        assert (ill_there.enabled, ill_there.broken[: len(PROBLEM)]) == (False, PROBLEM)


async def told(opened: Opened) -> Status:
    """The status, of which only the broken chains are looked at."""
    found = await opened.front.service.operator.perform("status", {}, Call(AUTHOR))
    assert isinstance(found, Status)
    found.causes = [each for each in found.causes if each.code == "broken"]
    return found


@pytest.fixture
def passing_on(config: Path) -> Path:
    """The file with a chain that writes the broken one's list, and a disabled one that names it."""
    more = "in], egress_lists: [calls]}\n  resting: {enabled: 0, ingress_lists: [calls"
    config.write_text(CONFIGURATION.replace("ingress_lists: [in", f"ingress_lists: [{more}"))
    return config


async def test_its_list_is_not_for_readers(passing_on: Path, redis_url: str) -> None:
    """On other replicas the chain may run; it also comes before the one that is disabled."""
    async with at_work(passing_on, redis_url, dynamic_install=False) as opened:
        taker = opened.front.configuration.config.chain_taking("calls")
        assert taker is not None
        assert taker.name == "ill"
        with pytest.raises(InvalidError, match="calls is not for readers: chain ill reads it"):
            await opened.front.service.operations.read_egress("calls", 1, 60)
