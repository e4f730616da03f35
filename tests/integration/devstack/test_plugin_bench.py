"""The bench on which authors of plugins try them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import ConfigurationError
from devstack.testing import GuestBench, PluginBench, sample_vcon
from pipeline.vcon.validation import findings
from tests.plugins.scene import tags


@pytest.fixture
def bench(redis_url: str) -> Iterator[PluginBench]:
    """A bench on the session's server."""
    with PluginBench(redis_url) as bench:
        yield bench


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("bench_plugin", None)
    importlib.invalidate_caches()


def test_the_sample_is_a_fine_vcon() -> None:
    """Nothing is found wrong with it, and each is another."""
    assert findings(sample_vcon()) == []
    assert sample_vcon()["uuid"] != sample_vcon()["uuid"]


def test_a_link_that_is_async(bench: PluginBench) -> None:
    """What it returned, and the vCon after it; the embedded server is not needed."""
    vcon = sample_vcon()
    outcome = bench.run_link("links.tag", vcon, {"tags": ["seen"]})
    assert outcome.returned == vcon["uuid"]
    assert outcome.vcon is not None
    assert tags(outcome.vcon) == ["seen:seen"]


def test_what_a_plugin_raises_is_raised(bench: PluginBench, folder: Path) -> None:
    """By the plugin's own exception, from a thread; and what it writes to Redis itself is there."""
    (folder / "bench_plugin.py").write_text(
        "import redis, threading\n"
        "def run(vcon_uuid, link_name, opts):\n"
        "    assert threading.current_thread().name.startswith('plugin')\n"
        "    client = redis.Redis(host=opts['host'], port=opts['port'])\n"
        "    client.json().set(f'vcon:{vcon_uuid}', '.subject', 'mine')\n"
        "    raise LookupError('gone')\n"
    )
    vcon, place = sample_vcon(), {"host": bench.redis_host, "port": bench.redis_port}
    with pytest.raises(LookupError, match="gone"):
        bench.run_link("bench_plugin", vcon, place)
    assert (bench.read(vcon["uuid"]) or {})["subject"] == "mine"


@pytest.mark.parametrize(
    ("module", "options", "why"),
    [
        ("links.tagg", {}, "did you mean 'links.tag'"),
        ("links.delay", {"seconds": "x"}, "options.seconds"),
        ("bench_plugin", {}, "is defined as run(uuid), but is called as run(vcon_uuid,"),
    ],
)
def test_a_plugin_that_no_chain_would_load(
    bench: PluginBench, folder: Path, module: str, options: dict[str, str], why: str
) -> None:
    """It is refused in the same words as at the start."""
    (folder / "bench_plugin.py").write_text("def run(uuid): ...\n")
    with pytest.raises(ConfigurationError) as refused:
        bench.run_link(module, sample_vcon(), options)
    assert why in str(refused.value)


def test_a_storage_is_closed_and_may_lack_functions(bench: PluginBench, folder: Path) -> None:
    """After each call its connections are given back; what it does not have is told."""
    (folder / "bench_plugin.py").write_text(
        "saved, closed = [], []\n"
        "def save(vcon_uuid, opts): saved.append(vcon_uuid)\n"
        "def close(): closed.append(len(saved))\n"
    )
    vcon = sample_vcon()
    bench.save("bench_plugin", vcon)
    module = sys.modules["bench_plugin"]
    assert (module.saved, module.closed) == ([vcon["uuid"]], [1])
    with pytest.raises(NotImplementedError):
        bench.get("bench_plugin", vcon["uuid"])


async def test_it_works_inside_an_event_loop(bench: PluginBench) -> None:
    """Authors whose tests are async need not care."""
    assert bench.run_link("links.tag", sample_vcon(), {"tags": ["a"]}).vcon


def test_what_a_plugin_keeps_on_its_loop_can_be_used_again(
    bench: PluginBench, folder: Path
) -> None:
    """A worker has one loop, and so has the bench."""
    (folder / "bench_plugin.py").write_text(
        "import asyncio\n"
        "class Waiter:\n"
        "    loops = set()\n"
        "    async def run(self, vcon_uuid, link_name, opts):\n"
        "        self.loops.add(asyncio.get_running_loop())\n"
        "        return len(self.loops)\n"
    )
    assert [bench.run_link("bench_plugin", sample_vcon()).returned for _ in range(2)] == [1, 1]


def test_the_former_name_is_an_alias() -> None:
    """Existing tests of plugins import `GuestBench`."""
    assert GuestBench is PluginBench
