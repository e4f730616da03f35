"""The configuration and the vCons that all scenarios use."""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PLUGINS = Path(__file__).parents[1] / "plugins"
CHAIN = "chaos"
INGRESS, EGRESS = "chaos_in", "chaos_out"
LINKS = ("mark", "tag", "judge")
STORAGES = ("first", "second")

type Parts = Mapping[str, Mapping[str, Any]]
"""Further `links` and `storages` of the configuration, by name."""
NO_MORE: Parts = {}


def write_config(folder: Path, *, seconds: float, ttl: int = 0, more: Parts = NO_MORE) -> Path:
    """Write config.yml (as JSON, which is valid YAML) and return its path.

    `seconds`: the maximum duration of each plugin. `ttl`: the seconds that the first link sets.
    The chain has `more` at its end.
    """
    told = {"folder": str(folder), "seconds": seconds}
    path = folder / "config.yml"
    links = {
        "mark": {"module": "chaos_plugins.mark", "options": {**told, "ttl": ttl}},
        "tag": {"module": "links.tag", "options": {"tags": ["chaos"]}},
        "judge": {"module": "chaos_plugins.judge", "options": told},
    }
    storages = {
        name: {"module": "chaos_plugins.shelf", "options": {**told, "name": name}}
        for name in STORAGES
    }
    more_links, more_storages = more.get("links", {}), more.get("storages", {})
    chain = {
        "links": [*LINKS, *more_links],
        "storages": [*STORAGES, *more_storages],
        "ingress_lists": [INGRESS],
        "egress_lists": [EGRESS],
    }
    document = {
        "links": {**links, **more_links},
        "storages": {**storages, **more_storages},
        "chains": {CHAIN: chain},
    }
    path.write_text(json.dumps(document))
    return path


def vcon(subject: str) -> dict[str, Any]:
    """A vCon whose subject selects the behaviour of the plugins."""
    return {
        "vcon": "0.4.0",
        "uuid": str(uuid.uuid4()),
        "created_at": datetime.now(UTC).isoformat(),
        "subject": subject,
        "parties": [{"name": "Ada"}],
        "dialog": [],
        "analysis": [],
        "attachments": [],
    }
