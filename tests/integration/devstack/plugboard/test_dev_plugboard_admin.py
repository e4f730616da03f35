"""The development Plugboard's admin API, and the faults it can be told to make."""

import asyncio
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidMessage, InvalidStatus

from devstack.plugboard.administration import AdminApi
from devstack.plugboard.connections.http_requests import HttpRequest
from tests.integration.support.plugboard_scene import Scene, plugboard

SUCCESS = {"status": "success", "message": None}


def wrong_password(url: str) -> str:
    """The same with another password."""
    return url.replace("@", "x@")


async def admin(
    scene: Scene, method: str, path: str, body: object = None, status: int = 200
) -> Any:
    """The JSON answer of an admin request with the expected status."""
    json = {} if body is None else body
    response = await scene.http.request(method, f"{scene.board.admin_url}/{path}", json=json)
    assert response.status_code == status, response.text
    return response.json()


async def test_services_and_tokens_through_the_door() -> None:
    """Everything a person needs can be made, renamed and deleted by JSON over HTTP."""
    async with plugboard() as scene:
        service = await admin(scene, "POST", "services", {"name": "new"})
        child = await admin(scene, "POST", "services", {"name": "c", "parent_id": service["id"]})
        assert child["parent_id"] == service["id"]
        token = await admin(scene, "POST", f"services/{service['id']}/tokens", {})
        assert len(token["value"]) == 43
        renamed = await admin(scene, "PATCH", f"services/{service['id']}", {"name": "renamed"})
        assert renamed["name"] == "renamed"
        await admin(scene, "DELETE", f"services/{service['id']}")
        listed = await admin(scene, "GET", "services")
        assert [s["deleted"] for s in listed] == [False, True, True]
        await admin(scene, "POST", f"tokens/{scene.token.id}/expire")
        with pytest.raises(InvalidStatus):
            await connect(scene.url())
        await admin(scene, "DELETE", f"tokens/{token['id']}")
        assert [t.id for t in scene.board.directory.tokens.values()] == [scene.token.id]
        account = await admin(scene, "POST", "account-tokens", {"allowed": "^x$"})
        assert scene.board.directory.find_account(account["value"]) is not None


async def test_consumers_through_the_door() -> None:
    """They can be listed, spoken to, crashed, closed, muted and cut."""
    async with plugboard() as scene:
        client = await scene.join()
        (listed,) = await admin(scene, "GET", "consumers")
        assert listed == {
            "id": 1,
            "service_id": scene.service.id,
            "token_id": scene.token.id,
            "joined": True,
        }
        await admin(scene, "POST", "consumers/1/send", {"text": '{"event":"any"}'})
        assert await client.hear() == {"event": "any"}
        await admin(scene, "POST", "consumers/1/crash")
        await client.hear("phx_error")
        await admin(scene, "POST", "consumers/1/close", {"code": 1}, status=400)
        await client.alive()
        await admin(scene, "POST", "consumers/1/close", {"code": 4001})
        assert await client.closed() == 4001
        client = await scene.join()
        await admin(scene, "POST", "consumers/2/mute")
        await client.say("heartbeat", topic="phoenix")
        await admin(scene, "POST", "consumers/2/abort")
        assert await client.closed() == 1006
        assert (await admin(scene, "GET", "counters"))["pushed"] == 0


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "services", {}, 400),
        ("POST", "services", {"name": 7}, 400),
        ("POST", "services", [], 400),
        ("POST", "services", {"name": "x", "parent_id": 99}, 404),
        ("PATCH", "services/99", {"name": "x"}, 404),
        ("DELETE", "tokens/99", {}, 404),
        ("POST", "consumers/99/crash", {}, 404),
        ("POST", "services/1/tokens", {"value": "not base64!"}, 400),
        ("POST", "account-tokens", {"allowed": "("}, 400),
        ("PATCH", "faults", {"nonsense": 1}, 400),
    ],
)
async def test_mistakes_at_the_door_are_explained(
    method: str, path: str, body: object, status: int
) -> None:
    """A wrong body is 400 and a missing thing 404, each with a message."""
    async with plugboard() as scene:
        assert (await admin(scene, method, path, body, status))["message"]


async def test_the_door_is_shut_to_browsers_and_strangers() -> None:
    """A request from a page or from another machine finds nothing there."""
    async with plugboard() as scene:
        headers = {"origin": "http://localhost"}
        assert (await scene.http.get(scene.board.admin_url, headers=headers)).status_code == 404
        assert (await scene.http.get(scene.board.admin_url)).json()["routes"]
        assert (await scene.http.get(f"{scene.board.admin_url}/nothing")).status_code == 404
        for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", ""):
            headers = {"host": host}
            assert (await scene.http.get(scene.board.admin_url, headers=headers)).status_code == 404
        for url in (f"{scene.board.http_url}_dev", wrong_password(scene.board.admin_url)):
            assert (await scene.http.get(url)).status_code == 401
        door = AdminApi(scene.board)
        assert door(HttpRequest("GET", "/_dev", {}, from_loopback=False)) is None


async def test_connects_can_be_refused_with_any_bytes() -> None:
    """A proxy's HTTP/1.0 502 reaches the client as it is, until the fault is taken back."""
    async with plugboard(close_timeout=0.05) as scene:
        refusal = "HTTP/1.0 502 Bad Gateway\r\n\r\n"
        await admin(scene, "PATCH", "faults", {"refuse_connects": refusal})
        with pytest.raises(InvalidMessage):
            await connect(scene.url())
        scene.board.faults.refuse_connects = None
        await scene.join()


async def test_connects_can_hang() -> None:
    """The line is accepted and the handshake never answered."""
    async with plugboard() as scene:
        scene.board.faults.hang_connects = True
        with pytest.raises(TimeoutError):
            await connect(scene.url(), open_timeout=0.05)


async def test_joins_can_crash_or_stay_unanswered() -> None:
    """The client is told `join crashed`, or nothing; it may try again."""
    async with plugboard() as scene:
        client, faults = await scene.connect(), scene.board.faults
        faults.crash_joins = True
        reply = await client.ask("phx_join")
        assert reply["payload"]["response"] == {"reason": "join crashed"}
        faults.crash_joins, faults.ignore_joins = False, True
        await client.say("phx_join")
        await client.alive()
        faults.ignore_joins = False
        await client.join()


async def test_heartbeats_can_stay_unanswered_while_pings_and_pushes_go_on() -> None:
    """Only a Phoenix heartbeat finds this half-dead connection."""
    async with plugboard() as scene:
        client = await scene.join()
        scene.board.faults.ignore_heartbeats = True
        await client.say("heartbeat", topic="phoenix", ref="1")
        await (await client.socket.ping())
        scene.board.rename_service(scene.service, "pushed")
        await client.hear("service_updated")


async def test_a_muted_socket_is_open_and_says_nothing() -> None:
    """No pong, no reply, no push: the client hears nothing until the line is cut."""
    async with plugboard() as scene:
        client = await scene.join()
        (consumer,) = scene.board.consumers
        consumer.muted = True
        before = consumer.last_traffic
        pong = await client.socket.ping()
        await client.say("heartbeat", topic="phoenix", ref="unheard")
        scene.board.rename_service(scene.service, "unheard")
        await scene.board.wait_for(lambda: consumer.last_traffic > before)
        consumer.abort()
        assert await client.closed() == 1006
        assert isinstance(pong.exception(), ConnectionClosedError)
        with pytest.raises(ConnectionClosedError):
            await client.hear()


async def test_requests_can_be_lost_and_answers_swallowed() -> None:
    """Neither reaches the other side; both callers wait for their timeout."""
    async with plugboard() as scene:
        client, faults = await scene.join(), scene.board.faults
        faults.lose_requests = 1
        lost = scene.calling()
        await scene.board.wait_for(lambda: scene.board.counters.lost == 1)
        faults.ignore_responses = True
        swallowed = scene.calling()
        await client.answer(await client.hear("request"), SUCCESS)
        await client.alive()
        scene.board.expire_requests()
        assert [(await call).status_code for call in (lost, swallowed)] == [408, 408]


async def test_everything_sent_can_be_delayed() -> None:
    """The order holds, and nothing is early."""
    async with plugboard() as scene:
        client = await scene.join()
        scene.board.faults.send_delay = 0.05
        started = asyncio.get_running_loop().time()
        for number in range(3):
            await client.say("heartbeat", topic="phoenix", ref=number)
        assert [(await client.hear())["ref"] for _ in range(3)] == [0, 1, 2]
        assert asyncio.get_running_loop().time() >= started + 0.05


async def test_a_consumer_can_be_told_anything() -> None:
    """A test pushes events of its own making out of the joined channel."""
    async with plugboard() as scene:
        client = await scene.connect(vsn="2.0.0")
        await client.join(join_ref="7")
        (consumer,) = await scene.board.wait_joined(scene.service)
        consumer.push("unheard_of", {"a": 1})
        frame = await client.hear("unheard_of")
        assert (frame["join_ref"], frame["payload"]) == ("7", {"a": 1})
        consumer.send(b"no json")
        assert await client.socket.recv() == "no json"


async def test_a_channel_can_be_closed_unasked() -> None:
    """The client hears phx_close with its join_ref, is out, and may join again."""
    async with plugboard() as scene:
        client = await scene.connect(vsn="2.0.0")
        await client.join(join_ref="7")
        (consumer,) = scene.board.consumers
        scene.board.close_channel(consumer)
        assert (await client.hear("phx_close"))["join_ref"] == "7"
        assert not consumer.joined
        await client.join(join_ref="8")


async def test_waiting_has_an_end() -> None:
    """What never happens is a TimeoutError, and what already holds is not waited for."""
    async with plugboard() as scene:
        with pytest.raises(TimeoutError):
            await scene.board.wait_joined(scene.service, within=0.01)
        assert await scene.board.wait_joined(scene.service, count=0) == []
