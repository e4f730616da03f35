"""A configuration with every link and storage of vcon-server runs a vCon with audio, twice."""

from __future__ import annotations

from pathlib import Path

from tests.every_plugin.run import run_twice
from tests.every_plugin.table import LINKS, STORAGES

OF_VCON_SERVER = (
    {
        *("analyze", "analyze_and_label", "analyze_vcon", "check_and_tag", "datatrails", "delay"),
        *("deepgram_link", "detect_engagement", "diet", "expire_vcon", "groq_whisper"),
        *("hugging_face_whisper", "hugging_llm_link", "jq_link", "openai_transcribe", "sampler"),
        *("post_analysis_to_slack", "scitt", "tag", "tag_router", "transcribe", "webhook"),
        *("wtf_transcribe",),
    },
    {
        *("chatgpt_files", "dataverse", "elasticsearch", "file", "milvus", "mongo", "postgres"),
        *("redis_storage", "s3", "scitt", "sftp", "spaceandtime", "utopia", "vcon_mcp"),
        *("webhook",),
    },
)
"""Its links and its storages."""


def test_every_name_is_in_the_table() -> None:
    """None is forgotten."""
    for names, rows in zip(OF_VCON_SERVER, (LINKS, STORAGES), strict=True):
        assert names == {each.module for each in rows}


async def test_every_link_and_storage_of_vcon_server(tmp_path: Path) -> None:
    """Each has worked, and the second run changes nothing, in the vCon or outside."""
    first, second = await run_twice(tmp_path)
    assert [name for name, worked in first.effects.items() if not worked] == []
    assert second.document == first.document
    assert second.effects == first.effects
