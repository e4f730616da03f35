"""A service whose chains fail, retry, store and send vCons, and all that it keeps."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from redis import Redis

from app.operator_cli.session import session
from core.operator_interfaces import Call
from core.settings import OperatorProcessSettings, load_settings
from devstack.chaos.waiting import until
from devstack.service import ServiceProcess, fetched
from schemas.ingress_key import Author
from schemas.law.erasures import Erasure
from tests.acceptance.law.person import Person
from tests.canaries import canary
from tests.dumps import Piece, of_postgres, of_redis
from tests.integration.support.http_stand_in import StandIn
from tests.integration.support.otlp_collector import Collector
from tests.integration.support.vendors_scene import BUCKET, S3_KEYS
from tests.law_keys import certificate_pem, ec_key, private_pem

TOKEN = canary("token-of-the-law-acceptance-71c5")
SECONDS = 60.0
ERASE = "/erase"
KEY = ec_key("law acceptance")
CHAINS: dict[str, Any] = {
    "kept": {
        "links": ["second_try"],
        "storages": ["files", "bucket", "receiver", "forgetful"],
        "tracers": ["gossip"],
        "ingress_lists": ["kept"],
        "egress_lists": ["kept_out"],
        "retry_backoff": 0.01,
    },
    "refused": {"links": ["refuse"], "ingress_lists": ["refused"], "max_attempts": 1},
    "unstored": {"storages": ["broken"], "ingress_lists": ["unstored"], "max_attempts": 1},
    "replaced": {"links": ["replace"], "storages": ["files"], "ingress_lists": ["replaced"]},
    "waiting": {"links": ["refuse"], "ingress_lists": ["waiting"], "enabled": False},
}
FAILURE = """
import json
from lib.vcon_redis import VconRedis

def failure(vcon_uuid):
    return json.loads(VconRedis().get_vcon_dict(vcon_uuid)["attachments"][0]["body"])["failure"]
"""
MODULES = {
    "law_failure": FAILURE,
    "law_second_try": """
from pathlib import Path
from law_failure import failure

def run(vcon_uuid, link_name, opts=None):
    mark = Path(opts["folder"], f"tried-{vcon_uuid}")
    if not mark.exists():
        mark.touch()
        raise LookupError(failure(vcon_uuid))
    return vcon_uuid
""",
    "law_refuse": """
from law_failure import failure

def run(vcon_uuid, link_name, opts=None):
    raise ValueError(failure(vcon_uuid))
""",
    "law_replace": """
import uuid
from lib.vcon_redis import VconRedis

def run(vcon_uuid, link_name, opts=None):
    document = VconRedis().get_vcon_dict(vcon_uuid)
    document["uuid"] = str(uuid.uuid5(uuid.UUID(vcon_uuid), "replaced"))
    VconRedis().store_vcon_dict(document)
    return document["uuid"]
""",
    "law_broken": """
from law_failure import failure

def save(vcon_uuid, opts=None):
    raise ConnectionError(failure(vcon_uuid))

def delete(vcon_uuid, opts=None):
    return False
""",
    "law_forgetful": """
def save(vcon_uuid, opts=None):
    pass
""",
    "law_gossip": """
from law_failure import failure

def run(in_vcon_uuid, out_vcon_uuid, tracer_name, links, link_index, opts=None):
    raise OSError(failure(in_vcon_uuid))
""",
}


@dataclass(frozen=True)
class Around:
    """What is around the service, with the variables by which it finds its servers."""

    folder: Path
    redis_url: str
    database_url: str
    variables: dict[str, str]
    s3_url: str
    bucket: Any
    collector: Collector
    receiver: StandIn

    @property
    def backup(self) -> Path:
        """Where backups are written: beside what is searched."""
        return self.folder.with_name("backup")

    @property
    def settings(self) -> dict[str, str]:
        """The variables of the service, and of commands beside it."""
        return {
            **self.variables,
            "REDIS_URL": self.redis_url,
            "CONSERVER_CONFIG_FILE": str(self.folder / "config.yml"),
            "CONSERVER_API_TOKEN": TOKEN,
            "ENV_FILE": "",
            "PYTHONPATH": str(self.folder / "plugins"),
            "LOG_LEVEL": "DEBUG",
            "API_ACCESS_LOG": "true",
            "CUSTODY": "postgres",
            "MEDIA_STORE": "file",
            "MEDIA_FOLDER": str(self.folder / "media"),
            "MEDIA_MIN_BYTES": "4096",
            "STORAGE_REPLAY_INTERVAL": "3600",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_METRIC_EXPORT_INTERVAL": "200",
        }

    def service(self, name: str) -> ServiceProcess:
        """Start the service, with one worker."""
        words = "api", "--workers", "1"
        return ServiceProcess(self.folder / "logs", self.settings, name=name, arguments=words)

    def furnish(self) -> None:
        """Write the plugins and the configuration."""
        (plugins := self.folder / "plugins").mkdir(parents=True)
        for name, source in MODULES.items():
            (plugins / f"{name}.py").write_text(source)
        config = _config(self.folder, self.s3_url, self.receiver.url)
        (self.folder / "config.yml").write_text(json.dumps(config))
        (self.folder / "media").mkdir()


@dataclass
class Conversations:
    """The running system."""

    around: Around
    service: ServiceProcess
    http: httpx.AsyncClient
    redis: Redis
    fed: dict[str, str] = field(default_factory=dict)

    async def feed(self, person: Person) -> None:
        """One vCon for each chain, once every run has ended that will end."""
        for chain in CHAINS:
            dialog = [_recording(person), *person.vcon()["dialog"]]
            await self.post(chain, person.vcon(attachments=[_failing(person)], dialog=dialog))
        await self._refused(person)
        for name, length in {"kept_out": 1, "DLQ:refused": 1, "DLQ:storage:broken": 1}.items():
            await self.reached(name, length)
        again = await self.http.post("/dlq/reprocess", params={"ingress_list": "refused"})
        assert again.json() == 1, again.text
        await self._ended(5)
        await self.reached("DLQ:refused", 1)

    async def _refused(self, person: Person) -> None:
        """What is asked for with the person's values, and refused or answered."""
        wrong = person.vcon(uuid=person.name, created_at=person.mail, parties=person.said)
        answer = await self.http.post("/vcon", params={"ingress_lists": "kept"}, json=wrong)
        assert answer.status_code == 422, answer.text
        terms = {"tel": person.tel, "mailto": person.mail, "name": person.name}
        assert len((await self.http.get("/vcons/search", params=terms)).json()) >= len(CHAINS)
        assert (await self.http.get(f"/vcon/{person.name}")).status_code in (404, 422)

    async def post(self, chain: str, document: dict[str, Any]) -> None:
        """Send one to the list of a chain over HTTP."""
        answer = await self.http.post("/vcon", params={"ingress_lists": chain}, json=document)
        assert answer.status_code == 201, answer.text
        self.fed[chain] = document["uuid"]

    async def taken(self, name: str) -> None:
        """Return when a list is empty, and what was pushed there by hand is gone."""
        await self.reached(name, 0)

        async def is_gone() -> bool:
            return not self.redis.exists(f"vcon:{self.fed[name]}")

        await until(is_gone, f"the vCon of {name} to be gone", SECONDS)

    async def reached(self, name: str, length: int) -> None:
        """Return when a list has this length."""

        async def is_so() -> bool:
            return self.redis.llen(name) == length

        await until(is_so, f"{name} to have {length}", SECONDS)

    async def _ended(self, count: int) -> None:
        """Until the history has so many runs."""

        async def is_so() -> bool:
            with self._database() as connection:
                runs = connection.execute(
                    "SELECT count(*) FROM chain_runs WHERE status <> 'running'"
                )
                return runs.fetchone() == (count,)

        await until(is_so, f"{count} runs in the history", SECONDS)

    async def recovered(self) -> None:
        """Lose all that Redis has, and return when it was made like Postgres again."""
        self.redis.flushdb()

        async def is_approved() -> bool:
            return bool(self.redis.hget("pc:epoch", "generation")) and not self._recovers()

        await until(is_approved, "the recovery to end", SECONDS)

    def _database(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.around.database_url, autocommit=True)

    def _recovers(self) -> bool:
        with self._database() as connection:
            row = connection.execute("SELECT recovery IS NOT NULL FROM redis_identity").fetchone()
        return row != (False,)

    async def restored(self, erased: Path) -> Any:
        """Lose everything, restore the backup, and start the service again; the result."""
        await asyncio.to_thread(self.service.stop)
        self.redis.flushdb()
        with self._database() as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        files = {"file": str(self.around.backup), "erased": str(erased)}
        result = await self.perform("restore", **files)
        self.service = self.around.service("again")
        await asyncio.to_thread(self.service.wait_until_ready)
        self.http.base_url = httpx.URL(self.service.api_url)
        return result

    async def perform(self, operation: str, **arguments: Any) -> Any:
        """Perform an operation as a command does."""
        call = Call(Author(actor="test"), "asked for it")
        async with session(load_settings(OperatorProcessSettings)) as operator:
            return await operator.perform(operation, arguments, call)

    async def ended(self, erasure_id: str) -> Erasure:
        """The erasure once it has ended."""

        async def has_ended() -> bool:
            with self._database() as connection:
                ended = "SELECT ended_at IS NOT NULL FROM law_erasures WHERE id = %s"
                return connection.execute(ended, [erasure_id]).fetchone() == (True,)

        await until(has_ended, "the erasure to end", SECONDS)
        found = await self.perform("erasure", id=erasure_id)
        assert isinstance(found, Erasure)
        return found

    def everything(self) -> Iterator[Piece]:
        """All that the system keeps: keys, rows, files, objects, logs, spans and metrics."""
        yield from of_redis(self.around.redis_url)
        yield from ((f"redis {log}", str(lines).encode()) for log, lines in self._slow())
        yield from of_postgres(self.around.database_url)
        for path in filter(Path.is_file, self.around.folder.rglob("*")):
            yield f"file {path.relative_to(self.around.folder)}", path.read_bytes()
        for each in self.around.bucket.objects.all():
            yield f"object {each.key}", each.key.encode() + each.get()["Body"].read()
        yield "metrics", fetched(self.service.health_port, "/metrics").content
        for span in list(self.around.collector.spans):
            yield f"span {span.name}", f"{span}".encode()
        yield "sent metrics", str(self.around.collector.metrics).encode()

    def _slow(self) -> Iterator[tuple[str, Any]]:
        yield "SLOWLOG", self.redis.execute_command("SLOWLOG", "GET", "-1")


def _recording(person: Person) -> dict[str, Any]:
    """Large enough to be kept beside the document, with words of the person in it."""
    body = base64.urlsafe_b64encode(f"{person.said} ".encode() * 1000).decode()
    start = "2026-03-01T09:00:00+00:00"
    about = {"type": "recording", "start": start, "parties": [0], "mediatype": "audio/x-wav"}
    return {**about, "body": body, "encoding": "base64url"}


def _failing(person: Person) -> dict[str, Any]:
    body = json.dumps({"failure": person.failure})
    about = {"purpose": "note", "start": "2026-03-01T09:00:00+00:00", "party": 0, "dialog": 0}
    return {**about, "encoding": "json", "mediatype": "application/json", "body": body}


@asynccontextmanager
async def conversations(around: Around) -> AsyncIterator[Conversations]:
    """Start the service with one worker."""
    around.furnish()
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(Redis.from_url(around.redis_url, decode_responses=True))
        client = httpx.AsyncClient(
            headers={"x-conserver-api-token": TOKEN}, trust_env=False, timeout=SECONDS
        )
        await stack.enter_async_context(client)
        running = Conversations(around, around.service("service"), client, redis)
        stack.push_async_callback(lambda: asyncio.to_thread(running.service.stop))
        await asyncio.to_thread(running.service.wait_until_ready)
        client.base_url = httpx.URL(running.service.api_url)
        yield running


def _config(folder: Path, s3_url: str, receiver_url: str) -> dict[str, Any]:
    s3 = {**S3_KEYS, "aws_bucket": BUCKET, "endpoint_url": s3_url, "aws_region": "us-east-1"}
    return {
        "links": {
            name: {"module": f"law_{name}", "options": {"folder": str(folder)}}
            for name in ("second_try", "refuse", "replace")
        },
        "storages": {
            "files": {"module": "storage.file", "options": {"path": str(folder / "files")}},
            "bucket": {"module": "storage.s3", "options": s3},
            "receiver": {
                "module": "storage.webhook",
                "options": {"webhook-urls": [receiver_url]},
                "erase": {"url": f"{receiver_url}{ERASE}"},
            },
            "broken": {
                "module": "law_broken",
                "retries": 0,
                "destination": "crm",
                "max_in_flight": 1,
            },
            "forgetful": {"module": "law_forgetful"},
        },
        "law": {"keys": {"signing": {"private": private_pem(KEY), "chain": certificate_pem(KEY)}}},
        "tracers": {"gossip": {"module": "law_gossip"}},
        "chains": {name: {**chain, "custody": 1} for name, chain in CHAINS.items()},
    }
