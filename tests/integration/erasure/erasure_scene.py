"""Erasures on real servers: a configuration with storages of each kind, and a receiver."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from core.db.database import Database, database
from core.db.law.deliveries import Deliveries, NewDelivery
from core.db.runs import RunHistory
from core.db.usage_and_audit import PartnerRecords
from core.settings import OperatorProcessSettings, load_settings
from pipeline.composition import PipelineComposition
from pipeline.erasure.erasures import Erasures, Request
from pipeline.erasure.factory import ErasureParts
from pipeline.redis_client import client as connection
from schemas.law.erasures import Erasure
from tests.integration.operator.people_scene import People
from tests.integration.support.http_stand_in import StandIn, stand_in
from tests.integration.support.operator_scene import OperatorScene
from tests.law_keys import certificate_pem, ec_key, private_pem

STORE = """
from pathlib import Path

def save(vcon_uuid, opts):
    (Path(opts["path"]) / vcon_uuid).write_text("kept")
"""
GET = """
def get(vcon_uuid, opts):
    if (Path(opts["path"]) / "unreadable").exists():
        raise OSError("Ann is not at home")
    file = Path(opts["path"]) / vcon_uuid
    return {"uuid": vcon_uuid} if file.exists() else None
"""
DELETE = """
def delete(vcon_uuid, opts):
    if (Path(opts["path"]) / "down").exists():
        raise OSError("Ann is not at home")
    file = Path(opts["path"]) / vcon_uuid
    was_there = file.exists()
    file.unlink(missing_ok=True)
    return was_there
"""
LIAR = "\ndef delete(vcon_uuid, opts):\n    return True\n"
MODULES = {
    "shelf": STORE + GET + DELETE,
    "vault": STORE + DELETE,
    "archive": STORE + GET,
    "liar": STORE + GET + LIAR,
    "partner": STORE,
    "mirror": STORE + GET + DELETE,
    "sealed": STORE + DELETE,
}
TOLD = ("partner", "mirror", "sealed")
"""Storages whose receiver is told, too."""
CONFIG = """
law:
  keys: {{one: {{private: {private}, chain: {chain}}}}}
links:
  crm:
    module: links.webhook
    options: {{webhook-urls: [{url}]}}
    erase: {{url: "{url}/crm", headers: {{x-tenant: seven}}}}
  tag: {{module: links.tag}}
  keeper: {{module: links.webhook, options: {{webhook-urls: [{url}]}}}}
storages:
{storages}
  failing: {{module: there_is_no_such_module}}
chains:
  main: {{links: [crm, tag, keeper], ingress_lists: [in], storages: [shelf], egress_lists: [out]}}
"""


@dataclass
class Scene:
    """What tests do and see; `receiver` is told of erasures."""

    people: People
    receiver: StandIn
    database: Database

    @asynccontextmanager
    async def process(self) -> AsyncIterator[ErasureParts]:
        """The erasures of a process that has just started."""
        before = list(connection._installed)
        composition = PipelineComposition(
            load_settings(OperatorProcessSettings),
            RunHistory(database),
            PartnerRecords(database),
            _unchanged,
        )
        try:
            yield composition._erasing
        finally:
            await composition.close()
            connection._installed[:] = before

    def folder(self, storage: str) -> Path:
        """Where a storage keeps its files; a file `down` or `unreadable` makes it fail."""
        return self.people.operator.config.parent / storage

    def kept(self, vcon_uuid: str, storage: str = "shelf") -> Path:
        """The file of a vCon in a storage."""
        (file := self.folder(storage) / vcon_uuid).write_text("kept")
        return file

    def delivered(self, vcon_uuid: str, **names: str) -> None:
        """A delivery has been begun for each `kind=name`."""
        items = [NewDelivery(vcon_uuid, kind, name, "00" * 32) for kind, name in names.items()]
        Deliveries(self.database).begin(items)

    def execute(self, statement: str, **words: Any) -> None:
        """Change rows."""
        with self.database.transaction() as session:
            session.execute(text(statement), words)

    def hurry(self) -> None:
        """Let all that waits be due."""
        self.execute("UPDATE law_erasure_targets SET due_at = now() WHERE due_at IS NOT NULL")
        self.execute("UPDATE law_erasures SET due_at = now() WHERE due_at IS NOT NULL")

    def events(self, vcon_uuid: str) -> list[str]:
        """Those of a vCon."""
        statement = "SELECT event FROM law_events WHERE vcon_uuid = CAST(:vcon AS uuid)"
        return list(self.people.rows(statement, vcon=vcon_uuid))


async def _unchanged() -> None:
    return


async def erased(erasures: Erasures, *vcon_uuids: str, **more: Any) -> Erasure:
    """Request an erasure, and let it have its first pass."""
    found = await erasures.request(Request(list(vcon_uuids), "test", **more))
    return await erasures.advance(found.id)


def states(erasure: Erasure) -> dict[str, str]:
    """The state of each destination but Redis, by its name."""
    return {each.name: each.state for each in erasure.targets if each.kind != "redis"}


def configured(folder: Path, url: str) -> str:
    """The text of the configuration; modules of storages are written to the folder."""
    rows = []
    for name, source in MODULES.items():
        (folder / f"{name}_of_erasures.py").write_text(source)
        erase = f", erase: {{url: '{url}/{name}'}}" if name in TOLD else ""
        (folder / name).mkdir()
        opts = f"{{path: {folder / name}}}"
        rows.append(f"  {name}: {{module: {name}_of_erasures, options: {opts}{erase}}}")
    return CONFIG.format(
        private=json.dumps(private_pem(ec_key())),
        chain=json.dumps(certificate_pem(ec_key())),
        url=url,
        storages="\n".join(rows),
    )


@pytest.fixture
def erasing(operator: OperatorScene, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """The configuration, a receiver, and nothing stored."""
    folder = operator.config.parent
    monkeypatch.syspath_prepend(folder)
    with stand_in(StandIn()) as receiver:
        operator.config.write_text(configured(folder, receiver.url))
        database.initialize(load_settings(OperatorProcessSettings))
        yield Scene(People(operator), receiver, operator.database)
        database.close()
    for name in MODULES:
        sys.modules.pop(f"{name}_of_erasures", None)
