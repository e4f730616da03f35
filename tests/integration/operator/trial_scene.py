"""Links that do what a pure link must not do, and the process of a trial that runs them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from core.settings import Settings
from pipeline.config.parser import PipelineConfig, parse
from pipeline.operator.trial.child import Trials
from pipeline.operator.trial.guard import Refusals
from pipeline.operator.trial.messages import Recorded, Request, Setup, Tried
from pipeline.operator.trial.sandbox import Sandbox, plain_settings
from pipeline.redis_client import client

UUID = "01890000-0000-7000-8000-000000000001"
MEBIBYTE = 1024 * 1024
MODULE = '''
"""A link that declares to be pure, and does what its option says."""

import ctypes
import os
import socket
import subprocess
import sys
import time

from lib.queue import VconQueue
from lib.redis_mgr import redis
from lib.vcon_redis import VconRedis

pure = True
default_options = {"act": "nothing", "more": ""}


def hide(uuid, more):
    try:
        redis.set("other", "1")
    except Exception:
        pass


def other_vcon(uuid, more):
    document = VconRedis().get_vcon_dict(uuid)
    VconRedis().store_vcon_dict({**document, "uuid": more})


def grow(uuid, more):
    kept = []
    while True:
        kept.append(bytearray(1 << 26))


def subject(uuid, more):
    document = VconRedis().get_vcon_dict(uuid)
    VconRedis().store_vcon_dict({**document, "subject": more}, ttl=60)


ACTS = {
    "nothing": lambda uuid, more: None,
    "subject": subject,
    "hang": lambda uuid, more: time.sleep(3600),
    "leave": lambda uuid, more: os._exit(3),
    "exit": lambda uuid, more: sys.exit(4),
    "crash": lambda uuid, more: ctypes.string_at(0),
    "grow": grow,
    "raise": lambda uuid, more: 1 / 0,
    "set": lambda uuid, more: redis.set("other", "1"),
    "json": lambda uuid, more: redis.json().set("vcon:" + uuid, "$", {}),
    "hide": hide,
    "other_vcon": other_vcon,
    "read_other": lambda uuid, more: VconRedis().get_vcon_dict(more),
    "queue": lambda uuid, more: VconQueue().enqueue("somewhere", uuid),
    "connect": lambda uuid, more: socket.socket().connect(("127.0.0.1", int(more))),
    "write": lambda uuid, more: open(more, "w"),
    "remove": lambda uuid, more: os.remove(more),
    "start": lambda uuid, more: subprocess.run(["true"]),
    "shell": lambda uuid, more: os.system("true"),
}


def run(vcon_uuid, link_name, opts):
    if opts["act"] == "other":
        return opts["more"]
    ACTS[opts["act"]](vcon_uuid, opts["more"])
    return None if opts["act"] == "halt" else vcon_uuid
'''


def acting(*acts: str, **more: object) -> PipelineConfig:
    """A configuration whose chain has a link for each act, with its name and what it takes."""
    options = {act: {"act": act, "more": str(more.get(act, ""))} for act in (*acts, *more)}
    return configured(
        {act: {"module": "acting_link", "options": each} for act, each in options.items()}
    )


def configured(links: dict[str, Any], **chain: Any) -> PipelineConfig:
    """A configuration with one chain, `main`, of these links in their order."""
    main = {"links": list(links), "ingress_lists": ["calls"], **chain}
    return parse({"links": links, "chains": {"main": main}}, {})


def vcon(**changes: Any) -> dict[str, Any]:
    """A vCon in the present form."""
    document: dict[str, Any] = {
        "vcon": "0.4.0",
        "uuid": UUID,
        "created_at": "2026-11-21T12:00:00+00:00",
        "parties": [{"tel": "+15550100"}],
        "dialog": [{"type": "text", "body": "hello"}],
        "analysis": [],
        "attachments": [],
    }
    return document | changes


def tags(*texts: str) -> list[dict[str, Any]]:
    """Attachments with these tags."""
    return [{"purpose": "tags", "body": orjson.dumps(texts).decode(), "encoding": "json"}]


def sandbox(
    after: PipelineConfig,
    before: PipelineConfig | None = None,
    *,
    seconds: float = 20,
    memory: int = 512 * MEBIBYTE,
) -> Sandbox:
    """A sandbox for the chain `main` of two configurations."""
    names = ("main",)
    plain = plain_settings(Settings.model_construct())
    return Sandbox(Setup(before or after, after, names, names, None, plain, memory, seconds))


def request(
    document: dict[str, Any] | None = None,
    recorded: dict[str, str] | None = None,
    **told: Any,
) -> Request:
    """A trial of a vCon, by default a given one."""
    text = orjson.dumps(document or vcon())
    known = None if recorded is None else Recorded(recorded)
    return Request(UUID, text, "main", "main", told, known)


def tried(
    after: PipelineConfig, before: PipelineConfig | None = None, *requests: Request
) -> list[Tried]:
    """The results of trials in this process, by default of one given vCon."""
    names, sent = ("main",), list[dict[str, Any]]()
    setup = Setup(before or after, after, names, names, None, {}, 0, 0)
    installed = client._installed[:]
    try:
        trials = Trials(setup, Refusals(), sent.append)
        with asyncio.Runner() as runner:
            for each in requests or (request(),):
                trials.answer(each, runner)
    finally:
        client._installed[:] = installed
    assert not [each for each in sent if "failed" in each], sent
    return [Tried.model_validate(each["tried"]) for each in sent if "tried" in each]


def written(path: Path, **sections: Any) -> Path:
    """A configuration file with these sections over those of a small one."""
    document: dict[str, Any] = {
        "links": {"tag": {"module": "links.tag", "options": {"tags": ["a"]}}},
        "chains": {"main": {"links": ["tag"], "ingress_lists": ["calls"]}},
    }
    path.write_text(yaml.safe_dump(document | sections))
    return path


def tagging(*names: str) -> dict[str, Any]:
    """The section `links` with one link."""
    return {"tag": {"module": "links.tag", "options": {"tags": list(names)}}}


@pytest.fixture
def acting_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The module `acting_link` on the path; its folder."""
    (tmp_path / "acting_link.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path
