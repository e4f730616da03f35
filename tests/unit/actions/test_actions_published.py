"""What people read of the built-in actions in the Plugboard's page."""

import json

import pytest

from core.action_registry import ActionRegistry
from core.action_runner import ActionRunner

ACTIONS = ActionRegistry.discover("actions")

each_action = pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)


@each_action
def test_every_action_is_described_for_people(action: type[ActionRunner]) -> None:
    """Action and fields have short descriptions, because people read them and bytes are few."""
    [(_, published)] = action.to_dict().items()
    texts = [published["description"], *(f["description"] for f in published["fields"].values())]
    assert all(0 < len(text) <= 60 for text in texts)


@each_action
def test_no_published_type_is_empty(action: type[ActionRunner]) -> None:
    """Each type is told in words; an optional one names null beside another."""
    [(_, published)] = action.to_dict().items()
    types = [field["type"] for field in published["fields"].values()]
    assert all(isinstance(each, str) and each not in ("", "null", "any") for each in types)
    assert json.loads(json.dumps(published)) == published


@each_action
def test_every_action_but_ping_needs_the_pipeline(action: type[ActionRunner]) -> None:
    """A pure RPC service offers Ping alone of the built-in actions: the others are about vCons."""
    assert action.needs_pipeline == (action.discriminator() != "Ping")
