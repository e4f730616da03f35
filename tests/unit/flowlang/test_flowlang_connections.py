"""Connections: what their configuration goes through, how they are opened, lent and closed."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from flowlang.connections import ConnectionPluginRegistry
from flowlang.connections.configuration import prepare
from flowlang.connections.connection import Patience
from flowlang.connections.manager import ConnectionManager
from flowlang.exceptions import (
    ConnectionConfigError,
    ConnectionError,
    ConnectionNotFoundError,
    ConnectionTimeoutError,
)
from tests.unit.support.flowlang_plugins import Lent, Parcel, parcels

DEPOT = {"type": "parcel", "depot": "north"}


@pytest.fixture
def registry(tmp_path: Path) -> ConnectionPluginRegistry:
    """One that knows parcels alone."""
    return parcels(tmp_path)


def manager(registry: ConnectionPluginRegistry, **connections: Any) -> ConnectionManager:
    """The connections of one run, impatient ones."""
    patience = Patience(*[0.05 if Parcel.hanging else 30.0] * 4)
    return ConnectionManager(connections, registry=registry, patience=patience)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (None, ConnectionConfigError, "Connection 'c' missing required field 'type'"),
        ({"depot": "x"}, ConnectionConfigError, "Connection 'c' missing required field 'type'"),
        (
            {"type": "pracel"},
            ConnectionNotFoundError,
            "Unknown connection type 'pracel' for connection 'c'. Available types: parcel",
        ),
        (
            {"type": "parcel"},
            ConnectionConfigError,
            "Invalid config for connection 'c' (parcel): 'depot' is a required property",
        ),
        (
            DEPOT | {"depot": "closed"},
            ConnectionConfigError,
            "Invalid config for connection 'c' (parcel): the depot is closed",
        ),
        (
            DEPOT | {"depot": "crash"},
            ConnectionConfigError,
            "Invalid config for connection 'c' (parcel): KeyError: 'depot'",
        ),
        (
            DEPOT | {"size": 0, "labels": ["a", 3]},
            ConnectionConfigError,
            "Invalid config for connection 'c' (parcel): labels[1]: 3 is not of type 'string';"
            " size: 0 is less than the minimum of 1",
        ),
        (
            DEPOT | {"dept": 1},
            ConnectionConfigError,
            "Invalid config for connection 'c' (parcel): Additional properties are not allowed"
            " ('dept' was unexpected)",
        ),
        (
            DEPOT | {"code": "12345"},
            ConnectionConfigError,
            "Invalid config for connection 'c' (parcel): code: does not meet 'minLength'"
            " of its schema",
        ),
        (
            DEPOT | {"depot": "${env.NO_SUCH_VARIABLE}"},
            ConnectionConfigError,
            "Environment variable 'NO_SUCH_VARIABLE' not found,"
            " which connection 'c' (parcel) needs",
        ),
    ],
)
def test_the_first_thing_wrong_with_a_configuration_is_reported(
    registry: ConnectionPluginRegistry, given: Any, error: type[Exception], said: str
) -> None:
    """Each step from the type to the schema has its own words."""
    with pytest.raises(error) as caught:
        prepare("c", given, registry)
    assert str(caught.value) == said


def test_what_is_not_installed_is_reported_with_the_command(
    registry: ConnectionPluginRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The packages are named as pip takes them."""
    monkeypatch.setattr(Parcel, "get_dependencies", lambda _: ["nosuch-a>=1", "pyyaml", "nosuch-b"])
    with pytest.raises(ConnectionError) as caught:
        prepare("c", DEPOT, registry)
    assert str(caught.value) == (
        "The plugin of connection 'c' (parcel) requires packages: nosuch-a>=1, nosuch-b."
        " Install with: pip install nosuch-a>=1 nosuch-b"
    )


def test_what_is_wrong_is_reported_in_one_order(
    registry: ConnectionPluginRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dependencies, environment, the plugin's own opinion, schema: each hides what comes after."""
    given: dict[str, Any] = {
        "type": "parcel",
        "depot": "${env.PARCEL_DEPOT}",
        "size": "${env.PARCEL_SIZE:-0}",
    }

    def said() -> str:
        with pytest.raises(ConnectionError) as caught:
            prepare("c", given, registry)
        assert "'c' (parcel)" in str(caught.value)
        return str(caught.value)

    with monkeypatch.context() as patch:
        patch.setattr(Parcel, "get_dependencies", lambda _: ["nosuch-a>=1"])
        assert "requires packages: nosuch-a" in said()
    assert "'PARCEL_DEPOT' not found" in said()
    monkeypatch.setenv("PARCEL_DEPOT", "closed")
    assert "the depot is closed" in said()
    monkeypatch.setenv("PARCEL_DEPOT", "north")
    assert "size: 0 is less than" in said()
    monkeypatch.setenv("PARCEL_SIZE", "2")
    assert prepare("c", given, registry).config["size"] == 2


@pytest.mark.parametrize("schema", [None, {"type": 3}, {"properties": {"depot": {"$ref": "#/x"}}}])
def test_an_invalid_schema_is_reported_as_the_plugins_mistake(
    registry: ConnectionPluginRegistry, monkeypatch: pytest.MonkeyPatch, schema: Any
) -> None:
    """By the connection and its type."""
    monkeypatch.setattr(Parcel, "get_config_schema", lambda _: schema)
    with pytest.raises(ConnectionConfigError, match=r"The plugin of connection 'c' \(parcel\) "):
        prepare("c", DEPOT, registry)


def test_the_environment_stands_in_at_any_depth_and_takes_the_schemas_type(
    registry: ConnectionPluginRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole value becomes what the schema wants; a part of a text stays text."""
    for name, value in {"N": "7", "T": "parcel", "Y": "yes", "L": "[a, b]", "E": ""}.items():
        monkeypatch.setenv(f"PARCEL_{name}", value)
    given = {
        "type": "${env.PARCEL_T}",
        "depot": "no. ${env.PARCEL_N} of ${env.PARCEL_NONE:-nobody}",
        "size": "${env.PARCEL_N}",
        "ratio": "${env.PARCEL_E}",
        "cold": "${env.PARCEL_Y}",
        "labels": ["${env.PARCEL_T}", "${env.PARCEL_E:-none}", "${env.PARCEL_N}"],
        "nested": {"deep": "${env.PARCEL_NONE:-12}"},
        "url": "${env.PARCEL_N}",
    }
    assert prepare("c", given, registry).config == {
        "type": "parcel",
        "depot": "no. 7 of nobody",
        "size": 7,
        "ratio": None,
        "cold": True,
        "labels": ["parcel", "none", "7"],
        "nested": {"deep": 12},
        "url": "7",
    }

    listed = {"type": "parcel", "depot": "d", "labels": "${env.PARCEL_L}"}
    assert prepare("c", listed, registry).config["labels"] == ["a", "b"]


def test_a_schema_may_say_things_by_another_way(
    registry: ConnectionPluginRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `$ref`, `anyOf` and the like, as schemas that are made of classes do; also in a circle."""
    tree = {"properties": {"size": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}}
    tree["properties"]["inner"] = {"$ref": "#/$defs/a~1tree"}
    schema = {
        "$defs": {"a/tree": tree, "key": {"type": "string", "writeOnly": True}},
        "properties": {
            "pin": {"anyOf": [{"$ref": "#/$defs/key"}, {"type": "null"}], "minLength": 9},
            "tree": {"allOf": [{"$ref": "#/$defs/a~1tree"}]},
            "list": {"items": {"oneOf": [{"type": "boolean"}, {"type": "integer"}]}},
            "far": {"$ref": "#/$defs/nowhere"},
        },
    }
    monkeypatch.setattr(Parcel, "get_config_schema", lambda _: schema)
    monkeypatch.setenv("PARCEL_N", "7")
    n = "${env.PARCEL_N}"
    given = {"type": "parcel", "pin": "sesame", "tree": {"inner": {"inner": {"size": n}}}}
    with pytest.raises(ConnectionConfigError) as caught:
        prepare("c", given, registry)
    assert str(caught.value).endswith(": pin: does not meet 'minLength' of its schema")
    given |= {"pin": "open sesame", "list": [n]}
    prepared = prepare("c", given, registry)
    assert prepared.config["tree"] == {"inner": {"inner": {"size": 7}}}
    assert prepared.config["list"] == [7]
    assert prepared.secrets.text("open sesame!") == "[redacted]!"


def test_a_value_of_the_wrong_type_is_reported_as_it_is(
    registry: ConnectionPluginRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be the schema's type stays a text, and the schema says so."""
    monkeypatch.setenv("PARCEL_SIZE", "many")
    with pytest.raises(ConnectionConfigError, match="size: 'many' is not of type 'integer'"):
        prepare("c", DEPOT | {"size": "${env.PARCEL_SIZE}"}, registry)


async def test_connections_open_in_order_and_close_in_reverse(
    registry: ConnectionPluginRegistry,
) -> None:
    """Two of one type are two objects."""
    async with manager(registry, a=DEPOT, b=DEPOT | {"depot": "south"}) as connections:
        assert connections.is_initialized()
        a, b = await connections.get_plugin("a"), await connections.get_plugin("b")
        assert a is not b
    assert Parcel.log == ["open north", "open south", "close south", "close north"]
    assert not connections.is_initialized()


async def test_a_failure_closes_open_connections_and_shows_no_secret(
    registry: ConnectionPluginRegistry,
) -> None:
    """The failed one is closed first; key and URL user are left out of the message."""
    secret = {"api_key": "sk_verysecret", "url": "https://me:hunter22@h/p"}
    connections = manager(registry, a=DEPOT, b=DEPOT | {"depot": "burnt"} | secret)
    with pytest.raises(ConnectionError) as caught:
        await connections.initialize()
    assert str(caught.value) == (
        "Failed to connect 'b' (parcel): no way to https://[redacted]@h/p with [redacted]"
    )
    assert Parcel.log == ["open north", "open burnt", "close burnt", "close north"]


@pytest.mark.parametrize(("hanging", "said"), [("open", "open"), ("lend", "lend")])
async def test_nothing_is_waited_for_without_end(
    registry: ConnectionPluginRegistry, hanging: str, said: str
) -> None:
    """Connecting and lending have a time limit, after which everything is closed."""
    Parcel.hanging = hanging
    with pytest.raises(ConnectionTimeoutError, match=rf"'a' \(parcel\) did not {said} within 0.05"):
        async with manager(registry, a=DEPOT) as connections, connections.lent("a"):
            pass
    assert Parcel.log[-1] == "close north"


@pytest.mark.parametrize("hanging", ["take back", "close"])
async def test_a_plugin_that_does_not_close_is_abandoned(
    registry: ConnectionPluginRegistry, hanging: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A plugin that hangs while it takes back or closes costs its time limit and a warning."""
    Parcel.hanging = hanging
    async with manager(registry, a=DEPOT) as connections, connections.lent("a") as lent:
        assert isinstance(lent, Lent)
    assert f"did not {hanging} within" in caplog.text
    assert Parcel.log[-1] == "close north"


async def test_a_cancelled_run_still_takes_back_and_closes(
    registry: ConnectionPluginRegistry,
) -> None:
    """Cancelling waits for the connection to be given back and closed."""
    working = asyncio.Event()

    async def work() -> None:
        async with manager(registry, a=DEPOT) as connections, connections.lent("a"):
            working.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await working.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert Parcel.log == ["open north", "lend", "take back", "close north"]


async def test_cancelling_again_does_not_stop_what_gives_back_and_closes(
    registry: ConnectionPluginRegistry,
) -> None:
    """However often the run is cancelled while the plugin takes its time."""
    working = asyncio.Event()

    async def work() -> None:
        connections = ConnectionManager({"a": DEPOT}, registry=registry)
        async with connections, connections.lent("a"):
            working.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await working.wait()
    for doing in ("take back", "close"):
        Parcel.hanging = doing
        Parcel.hangs.clear()
        task.cancel()
        await Parcel.hangs.wait()
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        Parcel.go_on.set()
        Parcel.go_on = asyncio.Event()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert Parcel.log[2:] == ["take back", "take back: through", "close north", "close: through"]


async def test_what_was_half_opened_when_cancelled_is_closed(
    registry: ConnectionPluginRegistry,
) -> None:
    """The plugin is asked to disconnect, as after a failure."""
    connections = ConnectionManager({"a": DEPOT}, registry=registry)
    Parcel.hanging = "open"
    task = asyncio.create_task(connections.initialize())
    await Parcel.hangs.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert Parcel.log == ["open north", "close north"]


async def test_an_inner_run_uses_the_outer_ones_and_does_not_close_them(
    registry: ConnectionPluginRegistry,
) -> None:
    """A name is looked for among the run's own connections first."""
    south = DEPOT | {"depot": "south"}
    async with manager(registry, a=DEPOT, b=DEPOT) as outer:
        inner = ConnectionManager({"b": south}, outer=outer, registry=registry)
        async with inner:
            assert inner.list_connections() == ["a", "b"]
            assert await inner.get_plugin("a") is await outer.get_plugin("a")
            assert await inner.get_plugin("b") is not await outer.get_plugin("b")
            async with inner.lent("a"):
                pass
        assert Parcel.log[-1] == "close south"


async def test_what_is_not_there_is_reported_with_what_is(
    registry: ConnectionPluginRegistry,
) -> None:
    """An unknown name is reported, and a run that has not begun."""
    connections = manager(registry, a=DEPOT)
    with pytest.raises(ConnectionError, match="not initialized"):
        await connections.get_plugin("a")
    async with connections:
        with pytest.raises(ConnectionNotFoundError, match=r"'z' not found\. .* connections: a"):
            await connections.get_plugin("z")
    with pytest.raises(ConnectionConfigError, match="must be a mapping"):
        ConnectionManager(["a"])
