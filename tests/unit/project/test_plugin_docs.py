"""docs/plugins/ says of every built-in plugin what is true.

All plugins are imported by one test only: with the vendors' libraries that takes seconds.
"""

import ast

import pytest

from devstack.pages.plugin_facts import stated
from devstack.pages.plugin_pages import FOLDER, ROOMS, pages, plugins
from lib.options import PluginOptions
from tests.unit.support.source_files import Source, service

KNOWN = ("reads", "writes", "vcon_server")
SOURCES = [
    source
    for source in service()
    if source.room in ROOMS
    and source.module.count(".") == 1
    and any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == ROOMS[source.room]
        for node in source.nodes
    )
]


def test_the_pages_are_current_and_every_option_is_described_and_checked() -> None:
    """They equal the output of `python -m devstack.pages.plugin_pages`; each plugin has a model."""
    written = pages()
    assert {file.name: file.read_text() for file in FOLDER.glob("*.md")} == written
    assert not [name for name, text in written.items() if '`"**' in text]  # a default is public
    for plugin in plugins():
        assert issubclass(plugin.Options, PluginOptions)
        assert all(field.description for field in plugin.Options.model_fields.values()), plugin


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.module)
def test_a_plugin_says_what_it_reads_writes_and_raises(source: Source) -> None:
    """Readers need it before the plugin runs on a vCon."""
    words = ast.get_docstring(source.tree) or ""
    assert all(word in words for word in ("Reads", "rites", "aises"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.module)
def test_the_catalogue_states_what_a_plugin_reads_and_how_it_compares(source: Source) -> None:
    """In `devstack/pages/plugins.yml`; the comparison is with vcon-server's of the same name."""
    entry = stated()[source.module]
    assert set(KNOWN) <= entry.keys() <= {*KNOWN, "sizes", "extra"}
    assert entry["vcon_server"] in ("same", "not there") or entry["vcon_server"].startswith(
        "better: "
    )
