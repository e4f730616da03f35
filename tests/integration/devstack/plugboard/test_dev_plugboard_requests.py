"""Requests through the development Plugboard: to whom, how many, and whose answer counts."""

import asyncio
from collections import Counter
from itertools import count

import pytest

from devstack.plugboard import DevelopmentPlugboard, NoConsumersError, PlugboardSettings, drive
from tests.integration.support.plugboard_scene import Client, Frame, plugboard

SUCCESS = {"status": "success", "message": "done"}


async def serve(client: Client, name: str) -> None:
    """Answer requests with a name until the end."""
    while True:
        await client.answer(await client.hear("request"), SUCCESS | {"message": name})


async def test_sequential_calls_go_round() -> None:
    """Every consumer in turn, always in the same order."""
    async with plugboard() as scene, asyncio.TaskGroup() as group:
        clients = [await scene.connect() for _ in range(3)]
        for client in clients:
            await client.join()
        for client, waiting in zip(clients, (2, 1, 0), strict=True):
            for _ in range(waiting):
                await client.hear("num_consumers")
        serving = [group.create_task(serve(c, n)) for c, n in zip(clients, "ABC", strict=True)]
        names = [(await scene.post()).json()["message"] for _ in range(9)]
        assert "".join(names) == "ABCABCABC"
        for task in serving:
            task.cancel()


async def test_everything_is_pushed_at_once() -> None:
    """Fifty unanswered requests are on their way to one consumer: there is no cap."""
    async with plugboard() as scene:
        client = await scene.join()
        calls = [scene.calling(action=f"A{n}") for n in range(50)]
        requests = [await client.hear("request") for _ in calls]
        assert {r["payload"]["action"] for r in requests} == {f"A{n}" for n in range(50)}
        for request in reversed(requests):
            await client.answer(request, SUCCESS | {"message": request["payload"]["action"]})
        answers = await asyncio.gather(*calls)
        assert [a.json()["message"] for a in answers] == [f"A{n}" for n in range(50)]


async def test_parallel_calls_are_spread_evenly() -> None:
    """Sixty parallel requests over three consumers are twenty for each."""
    async with plugboard() as scene:
        for _ in range(3):
            await scene.join()
        for number in range(60):
            scene.board.ask(scene.service, b"1", str(number).encode(), lambda _: None)
        shares = Counter(
            consumer.id
            for consumer in scene.board.consumers
            for frame in consumer.sent
            if frame["event"] == "request"
        )
        assert sorted(shares.values()) == [20, 20, 20]


@pytest.mark.parametrize("answerer", ["another", "the same on a new socket"])
async def test_any_consumer_of_the_service_may_answer(answerer: str) -> None:
    """The ref is the service's: a peer answers it, or its process after it was gone entirely."""
    async with plugboard() as scene:
        asked = await scene.join()
        call = scene.calling()
        request = await asked.hear("request")
        if answerer != "another":
            await asked.socket.close()
            await scene.board.wait_for(lambda: not scene.board.consumers)
        other = await scene.join()
        await other.answer(request, SUCCESS)
        assert (await call).json() == {"message": "done", "status": "success"}


async def test_a_consumer_of_another_service_may_not() -> None:
    """Its answer is dropped; the right one still counts."""
    async with plugboard() as scene:
        _, token = await scene.second_service()
        asked, stranger = await scene.join(), await scene.join(token)
        call = scene.calling()
        request = await asked.hear("request")
        await stranger.answer(request, SUCCESS | {"message": "stolen"})
        await stranger.alive()
        await asked.answer(request, SUCCESS)
        assert (await call).json()["message"] == "done"


async def test_the_first_of_several_answers_wins() -> None:
    """Later answers are dropped in silence, and the next call is not confused by them."""
    async with plugboard() as scene:
        client = await scene.join()
        for number in range(2):
            call = scene.calling()
            request = await client.hear("request")
            for answer in ("first", "second", "third"):
                await client.answer(request, SUCCESS | {"message": f"{answer} {number}"})
            assert (await call).json()["message"] == f"first {number}"
        await client.alive()


async def test_an_answer_after_the_timeout_is_dropped() -> None:
    """The caller gets 408 and the late answer disturbs neither consumer nor connection."""
    async with plugboard() as scene:
        client = await scene.join()
        call = scene.calling()
        request = await client.hear("request")
        scene.board.expire_requests()
        response = await call
        assert (response.status_code, response.json()) == (
            408,
            {"message": "Request timed out", "status": "error"},
        )
        await client.answer(request, SUCCESS | {"message": "late"})
        await client.alive()
        call = scene.calling()
        await client.answer(await client.hear("request"), SUCCESS)
        assert (await call).json()["message"] == "done"
        assert scene.board.counters.unmatched == 1


async def test_the_answer_timeout_is_a_setting() -> None:
    """Without an answer the caller gets 408."""
    async with plugboard(answer_timeout=0.02) as scene:
        await scene.join()
        assert (await scene.post()).status_code == 408
        with pytest.raises(TimeoutError):
            await scene.board.request(scene.service, "Foo", {})
        assert scene.board.counters.timed_out == 2


async def test_a_caller_that_hangs_up_is_not_reported() -> None:
    """The consumer hears nothing, and its answer is dropped in silence."""
    async with plugboard() as scene:
        client = await scene.join()
        call = scene.calling()
        request = await client.hear("request")
        call.cancel()
        await asyncio.wait([call])
        await client.alive()
        await client.answer(request, SUCCESS)
        await client.alive()


async def test_a_dead_consumers_requests_are_not_pushed_again() -> None:
    """They wait for their timeout; the next ones go to the survivors; with none left it is 422."""
    async with plugboard() as scene:
        first, second = await scene.join(), await scene.join()
        await first.hear("num_consumers")
        calls = [scene.calling(), scene.calling()]
        await first.hear("request")
        await second.hear("request")
        first.socket.transport.abort()
        await scene.board.wait_for(lambda: len(scene.board.consumers) == 1)
        assert [(await second.hear())["event"] for _ in range(2)] == ["num_consumers"] * 2
        await second.alive()
        second.socket.transport.abort()
        await scene.board.wait_for(lambda: not scene.board.consumers)
        assert (await scene.post()).status_code == 422
        scene.board.expire_requests()
        assert [(await call).status_code for call in calls] == [408, 408]


def test_the_losses_of_the_real_one_are_on_by_default() -> None:
    """They are the board's setting, and a fault that can be switched while it runs."""
    assert DevelopmentPlugboard().faults.losses
    assert not DevelopmentPlugboard(PlugboardSettings(losses=False)).faults.losses


async def test_the_next_request_after_a_leave_is_lost() -> None:
    """Two consumers, three requests, one leaves: the caller of the next one gets the 408."""
    async with plugboard(losses=True) as scene:
        first, second = await scene.join(), await scene.join()
        await first.hear("num_consumers")
        for client in (first, second, first):
            call = scene.calling()
            await client.answer(await client.hear("request"), SUCCESS)
            assert (await call).status_code == 200
        await second.leave()
        lost = scene.calling()
        await scene.board.wait_for(lambda: scene.board.counters.lost == 1)
        scene.board.expire_requests(waited=60.0)
        assert len(scene.board._board.pending) == 1  # it has not waited for a minute
        scene.board.expire_requests()
        assert (await lost).status_code == 408
        call = scene.calling()
        await first.hear("num_consumers")
        await first.hear("num_consumers")
        await first.answer(await first.hear("request"), SUCCESS)
        assert (await call).status_code == 200


async def test_a_closed_loop_of_requests_keeps_its_depth() -> None:
    """As many are under way as asked for, each with its own fields; time-outs count apart."""
    async with plugboard() as scene:
        client = await scene.join()
        driving = asyncio.create_task(
            drive(scene.board, scene.service, action="A", fields=count(), requests=20, in_flight=8)
        )
        first = [await client.hear("request") for _ in range(8)]
        assert [request["payload"]["fields"] for request in first] == list(range(8))
        await client.alive()
        assert scene.board.counters.pushed == 8
        for request in first[:7]:
            await client.answer(request, SUCCESS)
        second = [await client.hear("request") for _ in range(7)]
        scene.board.expire_requests()
        for request in (first[7], *second):
            await client.answer(request, SUCCESS)
        for _ in range(5):
            await client.answer(await client.hear("request"), SUCCESS)
        load = await driving
        assert (len(load.latencies), load.timed_out) == (12, 8)
        assert load.answers_per_second > 0


async def test_requests_from_inside_get_the_bare_payload() -> None:
    """A test may ask without HTTP; without a consumer that is an error."""
    async with plugboard() as scene:
        with pytest.raises(NoConsumersError):
            await scene.board.request(scene.service, "Foo", {})
        client = await scene.join()

        async def answered() -> Frame:
            request = await client.hear("request")
            await client.answer(request, {"any": ["thing"]})
            return request

        payload, request = await asyncio.gather(
            scene.board.request(scene.service, "Foo", {"a": 1}), answered()
        )
        assert payload == {"any": ["thing"]}
        assert request["payload"]["fields"] == {"a": 1}
