"""The page on the development Plugboard names everything that can be set, broken or called."""

import dataclasses
from pathlib import Path

from devstack.plugboard import DevelopmentPlugboard, Faults, PlugboardSettings
from devstack.plugboard.administration import PREFIX, ROUTES

PAGE = (Path(__file__).parents[4] / "docs" / "development-plugboard.md").read_text()
FIELDS = [field.name for kind in (PlugboardSettings, Faults) for field in dataclasses.fields(kind)]
CALLS = [name for name in dir(DevelopmentPlugboard) if not name.startswith("_")]
PLAIN = {"running", "http_url", "admin_url", "settings", "directory"}


def test_every_setting_and_fault_is_described() -> None:
    """No field of the settings or the faults is missing from the page."""
    assert [name for name in FIELDS if f"`{name}`" not in PAGE] == []


def test_every_admin_route_is_described() -> None:
    """No route of the admin door is missing from the page."""
    named = [f"`{method} {PREFIX}/{path}`".replace("/`", "`") for method, path, _ in ROUTES]
    assert [route for route in named if route not in PAGE] == []


def test_every_call_is_described() -> None:
    """What a test can call on a board is named on the page."""
    assert [name for name in CALLS if name not in PLAIN and name not in PAGE] == []
