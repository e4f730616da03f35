"""A configuration with every link and storage of vcon-server runs a vCon with audio, twice."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.every_plugin.__main__ import paths, same_modes
from tests.every_plugin.hosts import hosts
from tests.every_plugin.names import PORTS, lead
from tests.every_plugin.run import run_twice
from tests.every_plugin.table import LINKS, STORAGES
from tests.integration.support.elasticsearch_stand_in import ElasticStandIn
from tests.integration.support.http_stand_in import stand_in
from tests.integration.support.vendors.dataverse import (
    CLIENT,
    LOGIN,
    SECRET,
    TABLE,
    TENANT,
    DataverseStandIn,
    dataverse,
)
from tests.plugins.scene import Later

requests, elasticsearch = Later("requests"), Later("elasticsearch")

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


@pytest.fixture
def environment() -> Iterator[DataverseStandIn]:
    """A Dataverse environment, with its login."""
    with dataverse() as server:
        yield server


def saved(client: Any, environment: DataverseStandIn) -> int:
    """The status of a new row, as from vcon-server's own storage: by the login's host, and POST."""
    documents = f"https://{LOGIN}/{TENANT}/v2.0/.well-known/openid-configuration"
    login = {"client_id": CLIENT, "client_secret": SECRET, "scope": f"{environment.base}/.default"}
    login["grant_type"] = "client_credentials"
    with client.get(documents) as about:
        place = about.json()["token_endpoint"]
    with client.post(place, data=login) as answer:
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    client.headers.update({"OData-Version": "4.0", "OData-MaxVersion": "4.0"})
    row = {"vcon_uuid": "a", "vcon_data": "{}", "vcon_created_at": "2026-03-01T09:00:00.5+00:00"}
    with client.post(f"{environment.base}/api/data/v9.2/{TABLE}", json=row) as made:
        return int(made.status_code)


async def test_a_host_in_the_code_of_a_module(
    tmp_path: Path, environment: DataverseStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that knows the vendor's name reaches the stand-in without a proxy, and no other."""
    monkeypatch.setattr(socket, "getaddrinfo", socket.getaddrinfo)
    async with hosts(tmp_path, {LOGIN: environment.port}) as given:
        monkeypatch.setenv(PORTS, given[PORTS])
        lead()
        with requests.Session() as client:
            client.trust_env = False
            client.verify = given["REQUESTS_CA_BUNDLE"]
            assert await asyncio.to_thread(saved, client, environment) == 204
            with pytest.raises(requests.exceptions.ConnectionError, match="has no stand-in"):
                await asyncio.to_thread(client.get, "https://other.example/")
    assert environment.vcons() == [{}]


def indexed(client: Any) -> int:
    """The parts that a storage of others has deleted: it writes each part without a condition."""
    for body in ("a", "b"):
        client.index(index="vcon_dialog", id="1_0", document={"vcon_id": "1", "body": body})
    client.indices.refresh()
    names = list(client.indices.get_alias(index="vcon*"))
    query = {"match": {"vcon_id": "1"}}
    return int(client.delete_by_query(index=names, query=query, refresh=True)["deleted"])


async def test_elasticsearch_without_conditions() -> None:
    """A part is written over, and deleted by the index's own name."""
    with stand_in(ElasticStandIn()) as server, elasticsearch.Elasticsearch(server.base) as client:
        assert await asyncio.to_thread(indexed, client) == 1
    assert server.documents == {}


def test_paths_of_modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Older libraries and programs that are given to the command are found by the modules."""
    monkeypatch.setenv("PYTHONPATH", "/older")
    monkeypatch.setenv("PATH", "/programs")
    given = paths(tmp_path)
    assert given["PYTHONPATH"].split(":")[::2] == [str(tmp_path), "/older"]
    assert given["PATH"] == "/programs"


def test_modes_of_folders(tmp_path: Path) -> None:
    """A module that changes the folders above its own leaves them as they were."""
    shared = tmp_path / "shared"
    (shared / "own").mkdir(parents=True)
    shared.chmod(0o1777)
    with same_modes(shared / "own"):
        shared.chmod(0o755)
    assert shared.stat().st_mode & 0o7777 == 0o1777
