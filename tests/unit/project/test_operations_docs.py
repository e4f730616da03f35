"""The pages about actions and data name everything there is."""

import json
import re
from pathlib import Path

import pytest

from core.action_registry import ActionRegistry
from core.action_runner import ActionRunner
from pipeline.redis_client import keys

ROOT = Path(__file__).parents[3]
ACTIONS = ActionRegistry.discover("actions")
ACTION_PAGE = (ROOT / "docs/actions.md").read_text()
DATA_PAGE = (ROOT / "docs/data-model.md").read_text()
PIPELINE = sorted((ROOT / "pipeline").glob("**/*.lua")) + sorted((ROOT / "pipeline").rglob("*.py"))

each_action = pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)


def section(action: type[ActionRunner]) -> str:
    """What the page says of one action."""
    _, _, rest = ACTION_PAGE.partition(f"\n## {action.discriminator()}\n")
    return rest.partition("\n## ")[0]


def rows(text: str) -> dict[str, list[str]]:
    """The rows of a section's table of fields: name to type, default and meaning."""
    table = text.partition("| field | type | default | |\n|---|---|---|---|\n")[2]
    lines = table.partition("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {name.strip("`"): rest for name, *rest in cells}


@each_action
def test_every_field_stands_in_the_page(action: type[ActionRunner]) -> None:
    """Its table has the action's fields and no others, in the order in which they are published."""
    published = action.to_dict()[action.discriminator()]["fields"]
    assert list(rows(section(action))) == list(published)


@each_action
def test_types_and_defaults_are_those_that_are_published(action: type[ActionRunner]) -> None:
    """A choice of values may be told as text; a default that is not published is left open."""
    published = action.to_dict()[action.discriminator()]["fields"]
    for name, (kind, default, _) in rows(section(action)).items():
        field = published[name]
        if "null" in field["type"].split(" | ") and not field.keys() & {"optional", "required"}:
            field = {"default": None, **field}
        told = re.sub(r'"\w+"( \| "\w+")*', "string", field["type"]).replace(" | ", " or ")
        assert kind == told, name
        assert default.strip("`") == (json.dumps(field["default"]) if "default" in field else ""), (
            name
        )


@each_action
def test_every_answer_is_told(action: type[ActionRunner]) -> None:
    """Each section says what comes with 200 or 201."""
    assert re.search(r"\*\*20[01]\*\*", section(action))


def test_the_page_has_no_other_actions() -> None:
    """What is gone from the code is gone from the page."""
    assert set(re.findall(r"^## (\w+)$", ACTION_PAGE, re.MULTILINE)) == set(ACTIONS)


def test_what_is_off_by_default_says_so() -> None:
    """Exactly the administrative actions, and those of the law, say what offers them."""
    for switch, attribute in (("ADMIN_ACTIONS", "administrative"), ("LAW_ACTIONS", "about_law")):
        mentioned = {name for name in ACTIONS if switch in section(ACTIONS[name])}
        assert mentioned == {name for name, each in ACTIONS.items() if getattr(each, attribute)}


def test_every_redis_key_stands_in_the_page() -> None:
    """Each of our keys that scripts or code name is in the table, and no other."""
    named = {key for path in PIPELINE for key in re.findall(r"\bpc:[a-z]+", path.read_text())}
    told = set(re.findall(r"^\| `(pc:[a-z]+)", DATA_PAGE, re.MULTILINE))
    assert told == named


def test_the_names_of_keys_are_those_of_the_page() -> None:
    """What `keys` builds is what the table shows, with the name of the variable part in it."""
    built = {
        keys.run("{run}"),
        keys.worker("{id}"),
        keys.inflight("{worker}"),
        keys.reasons("{dead-letter list}"),
        keys.unread("{egress list}"),
        keys.replayer("{storage}"),
        *(keys.WORKERS, keys.LOCKS, keys.LATER, keys.HISTORY, keys.FINISHED_CHANNEL),
    }
    shared = {keys.vcon("{uuid}"), keys.run_list("{chain}"), keys.dead_letters("{list}")}
    shared.add(keys.storage_dead_letters("{name}"))
    told = set(
        re.findall(r"`([^`]+)`", "\n".join(re.findall(r"^\| `.*$", DATA_PAGE, re.MULTILINE)))
    )
    assert built | shared <= told
