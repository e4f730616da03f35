"""The built-in plugins: their declarations agree with one another and with the docs."""

import inspect
import re
from pathlib import Path

import pytest

from flowlang.connections import plugin_registry
from flowlang.connections.built_in import BuiltInPlugin

PAGE = Path(__file__).parents[3] / "docs" / "connections-built-in.md"
PLUGINS = [p for p in plugin_registry.get_all().values() if isinstance(p, BuiltInPlugin)]
TASKS = {name: task for plugin in PLUGINS for name, task in plugin.get_builtin_tasks().items()}


def rows() -> dict[str, str]:
    """The row of the page that a task stands in, from its parameters on."""
    found = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = line.split("|")
        if len(cells) == 5:
            found |= dict.fromkeys(re.findall(r"`(\w+)`", cells[1]), cells[2])
    return found


def test_every_task_stands_in_the_docs_with_its_parameters() -> None:
    """Parameters that are required have a star, and no other has."""
    told = rows()
    assert told.keys() == TASKS.keys()
    for name, task in TASKS.items():
        parameters = inspect.signature(task).parameters
        assert list(parameters)[-1] == "connection"
        needed = {n for n, each in parameters.items() if each.default is each.empty}
        documented = set(re.findall(r"`(\w+)`", told[name]))
        assert set(re.findall(r"`(\w+)`\*", told[name])) == needed, name
        assert documented == parameters.keys() - {"connection"}, name


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_every_field_stands_in_the_docs(plugin: BuiltInPlugin) -> None:
    """With a star if it is required; what is generated fits the schema."""
    text = PAGE.read_text(encoding="utf-8")
    for name in plugin.properties:
        star = name in plugin.required
        assert f"`{name}`{'*' if star else ' '}" in text, name
    assert plugin.scaffold.keys() <= plugin.properties.keys()
    assert set(plugin.required) <= plugin.properties.keys() & plugin.scaffold.keys()
