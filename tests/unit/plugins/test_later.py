"""Vendors' libraries are imported by the tests that use them, not by the collection of tests."""

import importlib
from types import ModuleType

import pytest

from tests.plugins.scene import Later


def test_a_collection_imports_none(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each name of a test file is asked for attributes of pytest's own."""
    asked: list[str] = []
    monkeypatch.setattr(importlib, "import_module", asked.append)
    file = ModuleType("file")
    file.vendor = Later("vendor")  # type: ignore[attr-defined]
    request.session._fixturemanager.parsefactories(holder=file, node=request.node)
    assert asked == []
    with pytest.raises(AttributeError):
        assert Later("vendor").client
    assert asked == ["vendor"]
