"""The External Ingress section of vcon-server's documents, at the HTTP door of each Plugboard.

The system is the one that docs/ingress.md recommends for partners: it offers one action.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from redis.asyncio import Redis

from core.action_registry import ActionRegistry
from core.phoenix.lenient_json import NO_NUMBER
from devstack.deployment import Deployment
from devstack.plugboard.settings import Variant
from tests.canaries import CANARIES
from tests.integration.support.pipeline_fixtures import a_vcon

CONFIG = Path(__file__).parents[1] / "data" / "partners.yml"
AUTH: dict[str, str | list[str]] = yaml.safe_load(CONFIG.read_text())["ingress_auth"]
KEYS = {
    name: [CANARIES.add(key) for key in ([keys] if isinstance(keys, str) else keys)]
    for name, keys in AUTH.items()
}
PUSHES = [(name, key) for name, keys in KEYS.items() for key in keys]
OTHER_ACTIONS = sorted(set(ActionRegistry.discover("actions")) - {"ExternalIngress"})
CUSTOMER = "customer_data", KEYS["customer_data"][0]
OUT = {"customer_data": "customers_out", "support_calls": "support_out", "sales_leads": "sales_out"}
LISTS = ("customer_data", "support_calls", "sales_leads", "ours", "customers_out")
NO_LISTS = ("nowhere", "", "DLQ:customer_data", "vcons", "pc:workers", "customer_data ")
PATIENCE = 60.0
MOST_BYTES = 20_000

TOO_LARGE = a_vcon(subject="x" * MOST_BYTES)

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Partners:
    """A system for partners, as they see it."""

    def __init__(self, system: Deployment, variant: Variant) -> None:
        self.system = system
        self._variant = variant

    async def push(self, vcon: Any, ingress_list: str, api_key: str) -> tuple[int, Any]:
        """What the document's `submit_vcon_to_partner_ingress` gets here: code and message."""
        fields = {"vcon": vcon, "ingress_list": ingress_list, "api_key": api_key}
        answer = await self.system.call("ExternalIngress", **fields)
        return answer.status_code, answer.json()["message"]

    def relayed(self, code: int) -> int:
        """The code that a caller gets of an answer with this one; see docs/ingress.md."""
        if self._variant is Variant.BUGFIXES:
            return code
        return 200 if code < 400 else 400

    async def arrived(self, name: str) -> str:
        """The next uuid that a chain has passed on."""
        url = self.system.stack.valkey.url
        async with Redis.from_url(url, decode_responses=True, socket_timeout=2 * PATIENCE) as redis:
            _, vcon_uuid = await redis.blpop([name], timeout=PATIENCE)
        return str(vcon_uuid)


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=list(Variant), ids=lambda variant: variant.value
)
async def partners(request: pytest.FixtureRequest) -> AsyncIterator[Partners]:
    """Each Plugboard in turn, with the service for partners behind it."""
    settings = {"ACTIONS": "ExternalIngress", "REQUIRE_INGRESS_KEY": "true"}
    settings["MAX_VCON_BYTES"] = str(MOST_BYTES)
    async with Deployment(CONFIG, variant=request.param, settings=settings) as system:
        yield Partners(system, request.param)


async def test_each_partner_pushes_to_its_list(partners: Partners) -> None:
    """The document's single and multiple partners: 200 with the uuid, and the list's chain runs."""
    for name, key in PUSHES:
        vcon = a_vcon(vcon="0.0.1", created_at="2024-01-15T10:30:00Z", parties=[])
        del vcon["dialog"], vcon["analysis"], vcon["attachments"]  # as short as the document's
        told = {"uuid": vcon["uuid"]}
        assert await partners.push(vcon, name, key) == (200, told)
        assert await partners.arrived(OUT[name]) == vcon["uuid"]


async def test_a_wrong_key_is_told_in_the_words_of_the_document(partners: Partners) -> None:
    """403, also for a body that is none: who has no key learns nothing of the body's form."""
    for vcon in (a_vcon(), {}, None, TOO_LARGE):
        told = "Invalid API Key for ingress list 'customer_data'"
        answer = await partners.push(vcon, "customer_data", "wrong-api-key")
        assert answer == (partners.relayed(403), told)


async def test_what_is_not_valid_is_told_with_its_place(partners: Partners) -> None:
    """400 where the document has 422: every field that is missing or wrong."""
    code, words = await partners.push({"vcon": "0.0.1", "parties": 7}, *CUSTOMER)
    assert code == partners.relayed(400)
    assert all(f"{field}: " in words for field in ("uuid", "created_at", "parties"))


async def test_what_is_too_large_is_told_to_who_has_a_key(partners: Partners) -> None:
    """413; that of the others above comes first."""
    code, words = await partners.push(TOO_LARGE, *CUSTOMER)
    assert (code, f"at most {MOST_BYTES}" in words) == (partners.relayed(413), True)


async def test_a_number_that_nobody_keeps_is_answered(partners: Partners) -> None:
    """400 that says where: it is not dropped on the way, and not rounded either."""
    for number in (10**400, 2**64 + 1):
        code, words = await partners.push(a_vcon(meta={"id": number}), *CUSTOMER)
        assert (code, f"meta.id: {NO_NUMBER}" in words) == (partners.relayed(400), True)


async def test_a_request_without_a_key_names_the_field(partners: Partners) -> None:
    """400: the key is a field here."""
    fields = {"vcon": a_vcon(), "ingress_list": "customer_data"}
    answer = await partners.system.call("ExternalIngress", **fields)
    assert answer.status_code == partners.relayed(400)
    assert "api_key" in answer.json()["message"]


async def test_somebody_elses_vcon_is_not_replaced(partners: Partners) -> None:
    """409, for the key of another partner of the same list, too."""
    vcon = a_vcon()
    first, second, *_ = KEYS["support_calls"]
    assert (await partners.push(vcon, "support_calls", first))[0] == 200
    await partners.arrived("support_out")
    for name, key in (("support_calls", second), CUSTOMER):
        code, words = await partners.push(vcon | {"subject": "mine now"}, name, key)
        assert (code, "use another uuid" in words) == (partners.relayed(409), True)


async def test_a_key_opens_no_other_list(partners: Partners) -> None:
    """Lists of others, our own, those only written to, and what is no list: 403 for each."""
    for name in {*LISTS, *NO_LISTS} - {CUSTOMER[0]}:
        answer = await partners.push(a_vcon(), name, CUSTOMER[1])
        assert answer == (partners.relayed(403), f"Invalid API Key for ingress list '{name}'")


async def test_a_key_does_nothing_but_push(partners: Partners) -> None:
    """Every other action is 404, with any fields beside the key."""
    fields = {"vcon": a_vcon(), "ingress_lists": ["customer_data"], "ingress_list": CUSTOMER[0]}
    for action in OTHER_ACTIONS:
        answer = await partners.system.call(action, **fields, api_key=CUSTOMER[1])
        assert answer.status_code == partners.relayed(404)
        assert f"Unknown action: {action}" in answer.json()["message"]
