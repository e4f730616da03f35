"""What `lib.scitt.service` makes of the answers of transparency services."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from lib.scitt.statements import StatementOptions, Subject, make, registered
from lib.web.http_client import close
from lib.web.http_retry import VendorError
from pipeline.runs.call_scope import time_limit
from tests.canaries import canary
from tests.integration.links.integrity.scitt_scene import UUID, VCON, options
from tests.integration.support.http_stand_in import Request
from tests.integration.support.vendors import transparency as stand_ins
from tests.integration.support.vendors.transparency import Sent, Transparency, transparency

TOKEN = canary("token-of-the-service-58e2")
SUBJECT = Subject(f"vcon://{UUID}", None)


@pytest.fixture
async def service() -> AsyncIterator[Transparency]:
    """A service with an empty log."""
    with transparency() as found:
        yield found
        await close()


async def register(service: Transparency, **changes: Any) -> dict[str, str]:
    """Register one statement about a vCon."""
    given = StatementOptions.of(options(service, **changes))
    return await registered(given, make(given, VCON, SUBJECT, "vcon_created", "00" * 32))


ENTRY = hashlib.sha256(f"{'00' * 32}:vcon_created".encode()).hexdigest()


@pytest.mark.parametrize("public_url", ["", "https://scitt.example/public"])
async def test_a_registration_that_takes_longer_is_polled(
    public_url: str, service: Transparency
) -> None:
    """At the configured address, also if the service names another."""
    service.polls, service.public_url = ["0", "", "0"], public_url
    assert (await register(service))["entry_id"] == ENTRY
    assert [path for path, _, _ in service.got[:5]] == ["/entries", *[f"/entries/{ENTRY}"] * 4]


async def test_the_operation_of_earlier_drafts_names_its_entry(service: Transparency) -> None:
    """As JSON, after 202."""
    running = [202, 200]

    def answered(request: Request) -> bytes:
        if request.method == "POST":
            Transparency.reply_to(service, request)
        if request.path == "/operations/7" and (status := running.pop(0)):
            entry = json.dumps({"entryID": ENTRY} if status == 200 else {"status": "running"})
            raise Sent(status, entry.encode(), "application/json")
        return Transparency.reply_to(service, request)

    def post(request: Request) -> bytes:
        try:
            return answered(request)
        except Sent as sent:
            if sent.status == 201:
                raise Sent(303, b"", "application/cose", location="/operations/7") from None
            raise

    service.reply_to = post  # type: ignore[method-assign]
    assert (await register(service))["entry_id"] == ENTRY


@pytest.mark.parametrize("limit", ["poll_timeout", "the chain"])
async def test_polling_ends(limit: str, service: Transparency) -> None:
    """When the service asks for more time than there is, and not after it has passed."""
    service.polls = ["50"]
    changes = {"poll_timeout": 40} if limit == "poll_timeout" else {"poll_timeout": 500}
    async with time_limit(40):
        with pytest.raises(VendorError, match="has not registered the statement in") as error:
            await register(service, **changes)
    assert error.value.peer_failed


@pytest.mark.parametrize("entry", ["payload", "statement", "its hash"])
@pytest.mark.parametrize("keys_as", ["jwks", "cose"])
async def test_keys_and_entries_have_several_forms(
    keys_as: str, entry: str, service: Transparency
) -> None:
    """Those of SCITTLEs and those of SCRAPI."""
    service.keys_as = keys_as
    if entry != "payload":
        as_it_is = entry == "statement"
        service.entry_of = lambda statement, _: (
            statement if as_it_is else hashlib.sha256(statement).digest()
        )
    assert (await register(service))["entry_id"] == ENTRY


async def test_a_key_is_fetched_when_the_service_has_a_new_one(
    service: Transparency, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And otherwise not for each receipt."""
    await register(service, issuer="a")
    service.statements.clear()
    await register(service, issuer="b")
    assert [path for path, _, _ in service.got].count("/jwks") == 1
    service.key = ec.generate_private_key(stand_ins.CURVE)
    monkeypatch.setattr(stand_ins, "KID", b"service-key-2")
    service.statements.clear()
    await register(service, issuer="c")
    assert [path for path, _, _ in service.got].count("/jwks") == 2


async def test_keys_elsewhere_are_not_fetched(service: Transparency) -> None:
    """A service could name any address; the operator may."""
    with transparency() as other:
        service.configuration = {"jwks_uri": f"{other.url}/jwks"}
        with pytest.raises(VendorError, match="another host or port, which is not requested"):
            await register(service)
        assert other.got == []
        service.statements.clear()
        await register(service, jwks_url=f"{service.url}/jwks", api_token=TOKEN)
        other.key = service.key
        service.statements.clear()
        await register(service, jwks_url=f"{other.url}/jwks", api_token=TOKEN)
        assert "authorization" not in other.got[0][1]
    assert service.got[-1][1]["authorization"] == f"Bearer {TOKEN}"


async def test_without_keys_nothing_is_verified(service: Transparency) -> None:
    """So the registration fails."""
    service.keys_as = "none"
    with pytest.raises(VendorError, match="publishes no keys"):
        await register(service)


async def test_the_services_words_are_in_the_error(service: Transparency) -> None:
    """Title and detail of its problem details."""
    wanted = "answered 400: Rejected: issuer and subject are required in the CWT claims"
    with pytest.raises(VendorError, match=wanted):
        await register(service, issuer="")
    assert service.posts() == 1


@pytest.mark.parametrize("fault", ["503 Retry-After: 0", "429", "drop", "lost"])
async def test_a_passing_fault_is_repeated(fault: str, service: Transparency) -> None:
    """With the same bytes; what the service has had before it broke off is found again."""
    service.answers, service.lost = ([], 1) if fault == "lost" else ([fault], 0)
    assert (await register(service))["entry_id"] == ENTRY
    sent = {body for _, _, body in service.got if body}
    assert (service.posts(), len(sent)) == (2, 1)


async def test_a_long_retry_after_fails_at_once(service: Transparency) -> None:
    """Longer than a worker waits."""
    service.answers = ["503 Retry-After: 3600"]
    with pytest.raises(VendorError, match="answered 503"):
        await register(service)


async def test_a_large_answer_is_not_read_to_its_end(service: Transparency) -> None:
    """A receipt has about a thousand bytes."""
    service.change_receipt = lambda _: bytes(300_000)
    with pytest.raises(VendorError, match="more than 262144 bytes"):
        await register(service)


@pytest.mark.parametrize("status", ["204", "301 Location: http://elsewhere/", "303"])
async def test_an_answer_of_another_kind_is_an_error(status: str, service: Transparency) -> None:
    """And redirects are not followed."""
    service.answers = [status]
    with pytest.raises(VendorError, match="without a receipt"):
        await register(service)


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"\x80", cbor2.dumps([1] * 4), b"\x9f" * 5000, b"\xd2\x84\x43"]
)
async def test_a_receipt_that_is_no_message_is_an_error(
    content: bytes, service: Transparency
) -> None:
    """Of any kind."""
    service.change_receipt = lambda _: content
    with pytest.raises(ValueError, match="the receipt"):
        await register(service)
