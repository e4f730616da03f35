"""The internal and the partner API on real Redis and Postgres, called as by a Plugboard frame."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from redis import Redis

from core.action_registry import ActionRegistry
from core.action_response import ActionResponse
from core.concurrency.helper_process import Offload, call_inline
from core.db.database import Database
from core.db.usage_and_audit import PartnerRecords
from core.phoenix.frames import Frame, Malformed, decode_v2
from core.rpc.dispatcher import Dispatcher
from core.settings import DatabaseSettings
from pipeline.api import PipelineService
from pipeline.config.parser import Chain, PipelineConfig
from pipeline.ingest.intake import Intake
from pipeline.ingest.internal import InternalApi
from pipeline.ingest.key_cache import hashed
from pipeline.ingest.partners import Partners
from pipeline.live_config import Configuration
from pipeline.plugins.loader import Plugins
from pipeline.redis_client import keys as names
from pipeline.redis_client.client import RedisConnection
from schemas.ingress_key import Author, IngressKey, NewKey
from tests.integration.support.pipeline_fixtures import postgres_calls

ACTIONS = ActionRegistry.discover("actions")
type Decode = Callable[[bytes], Frame | Malformed | None]

ADMIN = Author(actor="service:1")
LISTS = ("customer_data", "support_calls")
MOST = 4_000


class Apis:
    """Both APIs, with requests to them."""

    def __init__(
        self,
        redis: RedisConnection,
        client: Redis,
        database: Database,
        most_bytes: int = MOST,
        offload: Offload = call_inline,
    ) -> None:
        self.client, self.database = client, database
        chains = {"main": Chain("main", ingress_lists=LISTS)}
        self.configuration = Configuration(PipelineConfig(chains=chains), Plugins())
        records = PartnerRecords(database)
        self.keys, self.ledger = records.keys, records.ledger
        self.partners = Partners(self.configuration, redis, records, postgres_calls())
        intake = Intake(redis, sorted_set="vcons", max_depth=100, offload=offload)
        self.partners.build_api(most_bytes, intake, offload)
        self._parts = (most_bytes, intake, offload)
        self.require_key(required=False)
        self.decode: Decode = decode_v2
        self._dispatcher = Dispatcher(ACTIONS, run_blocking=asyncio.to_thread, offload=offload)

    def require_key(self, *, required: bool = True) -> None:
        """Require a key of callers of the internal API, or not."""
        most_bytes, intake, offload = self._parts
        api = self.partners.api
        internal = InternalApi(
            self.configuration, most_bytes, intake, api, key_required=required, offload=offload
        )
        unused: Any = [None] * 12  # other parts of the pipeline than the two APIs
        self.pipeline = PipelineService(self.configuration, internal, api, *unused, "0.4.0")

    def key(self, secret: str, name: str = "customer_data", **limits: Any) -> IngressKey:
        """A new key for a list."""
        new = NewKey(ingress_list=name, label="partner", **limits)
        return self.keys.create(new, hashed(secret), ADMIN)

    async def push(
        self, vcon: object, api_key: object = "secret-1", ingress_list: object = "customer_data"
    ) -> ActionResponse:
        """The answer to a partner."""
        fields = {"vcon": vcon, "ingress_list": ingress_list, "api_key": api_key}
        return await self.answer("ExternalIngress", received(fields, self.decode))

    async def answer(self, action: str, fields: object) -> ActionResponse:
        """The answer to fields as they were read from a frame."""
        client = SimpleNamespace(pipeline=self.pipeline)
        return await self._dispatcher.answer(action, fields, client, None)

    async def code(self, vcon: object, *place: object) -> int:
        """The code of that answer."""
        return (await self.push(vcon, *place)).status_code

    def stored(self, vcon_uuid: str) -> Any:
        """What Redis has of a vCon."""
        return self.client.json().get(names.vcon(vcon_uuid))

    async def ingest(self, vcon: object, *lists: object, **key: object) -> ActionResponse:
        """The answer of the internal API, with an `api_key` or without."""
        fields = {"vcon": vcon, "ingress_lists": list(lists), **key}
        return await self.answer("IngestVcon", received(fields, self.decode))


def received(fields: dict[str, object], decode: Decode = decode_v2) -> object:
    """Fields as they come in a frame."""
    text = json.dumps([None, None, "service", "request", {"fields": fields}])
    frame = decode(text.encode())
    assert isinstance(frame, Frame)
    return frame.payload["fields"]


@asynccontextmanager
async def opened_apis(
    redis: RedisConnection,
    client: Redis,
    settings: DatabaseSettings,
    most_bytes: int = MOST,
    offload: Offload = call_inline,
) -> AsyncIterator[Apis]:
    """Both APIs, without any key."""
    database = Database()
    database.initialize(settings)
    opened = Apis(redis, client, database, most_bytes, offload)
    await opened.partners.take_over()
    yield opened
    database.close()


@pytest.fixture
async def apis(
    redis: RedisConnection, client: Redis, database_settings: DatabaseSettings
) -> AsyncIterator[Apis]:
    """Both APIs, without any key."""
    async with opened_apis(redis, client, database_settings) as opened:
        yield opened
