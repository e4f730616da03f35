"""The configuration of vcon-server's document runs in a real service, with other keys and hosts.

Deepgram, OpenAI, the webhook's receiver and JLINC are one local server, and S3 is another.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import psycopg
import pytest
import pytest_asyncio
import yaml

from devstack.deployment import Deployment
from pipeline.vcon.normalization import normalised
from tests.acceptance.test_main_job import SAMPLES, finished
from tests.canaries import canary
from tests.integration.support.http_stand_in import StandIn
from tests.integration.support.vendors.openai import chat
from tests.integration.support.vendors_scene import (
    BY_URL,
    DEEPGRAM,
    HEARD,
    s3_url,
    vendors_server,
    written,
)
from tests.unit.config.test_config_vcon_server import EXAMPLE, FRAGMENTS

__all__ = ["s3_url", "vendors_server"]

BUCKET = "your_bucket"
KEYS = {
    name: canary(f"acceptance-key-{number}")
    for number, name in enumerate(
        (
            *("your_deepgram_key", "your_openai_key", "your_key", "your_secret"),
            *("your_data_store_api_key", "your_archive_api_key", "your_password"),
        )
    )
}
LINKS = ["deepgram_link", "summarize", "webhook_store_call_log"]
JLINC = "/api/v1/data"


def config(base: str) -> str:
    """The document's `config.yml` with its section on JLINC; other keys and hosts, no more."""
    document = yaml.safe_load(EXAMPLE) | {"tracers": yaml.safe_load(FRAGMENTS)["tracers"]}
    document["links"]["deepgram_link"]["options"]["base_url"] = base
    document["storages"]["postgres"]["options"]["port"] = "${POSTGRES_PORT}"
    text = yaml.safe_dump(document)
    hosts = {
        "https://example.com": base,
        "http://jlinc-server:9090": base,
        "your_host": "${POSTGRES_HOST}",
    }
    for old, new in (hosts | dict(sorted(KEYS.items(), reverse=True))).items():
        text = text.replace(f" {old}", f" {new}")
    return text


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def system(
    vendors_server: StandIn, s3_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Deployment]:
    """The system with that configuration."""
    vendors, file = vendors_server, tmp_path_factory.mktemp("config") / "config.yml"
    vendors.reset()
    vendors.replies = {
        "/v1/listen": DEEPGRAM,
        "/v1/chat/completions": chat(),
        f"{JLINC}/entity/domains/get": ["jlinc.example"],
        f"{JLINC}/entity/get": {"didDoc": {}},
        f"{JLINC}/entity/create": {"didDoc": {"id": "did:jlinc:x"}},
        f"{JLINC}/event/produce": {"created": {"eventId": "e"}},
    }
    file.write_text(config(vendors.base))
    settings = {
        "OPENAI_BASE_URL": f"{vendors.base}/v1",
        "AWS_ENDPOINT_URL": s3_url,
        "LOG_LEVEL": "DEBUG",
    }
    async with Deployment(file, settings=settings) as deployment:
        await asyncio.to_thread(make_user, deployment)
        yield deployment


@pytest.mark.asyncio(loop_scope="module")
async def test_the_documents_configuration_runs_a_vcon_with_audio(
    system: Deployment, vendors_server: StandIn, s3_url: str
) -> None:
    """Through Deepgram, the model and the webhook into Postgres and S3, with proofs on the way."""
    vcon = {**SAMPLES[BY_URL], "uuid": str(uuid.uuid4())}
    bucket = await asyncio.to_thread(made_bucket, s3_url)
    answer = await system.call("IngestVcon", vcon=vcon, ingress_lists=["customer_data"])
    assert answer.status_code == 201, answer.text
    [run] = (await finished(system, "main_chain", {vcon["uuid"]})).values()
    assert run["status"] == "done"
    with psycopg.connect(system.stack.postgres.url("postgres")) as connection:
        [(stored,)] = connection.execute("SELECT vcon_json FROM vcons").fetchall()
    check_content(stored, vcon)
    assert await asyncio.to_thread(content, bucket, vcon["uuid"]) == stored
    assert vendors_server.asked("/conserver") == [stored]
    events = vendors_server.asked(f"{JLINC}/event/produce")
    names = [f"vcontest-{name}@jlinc.example" for name in ("system", *LINKS, "system")]
    ends = [(event["senderShortName"], event["recipientShortName"]) for event in events]
    assert ends == list(pairwise(names))
    for what in (HEARD, "[botocore", "[httpcore2", "[openai"):
        assert what not in system.service.logged()


def make_user(system: Deployment) -> None:
    """The user of the document, whom its Postgres has."""
    with psycopg.connect(system.stack.postgres.url("postgres")) as connection:
        connection.execute(
            f"CREATE ROLE postgres LOGIN SUPERUSER PASSWORD '{KEYS['your_password']}'"
        )


def made_bucket(url: str) -> Any:
    """The bucket, which is there before the service is."""
    import boto3

    keys = {"aws_access_key_id": KEYS["your_key"], "aws_secret_access_key": KEYS["your_secret"]}
    resource = boto3.resource("s3", endpoint_url=url, region_name="us-east-1", **keys)
    return resource.create_bucket(Bucket=BUCKET)


def content(bucket: Any, vcon_uuid: str) -> dict[str, Any]:
    """The vCon in the bucket, found as vcon-server finds it."""
    day = bucket.Object(f"lookup/{vcon_uuid}.txt").get()["Body"].read().decode()
    found: dict[str, Any] = json.loads(
        bucket.Object(f"{day}/{vcon_uuid}.vcon").get()["Body"].read()
    )
    return found


def check_content(stored: dict[str, Any], vcon: dict[str, Any]) -> None:
    """What came in is there, and what the links have added."""
    assert {**stored, "analysis": []} == normalised(vcon)
    [transcript], [summary] = written(stored, "transcript"), written(stored, "summary")
    assert json.loads(transcript["body"])["transcript"] == HEARD
    assert (summary["body"], summary["dialog"]) == ("A broken bike.", 0)
    assert not any(key in json.dumps(stored) for key in KEYS.values())
