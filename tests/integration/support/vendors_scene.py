"""What the tests of plugins that call vendors share: the vendors' stand-in, and what it says."""

from __future__ import annotations

import array
import base64
import io
import json
import math
import subprocess
import wave
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from lib import limits
from lib.web.http_client import close
from pipeline.runs.vcon_store import VconStore
from tests.canaries import canary
from tests.integration.support.http_stand_in import StandIn, stand_in
from tests.integration.support.vendors.openai import CHECKS
from tests.plugins.scene import Later, canonical, connected

INLINE = "recording-inline-wav-0.4.0"
BY_URL = "recording-by-url-0.4.0"
FAULTS = ("500", "503", "429 Retry-After: 0", "429", "drop", "hang", "cut", "half")
"""What a vendor does once, and then not again."""
QUICK = {"backoff": 0.001, "timeout": 30}
"""Options with which no pause is waited for."""
SHORT = {"timeout": 0.2, "retries": 50}
"""The same, with a short time limit for a vendor that hangs."""
HEARD = "Hello, my bike is broken."
BUCKET = "conversations"
S3_KEYS = {"aws_access_key_id": "who", "aws_secret_access_key": canary("secret-of-the-bucket-6cf5")}

ANSWER = {
    "text": HEARD,
    "usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59},
}
"""What OpenAI answers to a recording."""
DEEPGRAM = {
    "metadata": {"request_id": "r", "duration": 25.4, "channels": 1, "models": []},
    "results": {
        "channels": [
            {
                "detected_language": "de",
                "alternatives": [
                    {
                        "transcript": HEARD,
                        "confidence": 0.98,
                        "words": [{"word": "hello", "start": 0.1, "end": 0.4, "confidence": 0.99}],
                        "paragraphs": {"transcript": HEARD, "paragraphs": []},
                    },
                    {"transcript": "Another one", "confidence": 0.2},
                ],
            }
        ]
    },
}


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[VconStore]:
    """A store behind the connection that plugins find; the clients that they open are closed."""
    async with connected(redis_url) as store:
        yield store
        await close()


@pytest.fixture(scope="session")
def vendors_server() -> Iterator[StandIn]:
    """The server in the place of all vendors, started when the first test asks."""
    with stand_in(StandIn()) as server:
        yield server


@pytest.fixture
def vendors(vendors_server: StandIn, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """One server in the place of all vendors, that has nothing to say yet."""
    vendors_server.reset()
    vendors_server.checks.update(CHECKS)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{vendors_server.base}/v1")
    monkeypatch.setenv("GROQ_BASE_URL", vendors_server.base)
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    allowing = replace(limits.current(), allow_private_urls=True)
    monkeypatch.setattr(limits, "_limits", allowing)
    return vendors_server


def transcribed(name: str = BY_URL, text: str = HEARD) -> dict[str, Any]:
    """A sample with a transcript by Deepgram."""
    body = json.dumps({"transcript": text, "paragraphs": {"transcript": text}})
    entry = {
        "type": "transcript",
        "dialog": 0,
        "vendor": "deepgram",
        "body": body,
        "encoding": "json",
    }
    return canonical(name) | {"analysis": [entry]}


def written(document: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The analyses of a type."""
    return [each for each in document["analysis"] if each["type"] == kind]


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """The address of a server that speaks S3, started when the first test asks."""
    import logging

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def s3_resource(s3_url: str) -> Iterator[Any]:
    """A client of the tests' own; one takes half a second."""
    boto3 = Later("boto3")
    resource = boto3.resource("s3", endpoint_url=s3_url, region_name="us-east-1", **S3_KEYS)
    yield resource
    resource.meta.client.close()


@pytest.fixture
def bucket(s3_resource: Any) -> Iterator[Any]:
    """A bucket, emptied and removed afterwards."""
    bucket = s3_resource.create_bucket(Bucket=BUCKET)
    yield bucket
    bucket.objects.all().delete()
    bucket.delete()


def tone(seconds: float, loudness: float = 0.5) -> list[int]:
    """Samples of a tone, 8000 a second; with a loudness of 0, of silence."""
    return [
        int(32000 * loudness * math.sin(number / 8000 * 440 * 2 * math.pi))
        for number in range(int(seconds * 8000))
    ]


def wav(samples: list[int]) -> bytes:
    """A recording of them."""
    file = io.BytesIO()
    with wave.open(file, "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(8000)
        recording.writeframes(array.array("h", samples).tobytes())
    return file.getvalue()


def with_recording(samples: list[int]) -> dict[str, Any]:
    """A vCon with such a recording in it."""
    document = canonical(INLINE)
    dialog = document["dialog"][0]
    dialog["body"] = base64.urlsafe_b64encode(wav(samples)).decode().rstrip("=")
    del dialog["content_hash"]
    dialog["duration"] = len(samples) / 8000
    return document


def streamed(form: str, seconds: float) -> bytes:
    """A tone, written to where nothing at its beginning can be changed afterwards."""
    tone = ("-f", "lavfi", "-i", f"sine=duration={seconds}")
    command = [Later("imageio_ffmpeg").get_ffmpeg_exe(), "-v", "error", *tone, "-f", form, "-"]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout
