"""A plugin that does everything that vcon-server's own plugins do, on a real Redis."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from devstack.testing import PluginBench, sample_vcon
from pipeline.vcon.validation import findings
from tests.plugins.scene import PLUGINS, tags

OLD = {"type": "tags", "body": ["a:b"], "encoding": "none"}
ONLY_TAGGED = {"only_if": {"section": "attachments", "type": "tags", "includes": "a:b"}}


@pytest.fixture
def bench(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[PluginBench]:
    """A bench that finds the plugin."""
    monkeypatch.syspath_prepend(PLUGINS / "old-habits")
    with PluginBench(redis_url) as bench:
        yield bench
    sys.modules.pop("old_habits", None)


def an_old_vcon(**changes: Any) -> dict[str, Any]:
    """As it came from a vcon-server of 2024."""
    return sample_vcon(vcon="0.0.1", redacted={}, group=[], attachments=[OLD]) | changes


def test_what_it_writes_is_a_fine_vcon(bench: PluginBench, redis_url: str) -> None:
    """Analysis, tags in one list, an attachment by its older name, and a child in a list."""
    vcon = an_old_vcon()
    after = bench.run_link("old_habits", vcon, ONLY_TAGGED).vcon
    assert after is not None
    assert findings(after) == []
    [analysis] = after["analysis"]
    assert (analysis["body"], analysis["encoding"]) == ('{"score": 33}', "json")
    assert analysis["vendor_schema"] == {"response": {"score": 33}}
    assert tags(after) == ["a:b", "sentiment:high"]
    assert [entry["purpose"] for entry in after["attachments"]] == ["tags", "report"]
    with Redis.from_url(redis_url, decode_responses=True) as client:
        [child] = client.lrange("next", 0, -1)
        assert 0 < client.ttl(f"vcon:{child}") <= 60
        assert len(client.get(f"seen:{vcon['uuid']}")) == len(hashlib.sha256().hexdigest())
    made = bench.read(child)
    assert made is not None
    assert findings(made) == []
    told = {"parent": vcon["uuid"], "report": {"a": 1}, "score": 33, "tag": "high"}
    assert json.loads(made["attachments"][0]["body"]) == told | {"old": vcon["uuid"], "party": 0}


def test_a_vcon_that_it_is_not_for_stays_as_it_is(bench: PluginBench) -> None:
    """A filter lets the chain go on."""
    vcon = an_old_vcon(attachments=[])
    outcome = bench.run_link("old_habits", vcon, ONLY_TAGGED)
    assert outcome.returned == vcon["uuid"]
    assert outcome.vcon is not None
    assert outcome.vcon["analysis"] == []
