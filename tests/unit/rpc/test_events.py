"""What each event of the Plugboard changes and what it has written down."""

import logging
from typing import Any

import pytest
from pydantic import SecretStr

from core.action_registry import ActionRegistry
from core.rpc.event_router import EventRouter
from core.secrets.credentials import Credentials
from schemas.service import Service
from schemas.token import Token
from tests.unit.support.recording_records import RecordingRecords

SERVICE = {
    "id": 3,
    "name": "basic",
    "inserted_at": "2026-11-21T09:35:13Z",
    "updated_at": "2026-11-21T09:35:13Z",
}
RENAMED = SERVICE | {"name": "renamed", "updated_at": "2026-11-21T09:35:19Z"}
CHILD = SERVICE | {"id": 4, "name": "child"}
TOKEN = {
    "id": 9,
    "context": "api-token",
    "service_id": 3,
    "inserted_at": "2026-11-21T09:35:13Z",
    "expires_at": "2027-02-19T09:35:13Z",
}
SECRET = "1-iQ0kccX4R8VQNAC_YjKjLeN1fz81mhIVuQaTndNF0"
JOINED = {"status": "ok", "response": {"num_consumers": 2, "service": SERVICE, "token": TOKEN}}
EVENTS = EventRouter(ActionRegistry.discover("events"), "service")


class ClientForTests:
    """What an event sees of a client."""

    def __init__(self) -> None:
        self.service: Service | None = None
        self.token: Token | None = None
        self.num_consumers = 0
        self.credentials = Credentials(SecretStr("configured"))
        self.records = RecordingRecords()
        self.accepted: list[tuple[object, ...]] = []
        self.retired: list[str] = []

    def accept(self, *request: object) -> None:
        self.accepted.append(request)

    def retire(self, why: str) -> None:
        self.retired.append(why)

    def hears(self, event: str, **payload: Any) -> None:
        """Let it hear one event."""
        EVENTS.route(event, payload, None, self, None)


@pytest.fixture
def client() -> ClientForTests:
    """A client that has not joined."""
    return ClientForTests()


@pytest.fixture
def joined(client: ClientForTests) -> ClientForTests:
    """A client that has joined, its records empty again."""
    client.hears("phx_reply", **JOINED)
    client.records.written.clear()
    return client


def test_a_join_tells_service_token_and_count(client: ClientForTests) -> None:
    """The answer to a join is remembered and written down."""
    client.hears("phx_reply", **JOINED)
    assert client.service == Service.model_validate(SERVICE)
    assert client.token == Token.model_validate(TOKEN)
    assert client.num_consumers == 2
    assert client.records.written == [
        ("service_seen", client.service),
        ("token_seen", client.token),
    ]


def test_a_join_may_tell_nothing(client: ClientForTests) -> None:
    """A Plugboard that says only `ok` is understood."""
    client.hears("phx_reply", status="ok", response={})
    assert (client.service, client.token, client.num_consumers) == (None, None, 1)
    assert client.records.written == []


def test_a_second_join_does_not_undo_a_rename(joined: ClientForTests) -> None:
    """On the same socket the Plugboard repeats what it knew at the first join."""
    joined.hears("service_updated", service=RENAMED)
    joined.hears("phx_reply", **JOINED)
    assert joined.service is not None
    assert joined.service.name == "renamed"


def test_our_own_rename_is_remembered_and_recorded(joined: ClientForTests) -> None:
    """`service_updated` with our id changes our service."""
    joined.hears("service_updated", service=RENAMED)
    assert joined.service == Service.model_validate(RENAMED)
    assert joined.records.written == [("service_seen", joined.service)]


def test_our_own_deletion_is_recorded_and_ends_us(joined: ClientForTests) -> None:
    """`service_deleted` with our id makes the consumer retire."""
    joined.hears("service_deleted", service=SERVICE)
    assert joined.records.written == [("service_deleted", Service.model_validate(SERVICE))]
    assert joined.retired == ["the service basic was deleted"]


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("service_updated", {"service": CHILD}),
        ("service_deleted", {"service": CHILD}),
        ("token_created", {"token": TOKEN | {"id": 10, "service_id": 4, "value": SECRET}}),
        ("token_deleted", {"token": TOKEN | {"id": 10, "service_id": 4}}),
    ],
)
def test_another_services_news_is_ignored(
    event: str, payload: dict[str, Any], joined: ClientForTests
) -> None:
    """Objects of a child service change nothing and are not written down."""
    before = (joined.service, joined.token)
    joined.hears(event, **payload)
    assert (joined.service, joined.token) == before
    assert joined.records.written == []
    assert joined.retired == []


@pytest.mark.parametrize("event", ["service_updated", "service_deleted"])
def test_news_before_the_join_is_ignored(event: str, client: ClientForTests) -> None:
    """Before the first join, events of all services are ignored."""
    client.hears(event, service=SERVICE)
    assert client.service is None
    assert client.retired == []


def test_a_new_token_is_recorded_with_its_value(joined: ClientForTests) -> None:
    """The records get the value, to hash it; a look at the token does not show it."""
    joined.hears("token_created", token=TOKEN | {"id": 10, "value": SECRET})
    [(what, token)] = joined.records.written
    assert (what, token.id, token.value) == ("token_seen", 10, SecretStr(SECRET))
    assert SECRET not in f"{token!r} {token} {token.model_dump_json()}"
    assert joined.token is not None
    assert joined.token.id == 9


def test_our_own_token_deleted_is_loud(
    joined: ClientForTests, caplog: pytest.LogCaptureFixture
) -> None:
    """The consumer stays, and an ERROR line is logged."""
    joined.hears("token_deleted", token=TOKEN)
    assert joined.records.written == [("token_deleted", Token.model_validate(TOKEN))]
    [record] = caplog.records
    assert (record.levelno, record.message) == (logging.ERROR, "token in use deleted")
    assert joined.retired == []


def test_another_token_deleted_is_recorded_quietly(
    joined: ClientForTests, caplog: pytest.LogCaptureFixture
) -> None:
    """A token of our service that we do not use is written down, no more."""
    joined.hears("token_deleted", token=TOKEN | {"id": 10})
    assert [what for what, _ in joined.records.written] == ["token_deleted"]
    assert caplog.records == []


def test_the_count_of_consumers_is_remembered(joined: ClientForTests) -> None:
    """`num_consumers` says how many serve the service."""
    joined.hears("num_consumers", num_consumers=5)
    assert joined.num_consumers == 5


@pytest.mark.parametrize("action", ["Foo", None, 7, ["x"]])
@pytest.mark.parametrize("fields", [{"a": 1}, None, [1], "text", 2**70])
def test_a_request_is_handed_over_as_it_is(
    action: object, fields: object, joined: ClientForTests
) -> None:
    """The event judges neither action nor fields."""
    joined.hears("request", action=action, fields=fields, response_ref="r-1")
    assert joined.accepted == [(action, fields, "r-1")]


def test_a_request_may_lack_everything(joined: ClientForTests) -> None:
    """Even an empty request is handed over, for the dispatcher to judge."""
    joined.hears("request")
    assert joined.accepted == [(None, None, None)]


def test_what_the_plugboard_adds_is_ignored(joined: ClientForTests) -> None:
    """Fields that a newer Plugboard might send do no harm, at any depth."""
    joined.hears("service_updated", service=RENAMED | {"new": 1}, new=2)
    assert joined.service is not None
    assert joined.service.name == "renamed"
