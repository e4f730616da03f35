"""Which actions are offered, as the settings want it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, override

import pytest
from pydantic import Field

from app.published_actions import offered_actions, published_actions, publishing_url
from core.action_registry import ActionRegistry
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.errors import ConfigurationError
from core.plugboard.handshake import request_line_bytes
from core.settings import Settings

ACTIONS = ActionRegistry.discover("actions")
ADMINISTRATIVE = {
    *("Admin", "DeleteVcon", "ReplayDeadLetters", "GetUsage", "ListAuditEvents"),
    *("CreateIngressKey", "ListIngressKeys", "RotateIngressKey", "RevokeIngressKey"),
}
OTHERS = {
    *("AckEgress", "CancelRun", "EnqueueVcons", "ExternalIngress", "GetRun", "GetVcon"),
    *("IngestVcon", "ListChains", "ListConnections", "ListDeadLetters", "ListRuns", "ListVcons"),
    *("Ping", "ReadEgress", "RunChain", "RunFlow", "RunTask", "SearchVcons", "Stats"),
    "StoreVcon",
}
BUILT_IN = ADMINISTRATIVE | OTHERS
"""Not the classes that a developer has dropped into `actions/` of this checkout."""


LAW = {
    *("VerifyVcon", "ListWithheld", "ReleaseWithheld", "RecordBasis"),
    *("EraseVcon", "EraseParty", "GetErasure", "GetCustody"),
}


def settings(tmp_path: Path, **changes: Any) -> Settings:
    """Settings with a pipeline."""
    postgres = {f"postgres_{each}": "x" for each in ("host", "user", "password")}
    names = {f"postgres_db_{each}": "x" for each in ("development", "test", "production")}
    return Settings(
        **postgres,
        **names,
        postgres_port=1,
        websocket_url="ws://plugboard",
        **{"token": "x"} | changes,
        conserver_config_file=tmp_path / "config.yml",
        redis_url="redis://nowhere",
    )


def test_administrative_actions_are_off(tmp_path: Path) -> None:
    """They are offered only when the operator says so, and are the only ones kept back."""
    usual = set(offered_actions(settings(tmp_path)))
    everything = set(offered_actions(settings(tmp_path, admin_actions=True)))
    assert everything - usual == ADMINISTRATIVE
    assert everything == set(ACTIONS) - LAW


class OfTheLaw(ActionRunner):
    """An action of the law."""

    about_law: ClassVar[bool] = True

    @override
    async def run(self, client: object, websocket: object) -> ActionResponse:
        raise NotImplementedError


def test_actions_of_the_law_are_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are offered with LAW_ACTIONS=true, also in a service that has no others."""
    registry = ActionRegistry([ACTIONS["Ping"], OfTheLaw])
    monkeypatch.setattr(ActionRegistry, "discover", lambda _package: registry)
    assert set(offered_actions(settings(tmp_path, admin_actions=True))) == {"Ping"}
    with_law = settings(tmp_path, law_actions=True)
    assert set(published_actions(with_law, offered_actions(with_law))) == {"Ping", "OfTheLaw"}
    alone = settings(tmp_path, law_actions=True, actions="OfTheLaw")
    assert set(published_actions(alone, offered_actions(alone))) == {"OfTheLaw"}
    with pytest.raises(ConfigurationError, match="OfTheLaw is about the law: set LAW_ACTIONS"):
        offered_actions(settings(tmp_path, actions="OfTheLaw"))


def test_a_minus_leaves_an_action_out(tmp_path: Path) -> None:
    """Of all, or of those that are named; an unknown name is a mistake."""
    without = offered_actions(settings(tmp_path, actions="-Ping, -GetRun"))
    assert set(offered_actions(settings(tmp_path))) - set(without) == {"Ping", "GetRun"}
    assert set(offered_actions(settings(tmp_path, actions="Ping,GetRun,-GetRun"))) == {"Ping"}
    with pytest.raises(ConfigurationError, match="ACTIONS: no action named Pong; there are: "):
        offered_actions(settings(tmp_path, actions="-Pong"))


def test_admin_stands_for_the_administrative_actions(tmp_path: Path) -> None:
    """They run, and are published if ACTIONS names them."""
    every = settings(tmp_path, admin_actions=True)
    shown = set(published_actions(every, offered_actions(every)))
    assert shown == set(ACTIONS) - ADMINISTRATIVE - LAW | {"Admin"}
    named = settings(tmp_path, admin_actions=True, actions="DeleteVcon,Ping")
    assert set(published_actions(named, offered_actions(named))) == {"DeleteVcon", "Ping"}


class Custom(ActionRunner):
    """Looks up the account of a customer in our system."""

    account: str = Field(description="Number of the account")
    limit: int = Field(10, description="Most")

    @override
    async def run(self, client: object, websocket: object) -> ActionResponse:
        raise NotImplementedError


def test_thirty_more_actions_fit(tmp_path: Path) -> None:
    """Into the line that the Plugboard reads, beside all built-in ones and a token of 100 bytes."""
    given = settings(tmp_path, admin_actions=True, token="x" * 100)
    built_in = [ACTIONS[name] for name in BUILT_IN]
    extra = [type(f"LookUpAccount{n}", (Custom,), {"__doc__": Custom.__doc__}) for n in range(30)]
    some = published_actions(given, ActionRegistry([*built_in, *extra[:15]]))
    many = published_actions(given, ActionRegistry([*built_in, *extra]))
    few = published_actions(given, ActionRegistry(built_in))
    assert few["GetRun"]["fields"]["run_id"] == {"type": "string", "description": "Run id"}
    assert some["GetRun"]["fields"]["run_id"] == {"type": "string"}
    assert some["LookUpAccount7"]["fields"]["limit"] == {"type": "integer", "default": 10}
    assert many["LookUpAccount7"] == {"description": Custom.description(), "fields": {}}
    for each in (few, some, many):
        assert request_line_bytes(publishing_url(given, each)) <= given.request_line_limit
