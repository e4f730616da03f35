"""Plugins: what one is by default, how they are found, and what a broken one does."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flowlang.connections
from flowlang.connections import ConnectionPlugin, ConnectionPluginRegistry
from flowlang.connections.dependencies import missing
from flowlang.exceptions import PluginNotFoundError


class Parcel(ConnectionPlugin):
    """The smallest plugin there can be."""

    name = "parcel"
    description = "Parcels"

    def get_config_schema(self) -> dict[str, Any]:
        return {"type": "object"}

    async def connect(self, config: dict[str, Any]) -> Any:
        self._config = config

    async def disconnect(self) -> None:
        self._config = None

    async def get_connection(self) -> Any:
        return self._config


PROVIDER = """
from typing import Any
from ..base import ConnectionPlugin
from ...exceptions import ConnectionError
from .. import plugin_registry

class Plugin(ConnectionPlugin):
    name = "{name}"
    def get_config_schema(self): return {{}}
    async def connect(self, config): pass
    async def disconnect(self): pass
    async def get_connection(self): return None

plugin_registry.register(Plugin())
"""


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ConnectionPluginRegistry]:
    """A registry of its own in the place of the real one, with the plugins of no distribution."""
    real = flowlang.connections.plugin_registry
    path = flowlang.connections.__path__
    before, modules = list(path), set(sys.modules)
    fresh = ConnectionPluginRegistry(flowlang.connections.__name__, path)
    monkeypatch.setattr(flowlang.connections, "plugin_registry", fresh)
    real.discover_plugins()
    yield fresh
    path[:] = before
    for name in set(sys.modules) - modules:
        if name.startswith("flowlang.connections."):
            del sys.modules[name]
            flowlang.connections.__dict__.pop(name.split(".")[2], None)


def plugin_folder(folder: Path, name: str, text: str | None = None) -> Path:
    """A folder with one plugin's package."""
    package = folder / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(text or PROVIDER.format(name=name))
    return folder


def test_a_plugin_that_says_nothing_has_the_documented_defaults() -> None:
    """The optional methods accept everything, need nothing, write nothing."""
    plugin = Parcel()
    assert plugin.validate_config({"anything": 1}) == (True, None)
    assert plugin.check_dependencies() == (True, [])
    assert plugin.scaffold_connection_config("p") == "\n  p:\n    type: parcel\n"
    assert plugin.get_info() == {
        "name": "parcel",
        "description": "Parcels",
        "version": "1.0.0",
        "category": "other",
        "dependencies": [],
        "dependencies_installed": True,
        "missing_dependencies": [],
        "builtin_tasks": [],
        "config_schema": {"type": "object"},
    }
    assert repr(plugin) == "Parcel(name='parcel', version='1.0.0')"


def test_a_plugin_without_its_four_methods_cannot_be_made() -> None:
    """Schema, connect, disconnect and get_connection must be written."""

    class Unfinished(ConnectionPlugin):
        name = "unfinished"

    with pytest.raises(TypeError, match="abstract"):
        Unfinished()  # type: ignore[abstract]


def test_each_connection_has_an_object_of_its_own(registry: ConnectionPluginRegistry) -> None:
    """Two new ones are neither each other nor the registered one."""
    registered = Parcel()
    registry.register(registered)
    first, second = registry.new("parcel"), registry.new("parcel")
    assert len({id(registered), id(first), id(second)}) == 3


def test_a_name_belongs_to_its_first_class(registry: ConnectionPluginRegistry) -> None:
    """The same class again is harmless, another one of the same name is refused."""

    class Other(Parcel):
        pass

    first = Parcel()
    registry.register(first)
    registry.register(Parcel())
    with pytest.raises(ValueError, match="'parcel' is provided by"):
        registry.register(Other())
    assert registry.get("parcel") is first


def test_what_is_no_plugin_or_has_no_name_is_refused(registry: ConnectionPluginRegistry) -> None:
    """Neither a class nor a plugin without a name gets in."""

    class Nameless(Parcel):
        name = "base"

    with pytest.raises(TypeError, match="no ConnectionPlugin object"):
        registry.register(Parcel)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no name of its own"):
        registry.register(Nameless())


def test_plugins_in_folders_import_as_the_guide_shows(
    registry: ConnectionPluginRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package in a folder of FLOWLANG_PLUGIN_PATH, one that was added, or the guide's own."""
    monkeypatch.setenv("FLOWLANG_PLUGIN_PATH", str(plugin_folder(tmp_path / "a", "fromenv")))
    registry.add_folder(plugin_folder(tmp_path / "b", "fromcall"))
    plugin_folder(tmp_path / "src" / "flowlang" / "connections", "fromguide")
    monkeypatch.chdir(tmp_path)
    assert {"fromenv", "fromcall", "fromguide"} <= set(registry.list_plugins())
    assert registry.problems == []
    registry.add_folder(plugin_folder(tmp_path / "c", "fromlater"))
    assert registry.get("fromlater") is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import nosuchmodule", "ModuleNotFoundError: No module named 'nosuchmodule'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def", "SyntaxError"),
        ("from .. import ConnectionPlugin", "ValueError: registers no plugin"),
    ],
)
def test_a_broken_plugin_is_reported_and_hides_no_other(
    registry: ConnectionPluginRegistry, tmp_path: Path, text: str, said: str
) -> None:
    """Its folder and its error are reported; the healthy one is loaded."""
    plugin_folder(tmp_path, "abroken", text)
    registry.add_folder(plugin_folder(tmp_path, "healthy"))
    assert registry.get("healthy") is not None
    (problem,) = registry.problems
    assert problem.source == str(tmp_path / "abroken")
    assert said in problem.error


def test_a_plugin_folder_that_has_the_name_of_a_module_is_reported(
    registry: ConnectionPluginRegistry, tmp_path: Path
) -> None:
    """That module would be imported in its place."""
    registry.add_folder(plugin_folder(tmp_path, "sql"))
    assert registry.get("sql") is None
    (problem,) = registry.problems
    assert problem.source == str(tmp_path / "sql")
    assert problem.error.startswith("ImportError: flowlang.connections.sql is ")


def test_a_plugin_folder_may_be_named_in_any_way(
    registry: ConnectionPluginRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also from where one stands, and by way of a link."""
    plugin_folder(tmp_path / "plugins", "fromhere")
    (tmp_path / "link").symlink_to(plugin_folder(tmp_path / "other", "fromlink"))
    monkeypatch.chdir(tmp_path)
    registry.add_folder("plugins")
    registry.add_folder(tmp_path / "link")
    assert {"fromhere", "fromlink"} <= set(registry.list_plugins())
    assert registry.problems == []


def test_a_missing_plugin_folder_is_reported(
    registry: ConnectionPluginRegistry, tmp_path: Path
) -> None:
    """A typo in the path does not stay unnoticed."""
    registry.add_folder(tmp_path / "nowhere")
    assert [problem.source for problem in registry.problems] == [str(tmp_path / "nowhere")]


def distribution(folder: Path, name: str, module: str, text: str) -> None:
    """An installed distribution with an entry point, as pip leaves it."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[flowlang.connections]\nx = {module}:Plugin\n")
    (folder / f"{module}.py").write_text(text)


STANDALONE = PROVIDER.replace("...exceptions", "flowlang.exceptions")
STANDALONE = STANDALONE.replace("from ..base", "from flowlang.connections.base")
STANDALONE = STANDALONE.replace("from .. import", "from flowlang.connections import")


def test_installed_plugins_are_found_and_built_in_ones_stay(
    registry: ConnectionPluginRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry point brings a plugin; one that takes a built-in's name is reported."""
    registry._built_in.add("harbour")
    text = STANDALONE.rsplit("\n", 2)[0]
    distribution(tmp_path, "flowlang-good", "flowlang_good", STANDALONE.format(name="good"))
    distribution(tmp_path, "flowlang-bad", "flowlang_bad", text.format(name="harbour"))
    distribution(tmp_path, "flowlang-ugly", "flowlang_ugly", "Plugin = 3")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "good" in registry.list_plugins()
    assert registry.get("harbour") is None
    told = {problem.source.split()[0]: problem.error for problem in registry.problems}
    assert told == {
        "flowlang-bad": "ValueError: 'harbour' is built in, and flowlang_bad may not replace it",
        "flowlang-ugly": "TypeError: 'int' object is not callable",
    }


def test_an_unknown_plugin_is_reported_with_those_there_are(
    registry: ConnectionPluginRegistry,
) -> None:
    """The error helps with a typo."""
    registry.register(Parcel())
    with pytest.raises(PluginNotFoundError, match=r"Plugin 'pracel' not found\. .*parcel"):
        registry.new("pracel")


@pytest.mark.parametrize(
    ("specification", "met"),
    [
        ("pyyaml>=5", True),
        ("PyYAML >= 9999", False),
        ("pyyaml==0.0.1", False),
        ("psycopg[pool]>=3", True),
        ("nosuch-distribution", False),
        ("nosuch-distribution; python_version < '3'", True),
        ("nosuch[", False),
        ("json-client>=7", True),
        ("python-json", True),
    ],
)
def test_what_is_installed_is_known_by_distribution_and_version(
    specification: str, met: bool
) -> None:
    """Distributions are asked, with versions, extras and markers; then likely module names."""
    assert missing([specification]) == ([] if met else [specification])


ALONE = """
import sys
from importlib.metadata import packages_distributions

NEEDED = {"pyyaml", "jsonschema", "packaging"}
OF_JSONSCHEMA = {"attrs", "jsonschema-specifications", "referencing", "rpds-py"}
MAY_BE_HAD = NEEDED | OF_JSONSCHEMA | {"typing-extensions"}

def may_be_had(names):
    return not MAY_BE_HAD.isdisjoint(name.lower().replace("_", "-") for name in names)

class Nothing:
    def find_spec(self, name, path=None, target=None):
        if not may_be_had(installed.get(name.partition(".")[0], MAY_BE_HAD)):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

installed = packages_distributions()
sys.meta_path.insert(0, Nothing())

from flowlang.cli.main import main
from flowlang.connections import plugin_registry

assert len(plugin_registry.list_plugins()) == 6, plugin_registry.list_plugins()
assert plugin_registry.problems == [], plugin_registry.problems
sys.exit(main(["run", "flow.yaml"]))
"""


def test_the_package_stands_alone(tmp_path: Path) -> None:
    """With three libraries, and those that one of them needs, a flow runs over `sqlite`."""
    package = Path(flowlang.connections.__path__[0]).parent
    (tmp_path / "flowlang").symlink_to(package, target_is_directory=True)
    (tmp_path / "flow.yaml").write_text("""
flow: Alone
connections: {db: {type: sqlite, database: ":memory:"}}
steps: [{sqlite_query: {id: q, connection: db, query: SELECT 7 AS n}}]
outputs: ["q.rows[0].n"]
""")
    command = [sys.executable, "-c", ALONE]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout)["outputs"] == {"q.rows[0].n": 7}
