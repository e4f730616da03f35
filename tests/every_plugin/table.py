"""Every link and storage of vcon-server: its options here, and how it is seen that it has worked.

A plugin that is added is a row. The names are vcon-server's modules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from devstack.servers.ports import HOST
from tests.every_plugin import looks
from tests.every_plugin.looks import Document, Look, analysed, tagged, told
from tests.every_plugin.world import BUCKET, S3_KEYS, SLACK_TOKEN, VECTOR, World
from tests.integration.links import vendor_links_scene as scene
from tests.integration.links.integrity import scitt_scene


@dataclass(frozen=True)
class Plugin:
    """A row; `module` is below `links` or `storage`."""

    module: str
    options: Callable[[World], Document]
    worked: Look = lambda *_: True
    """Something true, and the same after the second run."""


def key(**more: Any) -> Callable[[World], Document]:
    """Options of links that ask the model."""
    return lambda _: {"OPENAI_API_KEY": scene.KEY, **more}


def fixed(**options: Any) -> Callable[[World], Document]:
    """Options that name nothing outside."""
    return lambda _: options


LINKS = (
    Plugin("delay", fixed(seconds=0)),
    Plugin("tag", fixed(tags=["iron"]), tagged("iron:iron")),
    Plugin("sampler", fixed(method="percentage", value=100, seed=None)),
    Plugin("jq_link", fixed(filter=".parties | length > 1", forward_matches=True)),
    Plugin("tag_router", fixed(tag_routes={"iron": "routed"}, forward_original=True)),
    Plugin(
        "deepgram_link",
        lambda world: scene.listening(world.http, minimum_duration=90),
        analysed("transcript", "deepgram"),
    ),
    Plugin(
        "groq_whisper",
        lambda world: scene.groq_hearing(world.http, minimum_duration=45),
        analysed("transcript", "groq_whisper"),
    ),
    Plugin(
        "hugging_face_whisper",
        lambda world: scene.hugging(world.http, minimum_duration=35),
        analysed("transcript", "hugging_face_whisper"),
    ),
    Plugin(
        "openai_transcribe",
        lambda world: scene.hearing(world.http, minimum_duration=25),
        analysed("transcript", "openai"),
    ),
    Plugin("transcribe", lambda world: scene.chosen(world.http, minimum_duration=15)),
    Plugin(
        "wtf_transcribe",
        lambda world: scene.asking_vfun(world.http),
        analysed("wtf_transcription", "vfun"),
    ),
    Plugin("analyze", key(prompt="Summarize."), analysed("summary")),
    Plugin("analyze_and_label", key(), tagged("repair:repair")),
    Plugin("analyze_vcon", key(), analysed("json_analysis")),
    Plugin("check_and_tag", lambda world: scene.tagging(world.http), tagged("topic:bike")),
    Plugin(
        "detect_engagement", lambda world: scene.engaging(world.http), tagged("engagement:true")
    ),
    Plugin(
        "hugging_llm_link",
        lambda world: {
            "HUGGINGFACE_API_KEY": f"hf_{scene.KEY}",
            "base_url": f"{world.router.base}/v1",
        },
        analysed("llm_analysis"),
    ),
    Plugin(
        "scitt",
        lambda world: scitt_scene.options(world.transparency),
        analysed("scitt_receipt"),
    ),
    Plugin(
        "post_analysis_to_slack",
        lambda world: {
            "token": SLACK_TOKEN,
            "default_channel_name": "alerts",
            "base_url": f"{world.slack.url}/api",
            "url": "https://portal.example/{vcon_id}",
            "only_if": {"analysis_type": "summary", "includes": "bike"},
        },
        lambda world, _: world.slack.texts("alerts"),
    ),
    Plugin("diet", fixed(remove_system_prompts=True)),
    Plugin(
        "datatrails",
        lambda world: {**world.datatrails.options, "vcon_operation": "vcon_enhanced"},
        lambda world, _: [len(world.datatrails.events)],
    ),
    Plugin("webhook", lambda world: {"webhook-urls": [f"{world.http.base}/link"]}, told("/link")),
    Plugin("expire_vcon", fixed(seconds=86_400)),
)

STORAGES = (
    Plugin("file", lambda world: {"path": str(world.folder / "files")}, looks.files),
    Plugin(
        "postgres",
        fixed(
            host="${POSTGRES_HOST}",
            port="${POSTGRES_PORT}",
            user="${POSTGRES_USER}",
            password="${POSTGRES_PASSWORD}",
            database="postgres",
        ),
        looks.rows,
    ),
    Plugin("mongo", lambda world: {"url": world.mongo_url}, looks.documents),
    Plugin(
        "s3",
        lambda world: {
            **S3_KEYS,
            "aws_bucket": BUCKET,
            "aws_region": "us-east-1",
            "endpoint_url": world.s3_url,
        },
        looks.objects,
    ),
    Plugin(
        "elasticsearch",
        lambda world: {"url": world.elasticsearch.base, "username": "a", "password": scene.KEY},
        lambda world, _: sorted(world.elasticsearch.documents),
    ),
    Plugin("redis_storage", fixed(prefix="vcon_storage", expires=3600), looks.copies),
    Plugin(
        "milvus",
        lambda world: {
            "host": HOST,
            "port": str(world.milvus_port),
            "api_key": scene.KEY,
            "embedding_dim": len(VECTOR),
            "create_collection_if_missing": True,
        },
        lambda world, _: len(world.http.asked("/v1/embeddings")) == 1,
    ),
    Plugin(
        "dataverse",
        lambda world: world.dataverse.options,
        lambda world, _: world.dataverse.vcons(),
    ),
    Plugin(
        "spaceandtime",
        lambda world: world.spaceandtime.options,
        lambda world, _: world.spaceandtime.rows,
    ),
    Plugin("utopia", lambda world: world.utopia.options, lambda world, _: world.utopia.live),
    Plugin(
        "chatgpt_files",
        lambda world: world.http.options,
        lambda world, _: world.http.contents,
    ),
    Plugin(
        "sftp",
        lambda world: {**world.sftp.options, "url": HOST, "port": world.sftp.port},
        lambda world, _: world.sftp.files(),
    ),
    Plugin("vcon_mcp", lambda world: world.vcon_mcp.options, lambda world, _: world.vcon_mcp.vcons),
    Plugin(
        "scitt",
        lambda world: scitt_scene.options(world.transparency),
        lambda world, _: len(world.transparency.entries),
    ),
    Plugin(
        "webhook", lambda world: {"webhook-urls": [f"{world.http.base}/storage"]}, told("/storage")
    ),
)
