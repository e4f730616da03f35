"""What the log says while vCons go through chains."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core import request_context
from core.errors import ConfigurationError
from core.observability.logs import formatter
from lib.logging_utils import init_logger
from pipeline.live_config import load
from pipeline.worker.run_settler import current_run_fields
from tests.canaries import canary
from tests.integration.support.pipeline_fixtures import Scene, configured, link

PLUGIN = init_logger("a.plugin")


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Where everything that the service would write at INFO goes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter("json"))
    monkeypatch.setattr(request_context, "_sources", [current_run_fields])
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """What has been written."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_a_plugins_line_says_which_run_it_is_of(scene: Scene, stream: io.StringIO) -> None:
    """Run, chain and vCon, on the event loop and in the threads of the pool, each its own."""

    def in_a_thread(vcon_uuid: str, _name: str, _opts: Any) -> str:
        PLUGIN.info("sync", extra={"expected": vcon_uuid})
        return vcon_uuid

    async def on_the_loop(vcon_uuid: str, _name: str, _opts: Any) -> str:
        await asyncio.sleep(0)
        logging.getLogger("other").info("async", extra={"expected": vcon_uuid})
        return vcon_uuid

    await scene.start(configured(links=[link(in_a_thread), link(on_the_loop)]))
    uuids = set(await scene.feed(count=4))
    runs = {(await scene.finished()).claim.run_id for _ in range(4)}
    said = [line for line in lines(stream) if "expected" in line]
    assert [line["vcon"] for line in said] == [line["expected"] for line in said]
    assert {line["run"] for line in said} == runs
    assert {line["chain"] for line in said} == {"main"}
    for kind in ("sync", "async"):
        assert {line["vcon"] for line in said if line["event"] == kind} == uuids


async def test_a_vcon_that_goes_well_makes_no_line(scene: Scene, stream: io.StringIO) -> None:
    """At INFO, what a thousand vCons an hour say is nothing: the history has them."""
    await scene.start(configured())
    await scene.feed(count=20)
    for _ in range(20):
        await scene.finished()
    assert lines(stream) == []


@pytest.mark.parametrize("returned", [None, "raise"])
async def test_a_vcon_that_does_not_makes_one(
    returned: str | None, scene: Scene, stream: io.StringIO
) -> None:
    """A halt is one line at INFO with the link; a failure one at WARNING after its traceback."""

    def end(_uuid: str, _name: str, _opts: Any) -> None:
        if returned:
            raise RuntimeError("no")

    await scene.start(configured(links=[link(end)], max_attempts=1))
    [vcon_uuid] = await scene.feed()
    ended = await scene.finished()
    *before, line = lines(stream)
    assert line["level"] == ("warning" if returned else "info")
    for each in (*before, line):
        assert (each["vcon"], each["run"], each["chain"]) == (vcon_uuid, ended.claim.run_id, "main")
    if returned is None:
        assert (before, line["link"]) == ([], "end")
    else:
        [told] = before
        assert (told["event"], told["link"]) == ("plugin failed", "end")
        assert "RuntimeError: no" in json.dumps(told)


def test_what_the_configuration_says_is_secret_is_never_logged(tmp_path: Path) -> None:
    """Secrets in plugins' options and ingress keys are redacted in the lines of all loggers."""
    secrets = [
        canary(f"{name}-of-this-test-a8c7") for name in ("hook-secret", "db-password", "in-key")
    ]
    path = tmp_path / "config.yml"
    path.write_text(f"""
links: {{hook: {{module: links.tag, options: {{tags: [], secret: {secrets[0]}}}}}}}
storages: {{db: {{module: storage.file, options: {{dsn: "postgres://u:{secrets[1]}@h/d"}}}}}}
chains: {{main: {{links: [hook], storages: [db], ingress_lists: [in]}}}}
ingress_auth: {{in: {secrets[2]}}}
""")
    with contextlib.suppress(ConfigurationError):  # the plugins may not like these options
        load(path, {})
    line = formatter("json").format(logging.makeLogRecord({"msg": f"a plugin says {secrets}"}))
    assert "a plugin says" in line
    assert not [secret for secret in secrets if secret in line]
