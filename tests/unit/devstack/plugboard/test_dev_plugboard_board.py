"""The development Plugboard's state: who is told what, whose turn it is, what expires."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devstack.plugboard.board.board import Board, NoConsumersError
from devstack.plugboard.board.directory import Directory, Service
from devstack.plugboard.board.faults import Faults
from devstack.plugboard.board.serializers import serializer_for
from devstack.plugboard.board.sockets import TIMED_OUT, Answer, Send, Socket
from devstack.plugboard.settings import PlugboardSettings

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TOKENS = ("AAAA", "BBBB", "CCCC", "DDDD")
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class Scene:
    """A board without a server, and sockets without a network."""

    def __init__(self, **settings: Any) -> None:
        self.directory = Directory(timedelta(days=90))
        self.faults = Faults(losses=settings.get("losses", False))
        self.board = Board(PlugboardSettings(**settings), self.directory, self.faults)
        self.service = self.new_service()

    def new_service(self, parent: Service | None = None) -> Service:
        """A service with one token."""
        service = self.directory.create_service("basic", parent, NOW)
        self.directory.create_token(service, TOKENS[service.id - 1], NOW)
        return service

    def socket(self, service: Service | None = None, vsn: str = "1.0.0") -> Socket:
        """A connected socket, not joined."""
        token = self.directory.tokens[(service or self.service).id]
        serializer = serializer_for(vsn)
        assert serializer is not None
        return Socket(token.service, token, "{}", serializer)

    def joined(self, service: Service | None = None) -> Socket:
        """A joined socket."""
        socket = self.socket(service)
        self.say(socket, "phx_join")
        return socket

    def say(self, socket: Socket, event: str, payload: object = None, **rest: Any) -> list[Any]:
        """What is sent, to anyone, when this socket says this in version 1."""
        frame = {"topic": "service", "event": event, "payload": payload, "ref": None} | rest
        return self.board.received(socket, json.dumps(frame).encode(), text=True)

    def ask(self, answers: list[object], now: float = 0.0) -> Send:
        """Make a request whose outcome is added to `answers`."""
        (send,) = self.board.request(self.service.id, b'"Foo"', b"{}", answers.append, now)
        assert isinstance(send, Send)
        return send


def told(effects: list[Any]) -> list[tuple[Socket, str]]:
    """Who is told, and what event."""
    return [(effect.socket, json.loads(effect.data)["event"]) for effect in effects]


def ref_of(send: Send) -> str:
    """The response_ref of a pushed request."""
    return str(json.loads(send.data)["payload"]["response_ref"])


@pytest.fixture
def scene() -> Scene:
    """A board with one service."""
    return Scene()


def test_requests_go_round_robin_per_service(scene: Scene) -> None:
    """Each consumer gets its turn, busy or not, in an order that does not change."""
    sockets = [scene.joined() for _ in range(3)]
    order = [scene.ask([]).socket for _ in range(9)]
    assert order == sockets * 3


@pytest.mark.parametrize("asked", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("leaver", [0, 1, 2])
def test_the_rest_keep_their_order_when_one_leaves(scene: Scene, asked: int, leaver: int) -> None:
    """After a consumer leaves, the rotation continues with the next one."""
    sockets = [scene.joined() for _ in range(3)]
    for _ in range(asked):
        scene.ask([])
    scene.board.disconnected(sockets[leaver])
    due = [sockets[(asked + step) % 3] for step in range(3) if (asked + step) % 3 != leaver]
    assert [scene.ask([]).socket for _ in range(4)] == due * 2


def served(scene: Scene, *, now: float) -> bool:
    """Make a request; whether it was pushed to a consumer."""
    return bool(scene.board.request(scene.service.id, b'"Foo"', b"{}", [].append, now))


@pytest.mark.parametrize(
    ("joined", "asked", "left", "lost"),
    [
        (2, 3, 1, True),
        (2, 4, 1, False),
        (2, 1, 1, True),
        (3, 5, 1, True),
        (3, 4, 1, False),
        (3, 4, 2, True),
        (3, 5, 2, True),
        (3, 6, 2, False),
    ],
)
def test_an_index_behind_the_shortened_rotation_loses_one_request(
    joined: int, asked: int, left: int, lost: bool
) -> None:
    """The rotation's index is not adjusted when consumers leave; one loss brings it back."""
    scene = Scene(losses=True)
    sockets = [scene.joined() for _ in range(joined)]
    assert all(served(scene, now=number) for number in range(asked))
    for socket in sockets[:left]:
        scene.board.disconnected(socket)
    assert [served(scene, now=100 + number) for number in range(3)] == [not lost, True, True]
    assert scene.board.counters.lost == lost


@pytest.mark.parametrize(
    ("burst", "lost"), [(8, 0), (11, 0), (12, 1), (16, 1), (32, 2), (50, 4), (300, 25)]
)
def test_a_burst_loses_about_one_in_twelve(burst: int, lost: int) -> None:
    """As measured on the real one: nothing below a dozen at once, then up to nine percent."""
    scene = Scene(losses=True)
    scene.joined()
    for instant in (1.0, 2.0):
        assert [served(scene, now=instant) for _ in range(burst)].count(False) == lost
    assert len(scene.board.pending) == 2 * burst  # their callers wait for the 408
    assert all(served(scene, now=3.0 + number / 100) for number in range(burst))


def test_without_losses_none_is_lost(scene: Scene) -> None:
    """The switch is for all of them."""
    sockets = [scene.joined() for _ in range(2)]
    assert all(served(scene, now=1.0) for _ in range(301))
    scene.board.disconnected(sockets[0])
    assert served(scene, now=1.0)


def test_a_request_carries_a_fresh_uuid4(scene: Scene) -> None:
    """Every response_ref is another UUID4, and the request is the measured frame."""
    scene.joined()
    sends = [scene.ask([]) for _ in range(50)]
    refs = [ref_of(send) for send in sends]
    assert len(set(refs)) == 50
    assert all(UUID4.fullmatch(ref) for ref in refs)
    assert json.loads(sends[0].data) == {
        "topic": "service",
        "event": "request",
        "ref": None,
        "payload": {"action": "Foo", "fields": {}, "response_ref": refs[0]},
    }


def test_nobody_joined_is_an_error(scene: Scene) -> None:
    """A request to a service without consumers is refused at once."""
    with pytest.raises(NoConsumersError):
        scene.ask([])


def test_the_first_answer_wins_and_later_ones_are_dropped(scene: Scene) -> None:
    """One request has one answer."""
    socket, answers = scene.joined(), []
    ref = ref_of(scene.ask(answers))
    assert scene.say(socket, "response", 1, ref=ref) == [Answer(answers.append, 1)]
    assert scene.say(socket, "response", 2, ref=ref) == []
    assert scene.board.counters.answered == scene.board.counters.unmatched == 1


@pytest.mark.parametrize("ref", [None, 7, "unknown", ["x"], {}])
def test_an_answer_without_a_known_ref_is_silence(scene: Scene, ref: object) -> None:
    """No reply and no crash, for any ref."""
    socket = scene.joined()
    assert scene.say(socket, "response", {}, ref=ref) == []
    assert socket.channel is not None


def test_waiting_requests_expire_in_order(scene: Scene) -> None:
    """Only what has reached its deadline expires; an answer after that is dropped."""
    socket = scene.joined()
    early, late = list[object](), list[object]()
    ref = ref_of(scene.ask(early, now=100.0))
    scene.ask(late, now=110.0)
    assert scene.board.pending.next_deadline() == 130.0
    assert scene.board.expire(129.9) == []
    assert scene.board.expire(130.0) == [Answer(early.append, TIMED_OUT)]
    assert scene.board.pending.next_deadline() == 140.0
    assert scene.say(socket, "response", {}, ref=ref) == []


def test_lost_requests_wait_without_being_pushed(scene: Scene) -> None:
    """The fault makes the board accept a request and push nothing, as the real one in bursts."""
    scene.joined()
    scene.faults.lose_requests = 1
    assert scene.board.request(scene.service.id, b"1", b"1", print, 0.0) == []
    assert len(scene.board.pending) == 1
    assert isinstance(scene.ask([]), Send)


def test_a_child_crashes_its_parents_channels(scene: Scene) -> None:
    """All consumers of the parent, and only they, get phx_error and leave the rotation."""
    parents, other = [scene.joined(), scene.joined()], scene.new_service()
    stranger = scene.joined(other)
    child = scene.new_service(parent=scene.service)
    effects = scene.board.service_created(child)
    assert told(effects) == [(socket, "phx_error") for socket in parents]
    assert scene.board.roster.members(scene.service.id) == ()
    assert stranger.channel is not None


def test_news_of_a_child_reach_its_parents_consumers(scene: Scene) -> None:
    """Renaming or deleting a child is told, with the child's object, to both services."""
    child = scene.new_service(parent=scene.service)
    below, above = scene.joined(child), scene.joined()
    effects = scene.board.service_renamed(child)
    assert told(effects) == [(below, "service_updated"), (above, "service_updated")]
    assert {json.loads(e.data)["payload"]["service"]["id"] for e in effects} == {child.id}
    effects = scene.board.delete_service(child, NOW)
    assert told(effects) == [(below, "service_deleted"), (above, "service_deleted")]


def test_deleting_a_parent_tells_every_descendant_of_itself(scene: Scene) -> None:
    """Each descendant's consumers get their own object; renaming tells no descendant."""
    child = scene.new_service(parent=scene.service)
    grandchild = scene.new_service(parent=child)
    sockets = {service.id: scene.joined(service) for service in (scene.service, child, grandchild)}
    assert told(scene.board.service_renamed(scene.service)) == [(sockets[1], "service_updated")]
    effects = scene.board.delete_service(scene.service, NOW + timedelta(seconds=9))
    named = {e.socket: json.loads(e.data)["payload"]["service"]["id"] for e in effects}
    assert named == {socket: service_id for service_id, socket in sockets.items()}
    assert grandchild.deleted_at == NOW + timedelta(seconds=9)


def test_token_news_stay_within_the_service(scene: Scene) -> None:
    """Creation carries the secret, deletion does not, and neither crosses to a parent."""
    child = scene.new_service(parent=scene.service)
    below = scene.joined(child)
    scene.joined()
    token = scene.directory.create_token(child, "EEEE", NOW)
    (created,) = scene.board.token_created(token)
    (deleted,) = scene.board.token_deleted(token)
    assert told([created, deleted]) == [(below, "token_created"), (below, "token_deleted")]
    assert json.loads(created.data)["payload"]["token"] == {
        "id": token.id,
        "context": "api-token",
        "service_id": child.id,
        "inserted_at": "2026-01-02T03:04:05Z",
        "expires_at": "2026-04-02T03:04:05Z",
        "value": "EEEE",
    }
    assert "value" not in json.loads(deleted.data)["payload"]["token"]
