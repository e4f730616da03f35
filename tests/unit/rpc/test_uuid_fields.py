"""Fields of the built-in actions that name a vCon or a run."""

from typing import Any

import pytest
from pydantic import ValidationError

from core.action_registry import ActionRegistry
from core.action_runner import ActionRunner
from core.rpc.dispatcher import Dispatcher

UUID = "0194fdc2-fa2f-7cc0-81d3-ff120745b33c"
OTHERS: dict[str, dict[str, Any]] = {
    "AckEgress": {"egress_list": "out"},
    "EnqueueVcons": {"ingress_list": "in"},
    "RecordBasis": {"granted": True, "purpose": "analysis", "reason": "asked"},
    "ReleaseWithheld": {"list": "in", "reason": "asked"},
    "ReplayDeadLetters": {"list": "in"},
    "RunChain": {"chain": "main"},
    "StoreVcon": {"storages": ["files"]},
}
"""The fields that these actions need besides."""
NO_UUIDS = ("", "*", "../x", "[0-9]*", "None", UUID + "*", UUID + "\n", UUID[:-1], "\u0661" * 32)


def fields_with_uuids() -> list[tuple[type[ActionRunner], str]]:
    """Each built-in action with each of its fields that takes uuids."""
    names = ("vcon_uuid", "vcon_uuids", "run_id")
    return [
        (action, name)
        for action in ActionRegistry.discover("actions").values()
        for name in names
        if name in action.model_fields
    ]


def made(action: type[ActionRunner], name: str, uuid: str) -> Any:
    """What the field holds once the action has been made with this uuid."""
    value = [uuid] if name == "vcon_uuids" else uuid
    request = action(**OTHERS.get(action.__name__, {}), **{name: value})
    held = getattr(request, name)
    return held[0] if name == "vcon_uuids" else held


def test_the_actions_are_found() -> None:
    """The test below speaks of these, and of any that are added."""
    assert {action.__name__ for action, _ in fields_with_uuids()} >= OTHERS.keys() | {
        *("GetVcon", "DeleteVcon", "ListRuns", "GetRun", "CancelRun")
    }


@pytest.mark.parametrize(("action", "name"), fields_with_uuids())
def test_a_uuid_or_a_refusal(action: type[ActionRunner], name: str) -> None:
    """Any usual form of a uuid becomes the canonical one; any other text is refused by name."""
    for form in (UUID, UUID.upper(), f"urn:uuid:{UUID}", f"{{{UUID}}}", UUID.replace("-", "")):
        assert made(action, name, form) == UUID
    for text in NO_UUIDS:
        with pytest.raises(ValidationError, match="not a uuid"):
            made(action, name, text)


@pytest.mark.parametrize(("action", "name"), fields_with_uuids())
async def test_a_wrong_uuid_is_the_callers_and_not_the_operators(
    action: type[ActionRunner], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is answered 400 before anything is asked, and no line at WARNING or above is logged."""
    dispatcher = Dispatcher({action.__name__: action}, run_blocking=_unused)
    for text in ("no-uuid", "../x", UUID + "*"):
        value = [text] if name == "vcon_uuids" else text
        fields = {**OTHERS.get(action.__name__, {}), name: value}
        answer = await dispatcher.answer(action.__name__, fields, None, None)
        assert answer.status_code == 400
        assert "not a uuid" in (answer.message or "")
    assert [each.message for each in caplog.records if each.levelname != "DEBUG"] == []


async def _unused(_function: object) -> None:
    raise AssertionError("no action is run")
