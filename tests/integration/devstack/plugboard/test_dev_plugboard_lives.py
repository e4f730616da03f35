"""What consumers of the development Plugboard hear of services and tokens, and what it changes."""

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.integration.support.plugboard_scene import Client, Frame, Scene, plugboard

SUCCESS = {"status": "success", "message": "still here"}


async def serves(scene: Scene, client: Client) -> bool:
    """Whether a call still reaches this client and its answer the caller."""
    call = scene.calling()
    await client.answer(await client.hear("request"), SUCCESS)
    return (await call).status_code == 200


def pushed(event: str, payload: object) -> Frame:
    """A version 1 push."""
    return {"event": event, "payload": payload, "ref": None, "topic": "service"}


async def test_renaming_a_service_is_told_even_if_nothing_changes() -> None:
    """Every consumer gets the new object; joined ones only."""
    async with plugboard() as scene:
        client, bystander = await scene.join(), await scene.connect()
        for _ in range(2):
            scene.board.rename_service(scene.service, "renamed")
            expected = pushed("service_updated", {"service": scene.service.public()})
            assert await client.hear() == expected
        assert expected["payload"]["service"]["name"] == "renamed"
        await bystander.alive()


async def test_a_deleted_service_goes_on_working() -> None:
    """Consumers are told and keep serving, and its tokens still let new ones in."""
    async with plugboard() as scene:
        client = await scene.join()
        scene.board.delete_service(scene.service)
        deleted = await client.hear()
        assert deleted == pushed("service_deleted", {"service": scene.service.public()})
        assert await serves(scene, client)
        await scene.join()


async def test_a_new_token_is_told_with_its_secret() -> None:
    """Every consumer of the service can connect with what it is told."""
    async with plugboard() as scene:
        client = await scene.join()
        token = scene.board.create_token(scene.service)
        payload = {"token": {**token.public(), "value": token.value}}
        assert await client.hear() == pushed("token_created", payload)
        assert len(token.value) == 43
        assert (await (await scene.connect(token)).join())["token"]["id"] == token.id


async def test_a_deleted_token_lets_nobody_in_any_more() -> None:
    """Who is connected with it is told, stays, and serves; a new connect is refused."""
    async with plugboard() as scene:
        client = await scene.join()
        scene.board.delete_token(scene.token)
        deleted = await client.hear()
        assert deleted == pushed("token_deleted", {"token": scene.token.public()})
        assert await serves(scene, client)
        with pytest.raises(InvalidStatus, match="403"):
            await connect(scene.url())


async def test_a_new_child_crashes_its_parents_consumers() -> None:
    """phx_error on an open socket; out of the rotation until the client joins again."""
    async with plugboard() as scene:
        client = await scene.join()
        scene.board.create_service("child", parent=scene.service)
        assert await client.hear() == {
            "event": "phx_error",
            "payload": {},
            "ref": None,
            "topic": "service",
        }
        assert (await scene.post()).status_code == 422
        await client.join()
        assert await serves(scene, client)


async def test_a_childs_news_carry_the_childs_object() -> None:
    """The parent's consumers hear of a child's renaming and deletion, but not of its tokens."""
    async with plugboard() as scene:
        child, token = await scene.second_service(parent=scene.service)
        parents, childs = await scene.join(), await scene.join(token)
        scene.board.create_token(child)
        await childs.hear("token_created")
        scene.board.rename_service(child, "new name")
        assert (await parents.hear("service_updated"))["payload"]["service"]["id"] == child.id
        await childs.hear("service_updated")
        scene.board.rename_service(scene.service, "parent's new name")
        await parents.hear("service_updated")
        scene.board.delete_service(scene.service)
        own = (await parents.hear("service_deleted"))["payload"]["service"]["id"]
        its = (await childs.hear("service_deleted"))["payload"]["service"]["id"]
        assert (own, its) == (scene.service.id, child.id)
        await parents.alive()
        await childs.alive()
