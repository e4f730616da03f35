"""Everything outside of the service that the plugins of vcon-server call."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devstack.deployment import Deployment
from devstack.servers.ports import HOST
from tests.integration.support.elasticsearch_stand_in import ElasticStandIn
from tests.integration.support.http_stand_in import stand_in
from tests.integration.support.mongo_stand_in import mongo_server
from tests.integration.support.vendors.datatrails import DataTrails
from tests.integration.support.vendors.dataverse import LOGIN, DataverseStandIn, dataverse
from tests.integration.support.vendors.hugging_face_router import HuggingFaceRouter
from tests.integration.support.vendors.openai import CHAT, OpenAI
from tests.integration.support.vendors.openai_files import OpenAIFiles
from tests.integration.support.vendors.sftp import SftpServer, sftp_server
from tests.integration.support.vendors.slack import Slack
from tests.integration.support.vendors.spaceandtime import SpaceAndTime
from tests.integration.support.vendors.transparency import Transparency
from tests.integration.support.vendors.utopia import Utopia
from tests.integration.support.vendors.vcon_mcp import VconMcpStandIn, vcon_mcp
from tests.integration.support.vendors_scene import tone, wav
from tests.plugins.scene import Later

moto, boto3, milvus_lite = map(
    Later,
    (
        *("moto.server", "boto3"),
        "milvus_lite.adapter.grpc.server",
    ),
)
RECORDING = "/recording.wav"
BUCKET = "vcons"
S3_KEYS = {"aws_access_key_id": "an-id", "aws_secret_access_key": "a-secret"}
SLACK_TOKEN = "xoxb-a-token"
VECTOR = [0.5, 0.25, 0.0, 1.0]


@dataclass
class World:
    """The vendors and servers; `http` is each that needs nothing but a path of its own.

    The servers of the system itself are told when it runs.
    """

    folder: Path
    http: OpenAIFiles
    router: HuggingFaceRouter
    elasticsearch: ElasticStandIn
    dataverse: DataverseStandIn
    vcon_mcp: VconMcpStandIn
    transparency: Transparency
    slack: Slack
    datatrails: DataTrails
    spaceandtime: SpaceAndTime
    utopia: Utopia
    sftp: SftpServer
    mongo_url: str
    s3_url: str
    milvus_port: int
    postgres_url: str = ""
    redis_url: str = ""

    def started(self, system: Deployment) -> None:
        """Note where the servers of the system are."""
        self.postgres_url = system.stack.postgres.url("postgres")
        self.redis_url = system.stack.valkey.url

    @property
    def settings(self) -> dict[str, str]:
        """What the service is told of them beside the options."""
        return {
            "OPENAI_BASE_URL": f"{self.http.base}/v1",
            "GROQ_BASE_URL": self.http.base,
            "AWS_ENDPOINT_URL": self.s3_url,
            "ALLOW_PRIVATE_URLS": "true",
        }

    @property
    def hosts(self) -> dict[str, int]:
        """The ports of vendors that modules of vcon-server have no option for."""
        deepgram, slack = self.http.port, self.slack.port
        return {LOGIN: self.dataverse.port, "slack.com": slack, "api.deepgram.com": deepgram}

    @property
    def vcon(self) -> dict[str, Any]:
        """A call with a recording for each link that transcribes, and a text.

        A recording with a transcript is not heard again: the links take those of their length.
        """
        digest = hashlib.sha512(self.http.replies[RECORDING]).digest()
        lengths = [100, *range(50, 0, -10)]
        recordings = [
            {
                "type": "recording",
                "start": f"2026-03-01T09:{number:02}:00+00:00",
                "duration": seconds,
                "parties": [0, 1],
                "url": f"{self.http.base}{RECORDING}",
                "mediatype": "audio/wav",
                "filename": "recording.wav",
                "content_hash": f"sha512-{base64.urlsafe_b64encode(digest).decode().rstrip('=')}",
            }
            for number, seconds in enumerate(lengths)
        ]
        tags = {"type": "tags", "purpose": "tags", "encoding": "json", "body": '["room:north"]'}
        return {
            "vcon": "0.4.0",
            "uuid": "018e0000-0000-8000-8000-00000000e001",
            "created_at": "2026-03-01T09:00:00+00:00",
            "subject": "A broken bike",
            "parties": [{"tel": "+15550100", "name": "Ada"}, {"tel": "+15550101", "name": "Bo"}],
            "dialog": recordings,
            "attachments": [tags],
            "analysis": [],
        }


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """All of them, started; the plugins' options add what they answer."""
    async with AsyncExitStack() as started:
        (folder / "sftp").mkdir()
        tables = started.enter_context(closing(SpaceAndTime()))
        found = World(
            folder=folder,
            http=started.enter_context(stand_in(OpenAIFiles())),
            router=started.enter_context(stand_in(HuggingFaceRouter())),
            elasticsearch=started.enter_context(stand_in(ElasticStandIn())),
            dataverse=started.enter_context(dataverse()),
            vcon_mcp=started.enter_context(vcon_mcp()),
            transparency=started.enter_context(stand_in(Transparency())),
            slack=started.enter_context(stand_in(Slack(token=SLACK_TOKEN))),
            datatrails=started.enter_context(stand_in(DataTrails())),
            spaceandtime=started.enter_context(stand_in(tables)),
            utopia=started.enter_context(stand_in(Utopia())),
            sftp=await started.enter_async_context(sftp_server(folder / "sftp")),
            mongo_url=await started.enter_async_context(mongo_server()),
            s3_url=await started.enter_async_context(_s3()),
            milvus_port=await started.enter_async_context(_milvus(folder / "milvus")),
        )
        found.http.replies[RECORDING] = wav(tone(1.5))
        found.http.replies["/v1/embeddings"] = _embedded()
        yield found


def completed(found: World) -> None:
    """Let the model answer each question in the form that it asks for."""
    found.http.replies[CHAT] = OpenAI().replies[CHAT]


def _embedded() -> dict[str, Any]:
    length = math.sqrt(sum(each * each for each in VECTOR))
    vector = [each / length for each in VECTOR]
    data = [{"object": "embedding", "index": 0, "embedding": vector}]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return {"object": "list", "data": data, "model": "m", "usage": usage}


@asynccontextmanager
async def _s3() -> AsyncIterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = moto.ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
    await asyncio.to_thread(server.start)
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        await asyncio.to_thread(_bucket, url)
        yield url
    finally:
        await asyncio.to_thread(server.stop)


@asynccontextmanager
async def _milvus(folder: Path) -> AsyncIterator[int]:
    start = milvus_lite.start_server_in_thread
    server, database, port = await asyncio.to_thread(start, str(folder))
    try:
        yield port
    finally:
        await asyncio.to_thread(server.stop(grace=None).wait)
        await asyncio.to_thread(database.close)


def _bucket(url: str) -> None:
    made = boto3.resource("s3", endpoint_url=url, region_name="us-east-1", **S3_KEYS)
    made.create_bucket(Bucket=BUCKET)
    made.meta.client.close()
