"""The configuration and the vCons that all scenarios use."""

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PLUGINS = Path(__file__).parent / "plugins"
CHAIN = "chaos"
INGRESS, EGRESS = "chaos_in", "chaos_out"
LINKS = ("mark", "tag", "judge")
STORAGES = ("first", "second")


def write_config(folder: Path, *, seconds: float, ttl: int = 0) -> Path:
    """Write config.yml (as JSON, which is valid YAML) and return its path.

    `seconds`: the maximum duration of each plugin. `ttl`: the seconds that the first link sets.
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
    chain = {
        "links": list(LINKS),
        "storages": list(STORAGES),
        "ingress_lists": [INGRESS],
        "egress_lists": [EGRESS],
    }
    document = {"links": links, "storages": storages, "chains": {CHAIN: chain}}
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
