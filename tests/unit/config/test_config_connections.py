"""The sections `connections`, `connection_plugins` and `flows` of a configuration."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigurationError, PluginFailedError
from flowlang.connections import plugin_registry
from pipeline.config.connections import ConnectionSpec, FlowsSpec
from pipeline.config.model import StorageSpec
from pipeline.config.parser import PipelineConfig, parse
from pipeline.connections.flows import findings_of, problems_of
from pipeline.plugins.contract import STORAGE, plugin_in
from pipeline.plugins.options import laid_over
from storage import elasticsearch, postgres
from tests.unit.flowlang.test_flowlang_registry import plugin_folder
from tests.unit.support.flowlang_plugins import Parcel, forgotten

DOCUMENT = {
    "connections": {
        "depot": {
            "type": "parcel",
            "depot": "${NORTH:-n} ${env.X}",
            "nested": [{"deep": "${Y}"}],
            "expose": ["parcel_get"],
        }
    },
    "connection_plugins": ["/opt/plugins"],
    "flows": {"folder": "f", "expose": ["lookup"]},
}


def test_connections_stand_as_they_were_written() -> None:
    """Their variables are left to be filled when they are opened, in the form plugins know."""
    config = parse(DOCUMENT, {})
    given = {
        "type": "parcel",
        "depot": "${env.NORTH:-n} ${env.X}",
        "nested": [{"deep": "${env.Y}"}],
    }
    assert config.connections == {
        "depot": ConnectionSpec("depot", "parcel", given, ("parcel_get",))
    }
    assert config.connection_plugins == ("/opt/plugins",)
    assert config.flows == FlowsSpec("f", ("lookup",))
    assert config.notes == ()


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"connections": []}, "connections: must be a mapping (keys with values)"),
        ({"connections": {"a": 3}}, "connections.a: must be a mapping (keys with values)"),
        (
            {"connections": {"a": {}}},
            "connections.a.type: is missing; it must be a text, not empty",
        ),
        (
            {"connections": {"a": {"type": "x", "expose": "all"}}},
            "connections.a.expose: must be a list",
        ),
        (
            {"connections": {"a": {"type": "x", "expose": ["y", 3]}}},
            "connections.a.expose[1]: must be a text, not empty",
        ),
        (
            {"connections": {"a": {"type": "${KIND}"}}},
            "connections.a.type: the environment has no KIND",
        ),
        ({"connection_plugins": "here"}, "connection_plugins: must be a list"),
        ({"flows": {"folder": 3}}, "flows.folder: must be a text, not empty"),
    ],
)
def test_wrong_sections_are_reported(document: object, problem: str) -> None:
    """Each with its place."""
    with pytest.raises(ConfigurationError) as refused:
        parse(document, {})
    assert refused.value.problems == [problem]


def test_a_changed_connection_is_another_configuration() -> None:
    """The hash changes with them, and is unchanged for a configuration without connections."""
    with_one = parse(DOCUMENT, {})
    assert with_one.content != PipelineConfig().content
    assert parse({"flows": {"folder": "f"}}, {}).content == PipelineConfig().content


def test_what_links_fill_themselves_is_left_without_a_note() -> None:
    """`${vcon.subject}` is no variable of the environment."""
    options = {"params": {"a": "${vcon.parties[0].tel} ${result.x} ${link.name}"}}
    document = {
        "links": {"ask": {"module": "links.connection_task", "options": options}},
        "chains": {"main": {"links": ["ask"], "ingress_lists": ["in"]}},
    }
    config = parse(document, {})
    assert config.notes == ()
    assert config.links["ask"].plugin.options == options


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"type": "parcel"}, None),
        ({"type": "pracel"}, "connections.c.type: no plugin is called 'pracel'; known: "),
        (
            {"type": "parcel", "expose": ["parcel_gat"]},
            "connections.c.expose: there is no task 'parcel_gat'; known: parcel_echo, ",
        ),
    ],
)
def test_a_start_reports_mistakes_of_connections(
    changes: dict[str, Any], problem: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Unknown types and tasks; nothing is connected for it."""
    plugin_registry.discover_plugins()
    monkeypatch.setitem(plugin_registry._plugins, "parcel", Parcel())
    problems = problems_of(parse({"connections": {"c": changes}}, {}))
    assert [text.startswith(problem or "") for text in problems] == ([True] if problem else [])


CRM = {"type": "postgres", "url": "postgresql://ann:p%40ss@db.example:5433/crm", "pool_size": 9}


def test_a_plugin_has_from_its_connection_what_it_is_not_given() -> None:
    """Parts of the URL under their usual names; what the file says is stronger."""
    document = {
        "connections": {"crm": CRM},
        "storages": {
            "kept": {"module": "storage.postgres", "options": {"connection": "crm", "port": 1}}
        },
    }
    spec = parse(document, {}).storages["kept"]
    options = laid_over(postgres.Options, spec)
    assert isinstance(options, postgres.Options)
    assert options.password.get_secret_value() == "p@ss"
    told = options.model_dump(include={"host", "port", "user", "database", "pool_size"})
    assert told == {
        "host": "db.example",
        "port": 1,
        "user": "ann",
        "database": "crm",
        "pool_size": 9,
    }
    assert laid_over({"user": "x", "other": 2}, spec) == {
        "user": "ann",
        "other": 2,
        "connection": "crm",
        "port": 1,
    }


def kept_in(connection: dict[str, Any]) -> StorageSpec:
    """A storage that has its options from a connection."""
    document = {
        "connections": {"crm": connection},
        "storages": {"kept": {"module": "m", "options": {"connection": "crm"}}},
    }
    return parse(document, {}).storages["kept"]


@pytest.mark.parametrize("url", ["postgresql://[::1", "${NOT_THERE}", 3])
def test_a_plugin_does_not_go_elsewhere_when_its_connection_has_no_address(url: object) -> None:
    """An address that is none, a missing variable: its own defaults lead somewhere else."""
    spec = kept_in({"type": "postgres", "url": url, "timeout": 3})
    with pytest.raises(PluginFailedError, match="'crm' has nothing that this module takes"):
        laid_over({"host": "localhost", "timeout": 1}, spec)


@pytest.mark.parametrize("module", ["file", "redis_storage"])
def test_a_plugin_that_can_have_nothing_from_a_connection_is_refused(module: str) -> None:
    """Unless it uses connections by itself, which its imports tell, or its own defaults."""
    spec = kept_in(CRM)
    found = plugin_in(import_module(f"storage.{module}"), STORAGE)
    with pytest.raises(PluginFailedError, match="'crm' has nothing that this module takes"):
        laid_over(found.default_options, spec, by_itself=found.uses_connections)
    assert laid_over({"connection": ""}, spec) == {"connection": "crm"}
    using = plugin_in(import_module("storage.connection"), STORAGE)
    assert laid_over({}, spec, by_itself=using.uses_connections) == {"connection": "crm"}


def test_a_user_is_lent_under_both_names() -> None:
    """`storage.elasticsearch` has a `username`."""
    options = laid_over(elasticsearch.Options, kept_in({"type": "x", "url": "http://ann:pw@h:1"}))
    assert isinstance(options, elasticsearch.Options)
    assert options.access()["basic_auth"] == ("ann", "pw")


def test_a_type_may_come_from_the_environment() -> None:
    """Which tasks there are depends on it, before anything is opened."""
    config = parse({"connections": {"c": {"type": "${env.KIND}"}}}, {"KIND": "redis"})
    assert config.connections["c"].type == "redis"


@pytest.mark.parametrize("method", ["get_config_schema", "check_dependencies"])
def test_a_start_reports_a_broken_plugin(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the connection that needs it."""

    def broken(_: object) -> None:
        raise ZeroDivisionError("by zero")

    plugin_registry.discover_plugins()
    monkeypatch.setitem(plugin_registry._plugins, "parcel", Parcel())
    monkeypatch.setattr(Parcel, method, broken)
    assert problems_of(parse({"connections": {"c": {"type": "parcel"}}}, {})) == [
        "connections.c: The plugin of connection 'c' (parcel) is broken: ZeroDivisionError: by zero"
    ]


def test_a_plugin_does_not_go_elsewhere_when_its_connection_is_mistyped() -> None:
    """Unless the option is its own, or there are no connections at all."""
    document = {
        "connections": {"crm": CRM},
        "storages": {"kept": {"module": "m", "options": {"connection": "cmr"}}},
    }
    spec = parse(document, {}).storages["kept"]
    for defaults in ({"host": "localhost"}, postgres.Options):
        with pytest.raises(
            PluginFailedError, match="no connection named 'cmr'; did you mean 'crm'"
        ):
            laid_over(defaults, spec)
    assert laid_over({"connection": "tcp"}, spec) == {"connection": "cmr"}
    alone = parse({"storages": document["storages"]}, {}).storages["kept"]
    assert laid_over({"host": "h"}, alone) == {"host": "h", "connection": "cmr"}


def test_an_unknown_connection_is_reported_at_the_start() -> None:
    """For the plugins that cannot do without."""
    options = {"connection": "cmr", "task": "pg_query"}
    document = {
        "connections": {"crm": CRM},
        "links": {"ask": {"module": "links.connection_task", "options": options}},
    }
    with pytest.raises(ConfigurationError) as refused:
        parse(document, {})
    assert refused.value.problems == [
        "links.ask.options.connection: no connection named 'cmr'; did you mean 'crm'?"
    ]


def test_plugin_folders_of_the_configuration_are_looked_at(tmp_path: Path) -> None:
    """A type is known from there; a broken plugin is reported beside a type that is not."""
    plugin_folder(tmp_path, "fromconfig")
    plugin_folder(tmp_path, "brokenone", "1 / 0")
    document = {"connection_plugins": [str(tmp_path)]}
    known = {"connections": {"c": {"type": "fromconfig"}}}
    broken = {"connections": {"c": {"type": "brokenone"}}}
    with forgotten("fromconfig", "brokenone"):
        assert problems_of(parse(document | known, {})) == []
        [problem] = problems_of(parse(document | broken, {}))
        assert "ZeroDivisionError" in problem


@pytest.mark.parametrize(
    ("key", "near"), [("exposed", "expose"), ("databse", "database"), ("time-out", "timeout")]
)
def test_a_key_that_is_nearly_one_of_the_plugins(key: str, near: str) -> None:
    """It is reported at the start and not by the first vCon."""
    given = {"type": "sqlite", "database": "x", key: []}
    assert problems_of(parse({"connections": {"c": given}}, {})) == [
        f"connections.c.{key}: not a known key; did you mean {near!r}?"
    ]


def test_a_key_that_the_plugin_does_not_have() -> None:
    """A note; with CONFIG_STRICT an error; where the schema leaves it open, neither."""
    document = {"connections": {"c": {"type": "sqlite", "database": "x", "colour": 1}}}
    findings = findings_of(parse(document, {}))
    assert findings.problems == []
    assert findings.notes == ["connections.c.colour: not a known key, ignored"]
    assert len(problems_of(parse(document, {}, strict=True))) == 1


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [("database", 83, "0123"), ("timeout", 90, "1:30"), ("isolation_level", False, "off")],
)
def test_what_yaml_has_turned_in_a_connection(key: str, value: object, text: str) -> None:
    """A password of digits would be another one."""
    document = {"connections": {"c": {"type": "sqlite", "database": "x", key: value}}}
    [problem] = problems_of(parse(document, {}, {("connections", "c", key): text}))
    assert problem.startswith(f"connections.c.{key}: YAML reads ")
    sound = {"connections": {"c": {"type": "sqlite", "database": "x", "check_same_thread": True}}}
    written = {("connections", "c", "check_same_thread"): "yes"}
    assert problems_of(parse(sound, {}, written)) == []
