"""Which actions are offered, as the settings want it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.published_actions import offered_actions
from core.action_registry import ActionRegistry
from core.settings import Settings

ACTIONS = ActionRegistry.discover("actions")
ADMINISTRATIVE = {
    *("Admin", "DeleteVcon", "ReplayDeadLetters", "GetUsage", "ListAuditEvents"),
    *("CreateIngressKey", "ListIngressKeys", "RotateIngressKey", "RevokeIngressKey"),
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
        token="x",
        conserver_config_file=tmp_path / "config.yml",
        redis_url="redis://nowhere",
        **changes,
    )


def test_administrative_actions_are_off(tmp_path: Path) -> None:
    """They are offered only when the operator says so, and are the only ones kept back."""
    usual = set(offered_actions(settings(tmp_path)))
    everything = set(offered_actions(settings(tmp_path, admin_actions=True)))
    assert everything - usual == ADMINISTRATIVE
    assert everything == set(ACTIONS)
