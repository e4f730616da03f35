"""A recording through links that transcribe and make smaller, in a chain with a worker."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from lib.web.http_client import close
from tests.integration.links.vendor_links_scene import asking_vfun, hugging
from tests.integration.support.http_stand_in import StandIn
from tests.integration.support.pipeline_fixtures import Scene, configured, link
from tests.integration.support.vendors import media_server
from tests.integration.support.vendors_scene import HEARD, INLINE, written
from tests.integration.support.whisper_model import SENTENCE, write_model
from tests.plugins.scene import canonical


def steps(vendors: StandIn, folder: Path) -> list[Any]:
    """Whisper in this process, vfun, and then the bodies go to a media server."""
    vendors.checks[media_server.PATH] = media_server.check
    vendors.replies[media_server.PATH] = lambda _: {"url": f"{vendors.base}/kept"}
    small = {"remove_dialog_body": True, "post_media_to_url": vendors.base + media_server.PATH}
    model = {"model_path": str(write_model(folder)), "device": "cpu", "cpu_threads": 1}
    options = {
        "transcribe": {"vendor_options": model},
        "wtf_transcribe": asking_vfun(vendors),
        "diet": small,
        "hugging_face_whisper": hugging(vendors),
    }
    return [
        link(import_module(f"links.{name}").run, name, options=given)
        for name, given in options.items()
    ]


async def test_a_second_run_sends_and_changes_nothing(
    scene: Scene, vendors: StandIn, tmp_path: Path
) -> None:
    """Not even a link after `diet`, as there is a transcript."""
    await scene.start(configured(links=steps(vendors, tmp_path), timeout=60.0, max_attempts=1))
    document = canonical(INLINE)
    await scene.store.put(document)
    seen = []
    for _ in range(2):
        await scene.redis.command("RPUSH", "in", document["uuid"])
        ended = await scene.finished()
        assert ended.status == "done", ended.run
        seen.append((await scene.store.get(document["uuid"]), len(vendors.got)))
    assert seen[0] == seen[1]
    found, asked = seen[0]
    assert found is not None
    assert asked == 2
    [heard] = written(found, "transcript")
    assert json.loads(heard["body"])["text"] == SENTENCE
    [format_of_draft] = written(found, "wtf_transcription")
    assert json.loads(format_of_draft["body"])["transcript"]["text"] == HEARD
    assert found["dialog"][0]["body"] == f"{vendors.base}/kept"
    await close()
