"""vCons of people in Redis, in storages and in the index, for tests of `find` and `erase`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from core.db.runs import RunHistory
from core.db.vcon_index import IndexChange
from pipeline.redis_client import keys
from pipeline.vcon.normalization import search_keys
from pipeline.vcon.party_terms import party_terms, split
from tests.integration.stored.stored_scene import index_of
from tests.integration.support.operator_scene import OperatorScene
from tests.integration.support.pipeline_fixtures import a_vcon, new_uuid

NOON = datetime(2025, 11, 30, 12, tzinfo=UTC)
"""In the past: a removal has no effect on a row that was written after it."""
NUMBER = "+12015550123"
CONFIG = """
chains:
  main:
    ingress_lists: [in]
    storages: [shelf]
    egress_lists: [out]
storages:
  shelf: {module: shelf_storage, options: {path: FOLDER}}
  forgetful: {module: forgetful_storage}
  broken: {module: broken_storage}
"""
SHELF = """
from pathlib import Path

def save(vcon_uuid, opts):
    Path(opts["path"], vcon_uuid).write_text("kept")

def delete(vcon_uuid, opts):
    file = Path(opts["path"], vcon_uuid)
    was_there = file.exists()
    file.unlink(missing_ok=True)
    return was_there
"""
FORGETFUL = "def save(vcon_uuid, opts):\n    pass\n"
BROKEN = FORGETFUL + "def delete(vcon_uuid, opts):\n    raise OSError('no disk')\n"
MODULES = {"shelf_storage": SHELF, "forgetful_storage": FORGETFUL, "broken_storage": BROKEN}


@dataclass
class People:
    """What tests put where."""

    operator: OperatorScene

    def configure(self) -> None:
        """A chain with storages, of which one can delete, one cannot and one fails."""
        folder = self.operator.config.parent
        for name, source in MODULES.items():
            (folder / f"{name}.py").write_text(source)
        self.operator.config.write_text(CONFIG.replace("FOLDER", str(folder)))

    def in_redis(
        self, *lists: str, indexed: bool = True, vcon_uuid: str | None = None, **party: str
    ) -> str:
        """A vCon in Redis, as an adapter puts it there; its uuid."""
        redis, document = self.operator.redis, a_vcon(vcon_uuid, parties=[party])
        vcon_uuid = str(document["uuid"])
        redis.json().set(keys.vcon(vcon_uuid), ".", document)
        redis.zadd("vcons", {vcon_uuid: NOON.timestamp()})
        terms = search_keys(document) if indexed else []
        for term in terms:
            redis.sadd(term, vcon_uuid)
        redis.hset(keys.about(vcon_uuid), "index", orjson.dumps(terms))
        for name in lists:
            redis.rpush(name, vcon_uuid)
            redis.sadd(keys.holds(vcon_uuid), name)
        return vcon_uuid

    def in_index(
        self, vcon_uuid: str | None = None, minutes: float = 0, *storages: str, **party: str
    ) -> str:
        """A vCon in the index, created so many minutes after noon; its uuid."""
        index, vcon_uuid = index_of(self.operator.database), vcon_uuid or new_uuid()
        values = [term for key in search_keys({"parties": [party]}) if (term := split(key))]
        terms = [index.writing_keys().kept(*each) for each in party_terms(values, "US")]
        created = NOON + timedelta(minutes=minutes)
        change = IndexChange(vcon_uuid, NOON, created, terms, ["main"], list(storages))
        index.rows.write([change])
        return vcon_uuid

    def stored(self, vcon_uuid: str) -> Path:
        """The file of a vCon in the storage `shelf`."""
        (file := self.operator.config.parent / vcon_uuid).write_text("kept")
        return file

    def ran(self, vcon_in: str, vcon_out: str | None = None, **changes: Any) -> str:
        """A run in the history; its id."""
        run = {"run_id": new_uuid(), "chain": "main", "config_hash": "", "attempts": 1}
        run |= {"vcon_in": vcon_in, "vcon_out": vcon_out or vcon_in, "status": "done", "steps": []}
        run |= {"finished_at": NOON.isoformat()}
        RunHistory(self.operator.database).write_runs([run | changes])
        return str(run["run_id"])

    def rows(self, statement: str, **words: Any) -> list[Any]:
        """The first column of a query."""
        with self.operator.database.session() as session:
            return list(session.scalars(text(statement), words))

    def traces(self, vcon_uuid: str) -> list[str]:
        """Every key of Redis with this uuid in its name, and the lists that have it; sorted.

        SCAN promises no order, and may name a key twice.
        """
        redis = self.operator.redis
        lists = {each for each in redis.scan_iter(_type="list") if self._has(each, vcon_uuid)}
        return sorted({each for each in redis.scan_iter() if vcon_uuid in each} | lists)

    def _has(self, name: str, vcon_uuid: str) -> bool:
        return vcon_uuid in str(self.operator.redis.lrange(name, 0, -1))


@pytest.fixture
def people(operator: OperatorScene, monkeypatch: pytest.MonkeyPatch) -> Iterator[People]:
    """A configuration with storages, and nothing in any place."""
    monkeypatch.syspath_prepend(operator.config.parent)
    scene = People(operator)
    scene.configure()
    yield scene
    for name in MODULES:
        sys.modules.pop(name, None)
