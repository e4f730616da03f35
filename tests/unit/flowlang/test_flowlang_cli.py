"""The command line of `flowlang`: what it says, what it writes, and its exit codes."""

import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from flowlang.cli.main import main
from flowlang.connections import ConnectionPlugin, plugin_registry
from flowlang.language.flow import Flow
from tests.unit.flowlang.test_flowlang_registry import plugin_folder
from tests.unit.support.flowlang_plugins import Parcel, forgotten

pytestmark = pytest.mark.usefixtures("parcel")
CONFIG = {
    "connections": {
        "depot": {"type": "parcel", "depot": "${DEPOT:-north}", "expose": ["parcel_get"]},
        "bad": {"type": "zzz"},
    }
}


@pytest.fixture
def parcel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The real registry knows parcels besides, and the current folder is empty."""
    plugin_registry.discover_plugins()
    monkeypatch.setitem(plugin_registry._plugins, "parcel", Parcel())
    monkeypatch.setattr(Parcel, "hanging", "")
    monkeypatch.chdir(tmp_path)


def test_list_prints_every_plugin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose methods raise is reported as broken, and hides no other."""

    class Broken(Parcel):
        name = "broken"

        def get_builtin_tasks(self) -> dict[str, Any]:
            raise RuntimeError("no tasks today")

    monkeypatch.setitem(plugin_registry._plugins, "broken", Broken())
    assert main(["connection", "list"]) == 0
    said = capsys.readouterr().out
    assert "parcel (v1.0.0)\n    Parcels by number\n    Built-in tasks: parcel_echo" in said
    assert "Broken: RuntimeError: no tasks today" in said
    assert main(["connection", "list", "--format", "json"]) == 0
    told = {each["name"]: each for each in json.loads(capsys.readouterr().out)["plugins"]}
    assert told["parcel"]["dependencies_installed"] is True
    assert list(told) == plugin_registry.list_plugins()


def test_info_prints_the_fields_of_a_connection(capsys: pytest.CaptureFixture[str]) -> None:
    """For people, and as JSON."""
    assert main(["connection", "info", "parcel"]) == 0
    said = capsys.readouterr().out
    assert "Dependencies: None" in said
    assert "  * depot: string\n    size: integer\n    ratio: number or null" in said
    assert main(["connection", "info", "parcel", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == Parcel().get_info()


def test_info_prints_a_property_of_any_type(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its schema is then `true`."""
    schema = {"type": "object", "properties": {"extra": True}, "required": ["extra"]}
    monkeypatch.setattr(Parcel, "get_config_schema", lambda _: schema)
    assert main(["connection", "info", "parcel"]) == 0
    assert capsys.readouterr().out.endswith("\n  * extra: any\n")


def test_missing_dependencies_are_printed_and_installed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`deps --check` ends with 1; `install` calls pip for what is missing, and for nothing else."""
    monkeypatch.setattr(Parcel, "get_dependencies", lambda _: ["pyyaml>=5", "nosuch-thing>=1"])
    assert main(["connection", "deps", "parcel"]) == 0
    assert capsys.readouterr().out == "- pyyaml>=5\n- nosuch-thing>=1\n"
    assert main(["connection", "deps", "parcel", "--check"]) == 1
    said = capsys.readouterr().out
    assert "pyyaml>=5: installed\n  nosuch-thing>=1: NOT INSTALLED\nMissing: 1/2" in said
    assert main(["connection", "install", "parcel", "--dry-run"]) == 0
    assert capsys.readouterr().out == f"{sys.executable} -m pip install 'nosuch-thing>=1'\n"
    for python, code in (("false", 1), ("true", 0)):  # in the place of one that runs pip
        monkeypatch.setattr(sys, "executable", python)
        assert main(["connection", "install", "parcel"]) == code
    monkeypatch.setattr(Parcel, "get_dependencies", lambda _: ["--index-url=http://evil"])
    assert main(["connection", "install", "parcel", "--dry-run"]) == 1
    assert "nothing that pip could install" in capsys.readouterr().err
    monkeypatch.setattr(Parcel, "get_dependencies", lambda _: ["pyyaml>=5"])
    assert main(["connection", "deps", "parcel", "--check"]) == 0
    assert main(["connection", "install", "parcel"]) == 0


@pytest.mark.parametrize("command", ["info", "deps", "install", "scaffold", "helpers", "example"])
def test_an_unknown_plugin_ends_with_1(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message lists the existing ones."""
    assert main(["connection", command, "pracel"]) == 1
    assert "Plugin 'pracel' not found. Available plugins: " in capsys.readouterr().err


@pytest.mark.parametrize("words", ["", "connection", "connection zzz", "connection info", "run"])
def test_what_is_not_understood_ends_with_2(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the usage."""
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2
    assert "usage: " in capsys.readouterr().err


@pytest.mark.parametrize("name", plugin_registry.list_plugins())
def test_what_a_plugin_generates_can_be_read(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its connection is YAML of its type; its example is a flow; its helpers are Python."""
    assert main(["connection", "scaffold", name, "-n", "mine", "-o", "c.yaml"]) == 0
    assert yaml.safe_load(Path("c.yaml").read_text())["connections"]["mine"]["type"] == name
    assert main(["connection", "example", name, "-o", "flows", "--connection", "mine"]) == 0
    for path in Path("flows").glob("*"):
        assert Flow.read(path).connections.keys() == {"mine"}
    assert main(["connection", "helpers", name, "-o", "code"]) == 0
    for path in Path("code").glob("*"):
        compile(path.read_text(), str(path), "exec")


class Scribbler(Parcel):
    """Generates what cannot be read."""

    name = "scribbler"

    def scaffold_connection_config(self, name: str = "c", **kwargs: Any) -> str:
        return f"\n  {name}: [${{env.X}}"

    def scaffold_example_flow(
        self, output_dir: str, connection_name: str = "c", **kwargs: Any
    ) -> None:
        Path(output_dir, "flow.yaml").write_text("flow: F\nsteps: [3]")

    def scaffold_task_helpers(
        self, output_dir: str, connection_name: str = "c", **kwargs: Any
    ) -> None:
        Path(output_dir, "helpers.py").write_text("def")


@pytest.mark.parametrize("command", ["scaffold", "example", "helpers"])
def test_what_cannot_be_read_is_not_called_generated(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plugin that generates nonsense ends the command with 1."""
    monkeypatch.setitem(plugin_registry._plugins, "scribbler", Scribbler())
    assert main(["connection", command, "scribbler"]) == 1
    assert capsys.readouterr().err


class Headings(Parcel):
    """Generates with methods as the guide's headings have them: without defaults."""

    name = "headings"

    def scaffold_connection_config(self, name: str, **kwargs: Any) -> str:
        return f"\n  {name}:\n    type: headings\n"

    def scaffold_example_flow(self, output_dir: str, connection_name: str, **kwargs: Any) -> None:
        text = f"flow: F\nconnections: {{{connection_name}: {{type: headings}}}}\nsteps: []"
        Path(output_dir, "flow.yaml").write_text(text)

    def scaffold_task_helpers(self, output_dir: str, connection_name: str, **kwargs: Any) -> None:
        Path(output_dir, "helpers.py").write_text(f"NAME = {connection_name!r}")


def test_a_plugin_may_have_no_name_for_its_connection(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then it gets one, unless one is given."""
    monkeypatch.setitem(plugin_registry._plugins, "headings", Headings())
    for command in ("scaffold", "example", "helpers"):
        assert main(["connection", command, "headings"]) == 0
    assert "connections:\n  conn:\n    type: headings\n" in capsys.readouterr().out
    assert Flow.read(Path("flow.yaml")).connections == {"conn": {"type": "headings"}}
    assert Path("helpers.py").read_text() == "NAME = 'conn'"
    assert main(["connection", "helpers", "headings", "--connection", "mine"]) == 0
    assert Path("helpers.py").read_text() == "NAME = 'mine'"


def test_a_plugin_without_files_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is claimed to be generated."""
    assert main(["connection", "example", "parcel"]) == 0
    assert main(["connection", "helpers", "parcel"]) == 0
    assert capsys.readouterr().out == (
        "Plugin 'parcel' has no example flow.\nPlugin 'parcel' has no helpers.\n"
    )


def test_a_connection_is_tried(capsys: pytest.CaptureFixture[str]) -> None:
    """How long it took to open; 1 for one that is unknown or does not open."""
    Path("config.yml").write_text(yaml.safe_dump(CONFIG))
    assert main(["connection", "test", "depot"]) == 0
    assert "Connection 'depot' (parcel): opened in " in capsys.readouterr().out
    assert main(["connection", "test", "bad"]) == 1
    assert "Unknown connection type 'zzz'" in capsys.readouterr().err
    assert main(["connection", "test", "dept"]) == 1
    assert "There is: bad, depot" in capsys.readouterr().err
    assert main(["connection", "test", "depot", "--config", "nowhere.yml"]) == 1
    Path("list.yml").write_text("[1]")
    assert main(["connection", "test", "depot", "--config", "list.yml"]) == 1


def test_a_flow_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Its result is JSON; 1 if it failed."""
    Path("f.yaml").write_text("""
flow: F
inputs: [a, b]
steps: [{parcel_echo: {id: e, value: "${inputs.a} ${inputs.b}"}}]
outputs: [e.value]
""")
    assert main(["run", "f.yaml", "--inputs", '{"a": 1}', "--input", "b=x=y"]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"] == {"e.value": "1 x=y"}
    assert main(["run", "f.yaml"]) == 1
    assert json.loads(capsys.readouterr().out)["error_type"] == "FlowValidationError"
    for wrong in (["--inputs", "{"], ["--inputs", "[]"]):
        assert main(["run", "f.yaml", *wrong]) == 1
    assert main(["run", "nowhere.yaml"]) == 1


def test_a_flow_is_run_with_the_connections_of_a_configuration(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As the service would; an input becomes what the flow declares."""
    Path("config.yml").write_text(yaml.safe_dump(CONFIG))
    Path("f.yaml").write_text("""
flow: F
inputs: [{name: n, type: integer}, {name: ok, type: boolean}]
steps: [{parcel_where: {id: w, connection: depot}}]
outputs: [w.depot, inputs.n, inputs.ok]
""")
    told = ["run", "f.yaml", "--config", "config.yml", "--input", "n=3", "--input", "ok=no"]
    assert main(told) == 0
    outputs = {"w.depot": "north", "inputs.n": 3, "inputs.ok": False}
    assert json.loads(capsys.readouterr().out)["outputs"] == outputs


def test_the_plugin_folders_of_a_configuration_are_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To try a connection, and to run a flow over it."""
    plugin_folder(tmp_path / "mine", "tool_shed")
    Path("config.yml").write_text(
        "connection_plugins: [mine]\nconnections: {shed: {type: tool_shed}}"
    )
    Path("f.yaml").write_text("flow: F\nsteps: [{task: tool_shed_look, connection: shed}]")
    with forgotten("tool_shed"):
        assert main(["connection", "test", "shed"]) == 0
        assert "Connection 'shed' (tool_shed): opened" in capsys.readouterr().out
    with forgotten("tool_shed"):
        assert main(["run", "f.yaml", "--config", "config.yml"]) == 1
        said = json.loads(capsys.readouterr().out)["error"]
        assert said == "Task 'tool_shed_look' not found. Tasks of 'tool_shed': none"


@pytest.fixture
def acme(parcel: None, tmp_path: Path) -> Iterator[Path]:
    """The folder of a new plugin, which is found."""
    assert main(["connection", "new", "acme_mail", "-o", "plugins"]) == 0
    with forgotten("acme_mail"):
        plugin_registry.add_folder(tmp_path / "plugins")
        yield tmp_path / "plugins" / "acme_mail"


def test_new_writes_a_plugin_that_is_found(
    acme: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three files, and everything that the new plugin generates can be read."""
    files = sorted(path.name for path in acme.iterdir() if path.is_file())
    assert files == ["__init__.py", "provider.py", "requirements.txt"]
    test_what_a_plugin_generates_can_be_read("acme_mail", tmp_path, capsys)
    plugin = plugin_registry.require("acme_mail")
    assert sorted(plugin.get_builtin_tasks()) == ["acme_mail_create", "acme_mail_get"]
    assert plugin.get_dependencies() == (acme / "requirements.txt").read_text().split()
    assert isinstance(plugin, ConnectionPlugin)


@pytest.mark.usefixtures("acme")
def test_a_new_plugin_runs_its_own_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Against a partner who keeps what it is given; a refusal is reported without the key."""
    kept: dict[str, Any] = {}

    def partner(request: httpx.Request) -> httpx.Response:
        if request.headers["authorization"] != "Bearer key-of-acme":
            return httpx.Response(401, text="who are you, key-wrong?")
        if request.method == "POST":
            kept["7"] = json.loads(request.content)
            return httpx.Response(201, json={"id": "7"})
        return httpx.Response(200, json=kept[request.url.path.removeprefix("/resources/")])

    client = partial(httpx.AsyncClient, transport=httpx.MockTransport(partner))
    monkeypatch.setattr(httpx, "AsyncClient", client)
    monkeypatch.setenv("ACME_MAIL_API_KEY", "key-of-acme")
    assert main(["connection", "example", "acme_mail"]) == 0
    capsys.readouterr()
    run = ["run", "acme_mail_example.yaml", "--input", "item=hat"]
    assert main(run) == 0
    assert json.loads(capsys.readouterr().out)["outputs"] == {"data": {"name": "hat"}}
    monkeypatch.setenv("ACME_MAIL_API_KEY", "key-wrong")
    assert main(run) == 1
    said = capsys.readouterr().out
    assert "401" in said
    assert "key-wrong" not in said


@pytest.mark.parametrize(
    "name", ["parcel", "sql", "manager", "base", "Acme", "1a", "class", "a-b", "../x"]
)
def test_new_refuses_names(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Taken ones, those of our own modules, and those that no package can have."""
    assert main(["connection", "new", name]) == 1
    assert capsys.readouterr().err
    assert list(Path().iterdir()) == []
