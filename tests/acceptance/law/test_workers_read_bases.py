"""The workers of a service read what was recorded, with secrets that are not in their environment.

They have the password of Postgres, also with `CUSTODY=redis`, and not the secret with which the
service hashes the numbers of its index.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from devstack.deployment import Deployment
from tests.canaries import canary
from tests.integration.law.release_scene import basis
from tests.integration.support.pipeline_fixtures import a_vcon

LINK = """
import os
from pathlib import Path

def run(vcon_uuid, link_name, opts):
    with Path(opts["file"]).open("a") as file:
        file.write(vcon_uuid + "\\n")
    assert not {"POSTGRES_PASSWORD", "INDEX_SECRET", "INDEX_SECRETS_EARLIER"} & set(os.environ)
    return vcon_uuid
"""


async def test_what_is_recorded_for_a_person_counts_in_the_workers(tmp_path: Path) -> None:
    """A denial, and an erasure with `suppress`; a vCon of another person goes on."""
    (tmp_path / "seeing_link.py").write_text(LINK)
    seen = tmp_path / "seen"
    link = {"module": "seeing_link", "options": {"file": str(seen)}, "requires": {"purpose": "x"}}
    document = {
        "law": {"basis": {}},
        "links": {"see": link},
        "chains": {"main": {"links": ["see"], "ingress_lists": ["in"], "custody": 1}},
    }
    (config := tmp_path / "config.yml").write_text(json.dumps(document))
    given = {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
        "ACTIONS": "RunChain,RecordBasis,EraseParty",
        "LAW_ACTIONS": "true",
        "CUSTODY": "redis",
        "CONSERVER_WORKERS": "1",
        "INDEX_SECRET": canary("secret-of-the-index-77c1"),
        "INDEX_SECRETS_EARLIER": canary("earlier-secret-of-the-index-77c2"),
    }
    async with Deployment(config, settings=given) as system:
        told = {"granted": False, "tel": "+1 201 555 0123", "reason": "a letter"}
        assert (await system.call("RecordBasis", **told)).status_code == 201

        told = {"tel": "+1 201 555 0144", "suppress": True, "reason": "another letter"}
        assert (await system.call("EraseParty", **told)).status_code == 200

        async def ended(number: str) -> tuple[str, Any]:
            vcon = a_vcon(parties=[{"tel": number}], attachments=[basis("x")])
            answer = await system.call("RunChain", chain="main", vcon=vcon, wait=20)
            return vcon["uuid"], answer.json()["fields"]

        _, denied = await ended("+12015550123")
        _, erased = await ended("+12015550144")
        vcon_uuid, other = await ended("+12015550199")
    found = [each["status"] for each in (denied, erased, other)]
    assert found == ["withheld", "withheld", "done"]
    assert seen.read_text().split() == [vcon_uuid]
