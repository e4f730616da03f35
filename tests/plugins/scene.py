"""Shared by the tests of plugins: a connection that plugins find, and a vCon to work on."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from devstack.testing import connected
from pipeline.vcon.normalization import normalised

__all__ = ["PLUGINS", "SAMPLES", "TAGGED", "canonical", "connected", "sample", "tags"]

PLUGINS = Path(__file__).parent
SAMPLES = PLUGINS.parents[1] / "samples"
TAGGED = "tags-as-list-0.0.1"
"""A sample in the oldest form, with tags."""


def sample(name: str) -> dict[str, Any]:
    """A sample as it is, old form and all."""
    document: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())
    return document


def canonical(name: str) -> dict[str, Any]:
    """A sample as it is in Redis once it has come in."""
    return normalised(sample(name))


def tags(document: dict[str, Any]) -> list[str]:
    """The tags of a vCon, read without the code that writes them."""
    bodies = [entry["body"] for entry in document["attachments"] if entry["purpose"] == "tags"]
    return [tag for body in bodies for tag in (json.loads(body) if isinstance(body, str) else body)]


def sample_names() -> list[str]:
    """The names of all samples."""
    return sorted(path.stem for path in SAMPLES.glob("*.json"))


class Later:
    """A module that is imported when it is first used.

    Vendors' libraries take seconds, which every process would spend that only collects the tests.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        # pytest asks every name of a file for these, when it collects
        if name.startswith("__") or name == "_mock_name":
            raise AttributeError(name)
        return getattr(importlib.import_module(self._name), name)
