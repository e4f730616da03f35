"""Options for every built-in plugin, with a server behind each place that they name.

The conformance kit tries them all: `python -m tests.check_plugins`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from devstack.conformance import documents
from devstack.servers.postgres import Postgres
from tests.canaries import canary
from tests.integration.links import vendor_links_scene as links
from tests.integration.links.integrity import scitt_scene
from tests.integration.support.elasticsearch_stand_in import ElasticStandIn
from tests.integration.support.http_stand_in import StandIn, stand_in
from tests.integration.support.mongo_stand_in import mongo_server
from tests.integration.support.vendors import media_server
from tests.integration.support.vendors.datatrails import datatrails
from tests.integration.support.vendors.dataverse import dataverse
from tests.integration.support.vendors.hugging_face_router import HuggingFaceRouter
from tests.integration.support.vendors.openai_files import openai_files
from tests.integration.support.vendors.sftp import sftp_server
from tests.integration.support.vendors.slack import Slack
from tests.integration.support.vendors.spaceandtime import SpaceAndTime
from tests.integration.support.vendors.transparency import transparency
from tests.integration.support.vendors.utopia import Utopia
from tests.integration.support.vendors.vcon_mcp import vcon_mcp
from tests.integration.support.whisper_model import write_model

type Content = dict[str, Any]
"""What an options file has: `options`, and what the plugin needs around it."""

KEY = canary("hf_key_of_a_built_in_plugin_4ff2")
QUICK = {"backoff": 0.01, "retries": 1, "timeout": 5}
VECTOR = [0.5, 0.25, 0.0, 1.0]
FLOW = """
flow: Count
inputs: [{name: subject, type: string}]
steps:
  - sqlite_query: {id: got, connection: crm, query: "SELECT length(:subject) AS letters",
      params: {subject: "${inputs.subject}"}}
outputs: [{name: letters, value: "${got.rows[0].letters}"}]
"""
TABLE = "CREATE TABLE IF NOT EXISTS vcons (uuid TEXT PRIMARY KEY, vcon TEXT)"


class Counterparts:
    """Starts servers when a case asks for them; `close` ends them."""

    def __init__(self, folder: Path, postgres: Callable[[], Postgres]) -> None:
        self.folder, self._postgres = folder, postgres
        self._running = ExitStack()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="counterparts")
        self._thread.start()

    @property
    def postgres(self) -> Postgres:
        """A PostgreSQL server."""
        return self._postgres()

    def close(self) -> None:
        """End the servers."""
        self._running.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def http(self) -> StandIn:
        """A vendor's server of its own that answers as it is told."""
        return self.start(stand_in(StandIn()))

    def start(self, server: Any) -> Any:
        """A running server from its context manager."""
        return self._running.enter_context(server)

    def start_async[T](self, server: AbstractAsyncContextManager[T]) -> T:
        """The same for an asynchronous one, on a loop in a thread."""
        found = asyncio.run_coroutine_threadsafe(server.__aenter__(), self._loop).result(30)

        def stop() -> None:
            ending = server.__aexit__(None, None, None)
            asyncio.run_coroutine_threadsafe(_awaited(ending), self._loop).result(30)

        self._running.callback(stop)
        return found


async def _awaited(thing: Any) -> Any:
    return await thing


def _openai(make: Callable[..., Content], **changes: Any) -> Callable[[Counterparts], Content]:
    def case(parts: Counterparts) -> Content:
        server = parts.http()
        options = {**make(server, **QUICK, **changes)}
        return {"options": options, "environment": {"OPENAI_BASE_URL": f"{server.url}/v1"}}

    return case


def _vendor(make: Callable[..., Content], **changes: Any) -> Callable[[Counterparts], Content]:
    def case(parts: Counterparts) -> Content:
        server = parts.http()
        options = {**make(server, **{**QUICK, **changes})}
        return {"options": options, "environment": {"GROQ_BASE_URL": server.url}}

    return case


def _plain(**options: Any) -> Callable[[Counterparts], Content]:
    return lambda _: {"options": options}


def _hugging_llm(parts: Counterparts) -> Content:
    server: StandIn = parts.start(stand_in(HuggingFaceRouter()))
    return {"options": {"key": KEY, "base_url": f"{server.url}/v1", **QUICK}}


def _webhooks(parts: Counterparts) -> Content:
    hook = f"{parts.http().url}/hook"
    return {"options": {"webhook-urls": [hook], "headers": {"x-api-key": KEY}, **QUICK}}


def _scitt(parts: Counterparts) -> Content:
    return {"options": scitt_scene.options(parts.start(transparency()), retries=1, timeout=5)}


def _datatrails(parts: Counterparts) -> Content:
    return {"options": {**parts.start(datatrails()).options, **QUICK}}


def _crm(parts: Counterparts) -> Content:
    return {"connections": {"crm": {"type": "sqlite", "database": f"{parts.folder}/crm.db"}}}


def _connection_task(parts: Counterparts) -> Content:
    query = {"query": "SELECT length(?) AS letters", "params": ["${vcon.uuid}"]}
    options = {"connection": "crm", "task": "sqlite_query", "params": query}
    return {"options": {**options, "store_as": "analysis", "value": "${result.rows[0]}"}} | _crm(
        parts
    )


def _flow(parts: Counterparts) -> Content:
    flows = parts.folder / "flows"
    flows.mkdir(exist_ok=True)
    (flows / "count.yaml").write_text(FLOW)
    options = {"flow": "count", "inputs": {"subject": "${vcon.uuid}"}, "store_as": "attachment"}
    return {"options": options, "flows": {"folder": str(flows)}} | _crm(parts)


def _storage_connection(parts: Counterparts) -> Content:
    import sqlite3

    with sqlite3.connect(parts.folder / "crm.db") as database:
        database.execute(TABLE)
    database.close()
    save = "INSERT OR REPLACE INTO vcons VALUES (?, ?)"
    get = "SELECT vcon FROM vcons WHERE uuid = ?"
    delete = "DELETE FROM vcons WHERE uuid = ?"
    uuid = ["${vcon.uuid}"]

    def call(task: str, query: str, params: list[str]) -> Content:
        return {"task": f"sqlite_{task}", "params": {"query": query, "params": params}}

    options = {
        "connection": "crm",
        "save": call("execute", save, [*uuid, "${vcon.json}"]),
        "get": call("query", get, uuid) | {"value": "${result.rows[0].vcon}"},
        "delete": call("execute", delete, uuid),
    }
    return {"options": options} | _crm(parts)


def _slack(parts: Counterparts) -> Content:
    server: StandIn = parts.start(stand_in(Slack("alerts", token=KEY)))
    url = f"{server.url}/api"
    options = {"token": KEY, "default_channel_name": "alerts", "base_url": url, **QUICK}
    document = documents.rich()
    body = {"dialog": 1, "vendor": "example", "encoding": "none"}
    document["analysis"] += [
        {"type": "customer_frustration", **body, "body": "NEEDS REVIEW: angry"},
        {"type": "summary", **body, "body": "A broken bike."},
    ]
    return {"options": {**options, "url": f"{server.url}/{{vcon_id}}"}, "vcon": document}


def _chatgpt_files(parts: Counterparts) -> Content:
    server = parts.start(openai_files())
    options = {**server.options, **QUICK}
    return {"options": options, "environment": {"OPENAI_BASE_URL": f"{server.url}/v1"}}


def _datatrails(parts: Counterparts) -> Content:
    server = parts.start(datatrails())
    return {"options": {**server.options, "vcon_operation": "vcon_enhanced", **QUICK}}


@contextmanager
def _gateway() -> Iterator[SpaceAndTime]:
    with stand_in(
        SpaceAndTime(
            canary("sxt_key_of_a_built_in_plugin_a769"), canary("biscuit-of-a-built-in-plugin-a7c5")
        )
    ) as server:
        yield server
    server.close()


def _spaceandtime(parts: Counterparts) -> Content:
    return {"options": {**parts.start(_gateway()).options, **QUICK}}


def _utopia(parts: Counterparts) -> Content:
    server = parts.start(stand_in(Utopia(password=KEY)))
    return {"options": {**server.options, "timeout": 5}}


def _elasticsearch(parts: Counterparts) -> Content:
    server: StandIn = parts.start(stand_in(ElasticStandIn()))
    return {"options": {"url": server.url, "username": "elastic", "password": KEY, **QUICK}}


def _milvus(parts: Counterparts) -> Content:
    server = parts.http()
    data = [{"object": "embedding", "index": 0, "embedding": VECTOR}]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    answer = {"object": "list", "data": data, "model": "m", "usage": usage}
    server.replies["/v1/embeddings"] = answer
    options = {"uri": f"{parts.folder}/milvus.db", "api_key": KEY, "embedding_dim": len(VECTOR)}
    options |= {"create_collection_if_missing": True, **QUICK}
    environment = {"OPENAI_BASE_URL": f"{server.url}/v1"}
    exceptions = dict.fromkeys(("memory", "closes"), "Milvus runs in the plugin's process here")
    return {"options": options, "environment": environment, "exceptions": exceptions}


def _mongo(parts: Counterparts) -> Content:
    return {"options": {"url": parts.start_async(mongo_server()), "timeout": 5}}


def _postgres(parts: Counterparts) -> Content:
    server = parts.postgres
    server.create_database("conformance")
    where = {"host": server.host, "port": server.port, "database": "conformance"}
    return {"options": {**where, "user": server.user, "password": server.password}}


@contextmanager
def _moto() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def _s3(parts: Counterparts) -> Content:
    import boto3

    url = parts.start(_moto())
    keys = {"aws_access_key_id": canary("key-id-of-s3"), "aws_secret_access_key": KEY}
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
    client.create_bucket(Bucket="vcons")
    client.close()
    return {"options": {**keys, "aws_bucket": "vcons", "endpoint_url": url, "timeout": 5}}


def _sftp(parts: Counterparts) -> Content:
    root = parts.folder / "sftp"
    root.mkdir()
    return {"options": parts.start_async(sftp_server(root)).options}


def _dataverse(parts: Counterparts) -> Content:
    options = {**parts.start(dataverse()).options, **QUICK}
    return {"options": options, "direct": ["url"]}  # the scope of a token has its text


def _diet(parts: Counterparts) -> Content:
    server = parts.http()
    server.checks[media_server.PATH] = media_server.check
    server.replies[media_server.PATH] = media_server.answer
    url = f"{server.url}{media_server.PATH}"
    return {"options": {"remove_dialog_body": True, "post_media_to_url": url, **QUICK}}


def _whisper(parts: Counterparts) -> Content:
    folder = write_model(parts.folder / "whisper")
    return {"options": {"model_path": str(folder), "device": "cpu", "cpu_threads": 1}}


def _vcon_mcp(parts: Counterparts) -> Content:
    return {"options": {**parts.start(vcon_mcp()).options, **QUICK}}


def _jlinc(parts: Counterparts) -> Content:
    server, api, made = parts.http(), "/api/v1/data", set[str]()

    def create(body: bytes) -> Content:
        made.add(json.loads(body)["shortName"])
        return {"didDoc": {"id": "did:jlinc:x"}}

    server.replies = {
        f"{api}/entity/domains/get": ["jlinc.example"],
        f"{api}/entity/get": lambda b: {"didDoc": {}} if json.loads(b)["shortName"] in made else {},
        f"{api}/entity/create": create,
        f"{api}/event/produce": {"created": {"eventId": "e"}},
    }
    where = {"data_store_api_url": server.url, "archive_api_url": "http://archive.example:1"}
    return {"options": {**where, "data_store_api_key": KEY, "archive_api_key": KEY[::-1], **QUICK}}


CASES: Mapping[str, Callable[[Counterparts], Content]] = {
    "links.analyze": _openai(links.summing_up),
    "links.analyze_and_label": _openai(links.labelling),
    "links.analyze_vcon": _openai(links.judging),
    "links.check_and_tag": _openai(links.tagging),
    "links.connection_task": _connection_task,
    "links.datatrails": _datatrails,
    "links.deepgram_link": _vendor(links.listening, minimum_duration=0),
    "links.delay": _plain(seconds=0),
    "links.detect_engagement": _openai(links.engaging),
    "links.diet": _diet,
    "links.expire_vcon": _plain(seconds=600),
    "links.flow": _flow,
    "links.groq_whisper": _vendor(links.groq_hearing),
    "links.hugging_face_whisper": _vendor(links.hugging),
    "links.hugging_llm_link": _hugging_llm,
    "links.jq_link": _plain(filter=".dialog | length > 0"),
    "links.openai_transcribe": _openai(links.hearing),
    "links.post_analysis_to_slack": _slack,
    "links.sampler": _plain(method="modulo", value=1),
    "links.scitt": _scitt,
    "links.tag": _plain(tags=["seen"]),
    "links.tag_router": _plain(tag_routes={"topic": "bikes"}),
    "links.transcribe": _vendor(links.chosen),
    "links.webhook": _webhooks,
    "links.whisper_builtin": _whisper,
    "links.wtf_transcribe": _vendor(links.asking_vfun),
    "storage.chatgpt_files": _chatgpt_files,
    "storage.connection": _storage_connection,
    "storage.dataverse": _dataverse,
    "storage.elasticsearch": _elasticsearch,
    "storage.file": lambda parts: {"options": {"path": str(parts.folder / "files")}},
    "storage.milvus": _milvus,
    "storage.mongo": _mongo,
    "storage.postgres": _postgres,
    "storage.redis_storage": _plain(),
    "storage.s3": _s3,
    "storage.scitt": _scitt,
    "storage.sftp": _sftp,
    "storage.spaceandtime": _spaceandtime,
    "storage.utopia": _utopia,
    "storage.vcon_mcp": _vcon_mcp,
    "storage.webhook": _webhooks,
    "tracers.jlinc": _jlinc,
}
"""Every built-in plugin; a test compares it with the folders."""
