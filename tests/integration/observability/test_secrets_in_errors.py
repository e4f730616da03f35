"""What a plugin's error says of its own options reaches no store, no answer and no trace."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry import trace
from redis import Redis

from core.action_response import ActionResponse
from core.db.database import Database
from core.db.runs import RunHistory
from core.errors import ConfigurationError
from core.observability import otlp
from core.observability.otlp import OtlpSpans
from core.observability.redaction import REDACTED
from core.observability.storable_text import described
from core.rpc.dispatcher import Dispatcher
from pipeline.admin.connections import ConnectionsApi
from pipeline.connections.registry import ServiceConnections
from pipeline.live_config import Configuration, load
from tests.canaries import CANARIES, canary, keep_redis
from tests.integration.support.operations_scene import ACTIONS, Operations, ask, operations, told
from tests.integration.support.otlp_collector import collector
from tests.integration.support.pipeline_fixtures import a_vcon
from tests.unit.flowlang.test_flowlang_registry import plugin_folder
from tests.unit.support.flowlang_plugins import forgotten

SECRETS = {
    "api_key": canary("opt-Kf93hs72-literal"),
    "plain": canary("opt-Wq81bd55-filled"),
    "header": canary("opt-Tt20vz11-bearer"),
    "url": canary("opt-Pw64mn38-inurl"),
    "inside": canary("opt-Jn47ck90-injson"),
    "default": canary("opt-Df05xe29-default"),
    "typed": canary("opt-Sx88ra63-typed"),
    "line": canary("MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"),
}
ENVIRON = {
    "ACME_THING": SECRETS["plain"],
    "ACME_ACCOUNT": json.dumps({"project": "acme", "private_key": SECRETS["inside"]}),
    "ACME_PEM": f"-----BEGIN PRIVATE KEY-----\n{SECRETS['line']}\n-----END PRIVATE KEY-----",
    "ACME_REGION": "eu-central-17",
}
MODULE = f'''
from pydantic import BaseModel, SecretStr

default_options = {{"access_token": "{SECRETS["default"]}"}}
MORE = {SECRETS!r}

class Odd(BaseException): pass

class Plain(Exception): pass

def everything(opts):
    return " ".join([repr(opts), *MORE.values()])

def fail(opts):
    text, kind = everything(opts), opts["kind"]
    if kind == "text": raise RuntimeError(text)
    if kind == "key": raise KeyError(MORE["typed"])
    if kind == "base": raise Odd(text)
    if kind == "exit": raise SystemExit(text)
    if kind == "group": raise ExceptionGroup("many", [ValueError(text)])
    if kind == "os": raise OSError(2, text, MORE["api_key"])
    if kind == "lines": raise Plain("one " + text + "\\nfurther " + text)
    if kind == "cut": raise Plain("x" * (498 - 7 - len(MORE["api_key"]) // 2) + MORE["api_key"])
    if kind == "huge": raise Plain(MORE["plain"] * 20_000)
    raise Plain(str(dict(opts)))

def run(*arguments):
    opts = arguments[-1]
    if opts["kind"] == "value": return MORE["api_key"]
    if opts["kind"] == "values": return [MORE["api_key"], MORE["plain"]]
    if opts["kind"] != "none": fail(opts)
    return arguments[0]

def save(vcon_uuid, opts):
    if opts["kind"] != "none": fail(opts)

def get(vcon_uuid, opts): fail(opts)

def delete(vcon_uuid, opts): fail(opts)
'''
TYPED = f'''
from pydantic import BaseModel, SecretStr

class Options(BaseModel):
    word: SecretStr = SecretStr("{SECRETS["typed"]}")
    kind: str = "none"

def run(vcon_uuid, link_name, opts): return vcon_uuid
'''
KINDS = ("text", "key", "base", "exit", "group", "os", "lines", "cut", "huge", "options")


def configuration(folder: Path, *, link: str, storage: str, tracer: str) -> Configuration:
    """A chain whose plugins fail in these ways, with secrets of every form in their options."""
    (folder / "leaky_plugin.py").write_text(MODULE)
    (folder / "typed_plugin.py").write_text(TYPED)
    options = {
        "api_key": SECRETS["api_key"],
        "thing": "${ACME_THING}",
        "account": "${ACME_ACCOUNT}",
        "pem": "${ACME_PEM}",
        "region": "${ACME_REGION}",
        "headers": {"Authorization": f"Bearer {SECRETS['header']}"},
        "dsn": f"postgresql://user:{SECRETS['url']}@db/x",
    }
    document = {
        "links": {
            "typed": {"module": "typed_plugin", "options": {}},
            "leaky": {"module": "leaky_plugin", "options": {**options, "kind": link}},
        },
        "storages": {"shelf": {"module": "leaky_plugin", "options": {**options, "kind": storage}}},
        "tracers": {
            "watcher": {
                "module": "leaky_plugin",
                "options": {**options, "kind": tracer, "dlq_vcon_on_error": True},
            }
        },
        "chains": {
            "main": {
                "links": ["typed", "leaky"],
                "storages": ["shelf"],
                "tracers": ["watcher"],
                "ingress_lists": ["in"],
                "max_attempts": 1,
            }
        },
    }
    document["storages"]["shelf"]["retries"] = 0
    path = folder / "config.yml"
    path.write_text(json.dumps(document))
    return load(path, ENVIRON)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where modules are found."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("leaky_plugin", "typed_plugin"):
        sys.modules.pop(name, None)


@pytest.fixture
async def ops(redis_url: str) -> AsyncIterator[Operations]:
    """Workers and actions on one Redis."""
    async with operations(redis_url) as opened:
        yield opened


def found_in(text: str) -> list[str]:
    """The secrets in a text, by name."""
    return [name for name, secret in SECRETS.items() if secret in text or secret[:12] in text]


def stored(client: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """All that Redis holds."""
    texts: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(CANARIES, "keep", lambda _, text: texts.append(text))
        keep_redis(redis_url)
    return "\n".join(texts)


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        *(("link", kind) for kind in (*KINDS, "value", "values")),
        *((place, kind) for place in ("storage", "tracer") for kind in ("text", "exit", "group")),
    ],
)
async def test_no_error_of_a_plugin_brings_its_options_into_a_store(
    ops: Operations,
    folder: Path,
    redis_url: str,
    migrated: Database,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    kind: str,
) -> None:
    """Runs, dead letters, the history and what actions answer of them say what failed, redacted."""
    ways = {"link": "none", "storage": "none", "tracer": "none"} | {place: kind}
    ops.configure(configuration(folder, **ways))
    vcon = await ops.ingest("in")
    [ended] = await ops.work()
    RunHistory(migrated).write_runs([ended.run])
    history = RunHistory(migrated).find_run(ended.claim.run_id)
    where = {"storage": "shelf"} if place == "storage" else {"list": "in"}
    letters = await told(ops, "ListDeadLetters", **where)
    texts = [stored(ops.client, redis_url, monkeypatch), repr(history), repr(letters)]
    assert (ended.status, [found_in(text) for text in texts]) == (
        "partial" if place == "storage" else "failed",
        [[], [], []],
    )
    assert REDACTED in str(ended.run)
    assert (REDACTED in str(letters), vcon in str(letters)) == (True, True)


async def test_no_answer_brings_them_to_a_caller(ops: Operations, folder: Path) -> None:
    """Reading from a storage that fails, and deleting from it."""
    ops.configure(configuration(folder, link="none", storage="text", tracer="none"))
    uuid = a_vcon()["uuid"]
    asked = [
        await ask(ops, "GetVcon", vcon_uuid=uuid, storage="shelf"),
        await ask(ops, "DeleteVcon", vcon_uuid=uuid, storages=["shelf"]),
    ]
    assert [found_in(repr(each)) for each in asked] == [[], []]
    assert REDACTED in repr(asked)


def test_no_trace_brings_them_to_a_collector(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin may trace for itself, and record its error with its text and traceback."""
    loaded = configuration(folder, link="text", storage="none", tracer="none")
    [link] = [each for each in loaded.plugins.links.values() if each.name == "leaky"]
    with collector() as got:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", got.url)
        spans = OtlpSpans(otlp.resource("tests"))
        with spans._tracer.start_as_current_span("own", record_exception=False) as span:
            try:
                link.run("x", "leaky", link.fresh_options())
            except RuntimeError as error:
                span.record_exception(error)
                span.set_attributes({"said": str(error), "both": [str(error), "x"]})
                span.set_status(trace.Status(trace.StatusCode.ERROR, traceback.format_exc()))
        spans.close()
        sent = got.wait_for_span("own").raw
    assert found_in(sent) == []
    assert REDACTED in sent


def test_what_is_no_secret_stays(folder: Path) -> None:
    """A region out of the environment is named in errors."""
    configuration(folder, link="none", storage="none", tracer="none")
    text = described(RuntimeError(f"{ENVIRON['ACME_REGION']} {SECRETS['plain']}"))
    assert text == f"RuntimeError: eu-central-17 {REDACTED}"


def test_a_refused_configuration_does_not_repeat_them(folder: Path) -> None:
    """An option that a model refuses with its value in the words."""
    refusing = TYPED + (
        "\nfrom pydantic import field_validator\n"
        "class Options(BaseModel):\n"
        "    thing: str\n"
        "    @field_validator('thing')\n"
        "    @classmethod\n"
        "    def no(cls, value): raise ValueError('cannot use ' + value)\n"
    )
    (folder / "typed_plugin.py").write_text(refusing)
    path = folder / "config.yml"
    link = {"module": "typed_plugin", "options": {"thing": "${ACME_THING}"}}
    chain = {"links": ["typed"], "ingress_lists": ["in"]}
    path.write_text(json.dumps({"links": {"typed": link}, "chains": {"main": chain}}))
    with pytest.raises(ConfigurationError) as refused:
        load(path, ENVIRON)
    assert found_in(str(refused.value)) == []


PROVIDER = """
from ..base import ConnectionPlugin
from .. import plugin_registry

class Plugin(ConnectionPlugin):
    name = "leaky"
    def get_config_schema(self): return {"properties": {}}
    async def connect(self, config): self._config = config
    async def disconnect(self): pass
    async def get_connection(self): return self
    def get_builtin_tasks(self): return {"leak": self._leak, "leaky_ping": self._leak}
    async def test_connection(self): raise OSError(repr(self._config))
    async def _leak(self, connection, word=""): raise RuntimeError(f"{self._config} {word}")

plugin_registry.register(Plugin())
"""
FLOW = """
flow: Leaking
connections:
  two: {type: leaky, word: "${env.ACME_FLOW_WORD}"}
steps:
  - leak: {id: only, connection: two}
"""


async def test_no_task_and_no_flow_brings_them_to_a_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What connections are given under names that say nothing, and what flows name."""
    monkeypatch.setenv("ACME_THING", SECRETS["plain"])
    monkeypatch.setenv("ACME_FLOW_WORD", SECRETS["typed"])
    plugin_folder(tmp_path / "plugins", "leaky", PROVIDER)
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "leaking.yaml").write_text(FLOW)
    document = {
        "chains": {"main": {"ingress_lists": ["in"]}},
        "connection_plugins": [str(tmp_path / "plugins")],
        "connections": {
            "one": {
                "type": "leaky",
                "thing": "${ACME_THING}",
                "api_key": SECRETS["api_key"],
                "expose": ["leak"],
            }
        },
        "flows": {"folder": str(tmp_path / "flows"), "expose": ["leaking"]},
    }
    (tmp_path / "config.yml").write_text(json.dumps(document))
    with forgotten("leaky"):
        loaded = load(tmp_path / "config.yml", dict(os.environ))
        connections = ServiceConnections(loaded.config)
        desk = ConnectionsApi(loaded, connections)
        answers = [
            await asked(desk, "RunTask", connection="one", task="leak"),
            await asked(desk, "RunFlow", flow="leaking"),
            await asked(desk, "ListConnections"),
        ]
        await connections.close()
    assert [each.status_code for each in answers] == [502, 502, 200]
    assert [found_in(repr(each)) for each in answers] == [[], [], []]
    assert [REDACTED in repr(each) for each in answers[:2]] == [True, True]


async def asked(desk: ConnectionsApi, action: str, **fields: Any) -> ActionResponse:
    """The answer to a request about connections."""
    client = SimpleNamespace(
        pipeline=SimpleNamespace(connections=desk),
        seconds_left=lambda: 20.0,
        giving_way=contextlib.nullcontext,
    )
    dispatcher = Dispatcher(ACTIONS, run_blocking=asyncio.to_thread)
    return await dispatcher.answer(action, fields, client, None)
