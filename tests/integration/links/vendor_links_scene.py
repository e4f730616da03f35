"""What the tests of links that ask vendors share: options as the documents have them."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import ConfigurationError
from lib.vcon_redis import AsyncVconRedis
from pipeline.config.parser import parse
from pipeline.plugins.loader import load
from pipeline.runs.vcon_store import VconStore
from tests.canaries import canary
from tests.integration.support.http_stand_in import StandIn
from tests.integration.support.vendors import hugging_face, vfun
from tests.integration.support.vendors.openai import CHAT, RESPONSES, chat, response
from tests.integration.support.vendors_scene import ANSWER, DEEPGRAM, HEARD, QUICK

LISTEN, PROXIED = "/v1/listen", "/audio/transcriptions"
KEY = canary("key-of-the-vendor-c5fe")
CEILING_SECONDS = 60
MISSING = "00000000-0000-8000-8000-000000000000"


def listening(vendors: StandIn, **changes: Any) -> dict[str, Any]:
    """Options of `deepgram_link` as the document has them, with a host of our own."""
    vendors.replies[LISTEN] = DEEPGRAM
    return {
        "DEEPGRAM_KEY": KEY,
        "minimum_duration": 30,
        "api": {"model": "nova-2", "smart_format": True, "detect_language": True},
        "base_url": vendors.base,
        **QUICK,
        **changes,
    }


def summing_up(vendors: StandIn, **changes: Any) -> dict[str, Any]:
    """Options of `analyze` as the document has them."""
    vendors.replies[CHAT] = chat()
    options = {"OPENAI_API_KEY": KEY, "prompt": "Summarize this transcript...", "model": "gpt-4"}
    return {**options, "analysis_type": "summary", **QUICK, **changes}


def tagging(vendors: StandIn, **changes: Any) -> dict[str, Any]:
    """Options of `check_and_tag`, and a model that says yes."""
    vendors.replies[CHAT] = chat('{"applies": true}')
    tag = {"tag_name": "topic", "tag_value": "bike", "evaluation_question": "Is it about a bike?"}
    return {"OPENAI_API_KEY": KEY, **tag, **QUICK, **changes}


def labelling(vendors: StandIn, **changes: Any) -> dict[str, Any]:
    """Options of `analyze_and_label`, and a model that finds two labels."""
    vendors.replies[CHAT] = chat('{"labels": ["bike", "repair"]}')
    return {"OPENAI_API_KEY": KEY, **QUICK, **changes}


def judging(vendors: StandIn, **changes: Any) -> dict[str, Any]:
    """Options of `analyze_vcon`, and a model that answers with an object."""
    vendors.replies[CHAT] = chat('{"topic": "bike"}')
    return {"OPENAI_API_KEY": KEY, **QUICK, **changes}


def engaging(vendors: StandIn, **changes: Any) -> dict[str, Any]:
    """Options of `detect_engagement`, and a model that says true."""
    vendors.replies[RESPONSES] = response()
    return {"OPENAI_API_KEY": KEY, **QUICK, **changes}


def hearing(vendors: StandIn, **changes: Any) -> dict[str, Any]:
    """Options of `openai_transcribe`."""
    vendors.replies[f"/v1{PROXIED}"] = ANSWER
    return {"OPENAI_API_KEY": KEY, "minimum_duration": 0, **QUICK, **changes}


def groq_hearing(vendors: StandIn, **changes: Any) -> dict[str, Any]:
    """Options of `groq_whisper`."""
    vendors.replies["/openai/v1/audio/transcriptions"] = {"text": HEARD, "x_groq": {"id": "r"}}
    return {"API_KEY": KEY, "minimum_duration": 0, **QUICK, **changes}


def hugging(vendors: StandIn, **changes: Any) -> dict[str, Any]:
    """Options of `hugging_face_whisper`, and an endpoint that keeps its rules."""
    vendors.checks[hugging_face.PATH] = hugging_face.check
    vendors.replies[hugging_face.PATH] = hugging_face.answer(HEARD)
    url = f"{vendors.base}{hugging_face.PATH}"
    return {"API_URL": url, "API_KEY": KEY, "minimum_duration": 0, **QUICK, **changes}


def asking_vfun(vendors: StandIn, **changes: Any) -> dict[str, Any]:
    """Options of `wtf_transcribe`, and a server that keeps its rules."""
    vendors.checks[vfun.PATH] = vfun.check
    vendors.replies[vfun.PATH] = vfun.answer(HEARD)
    url = f"{vendors.base}{vfun.PATH}"
    return {"vfun-server-url": url, "api-key": KEY, **QUICK, **changes}


def chosen(vendors: StandIn, **changes: Any) -> dict[str, Any]:
    """Options of `transcribe`, for Groq."""
    return {"vendor": "groq", "vendor_options": groq_hearing(vendors, **changes)}


async def after(
    plugin: Any, store: VconStore, document: dict[str, Any], options: dict[str, Any]
) -> dict[str, Any]:
    """The vCon after the link, which has gone on with it."""
    await store.put(document)
    assert await plugin.run(document["uuid"], "a_link", options) == document["uuid"]
    return await now(document)


async def now(document: dict[str, Any]) -> dict[str, Any]:
    """The vCon as it is."""
    found = await AsyncVconRedis().get_vcon_dict(document["uuid"])
    assert found is not None
    return found


def problem(module: str, options: dict[str, Any]) -> str:
    """What is told when a chain with this link is loaded."""
    links = {"it": {"module": module, "options": options}}
    with pytest.raises(ConfigurationError) as error:
        load(parse({"links": links, "chains": {"c": {"links": ["it"]}}}, {}))
    return str(error.value)
