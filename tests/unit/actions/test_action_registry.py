"""How actions are found and chosen."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from core.action_registry import ActionRegistry
from core.errors import ConfigurationError
from tests.unit.support.actions_for_tests import Echo, Hold

SOURCE = """
from core.action_response import ActionResponse
from core.action_runner import ActionRunner

class {name}(ActionRunner):
    @classmethod
    def description(cls):
        return "{name}"

    def run(self, client, websocket):
        return ActionResponse(status_code=200)
"""
_numbers = count()

Package = Callable[..., str]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """Makes an importable package out of sources by module name; its name."""

    def make(**modules: str) -> str:
        name = f"found_{next(_numbers)}"
        (tmp_path / name).mkdir()
        for module, source in {"__init__": "", **modules}.items():
            (tmp_path / name / f"{module}.py").write_text(source)
        return name

    monkeypatch.syspath_prepend(tmp_path)
    return make


def source(name: str) -> str:
    """A module with one action."""
    return SOURCE.format(name=name)


def test_a_class_dropped_into_a_package_is_found(package: Package) -> None:
    """Every action of every module is registered under its discriminator."""
    registry = ActionRegistry.discover(package(one=source("One"), two=source("Two")))
    assert list(registry) == ["One", "Two"]
    assert registry["Two"].description() == "Two"
    assert len(registry) == 2


def test_what_a_module_only_imports_is_not_its_own(package: Package) -> None:
    """An imported action or base class is not registered a second time."""
    importing = "from tests.unit.support.actions_for_tests import Echo\n" + source("Own")
    assert list(ActionRegistry.discover(package(one=importing))) == ["Own"]


def test_an_unfinished_action_is_left_out_with_a_warning(
    package: Package, caplog: pytest.LogCaptureFixture
) -> None:
    """A class without `description` and without a docstring is not published; the log says so."""
    unfinished = source("Unfinished").replace("def description", "def describe")
    assert list(ActionRegistry.discover(package(one=unfinished))) == []
    assert vars(caplog.records[0])["error"].endswith("Unfinished does not define description")


def test_every_module_that_cannot_be_imported_is_named(package: Package) -> None:
    """All import errors come at once, each with its module."""
    name = package(good=source("Good"), bad="import no_such_thing", worse="1 / 0")
    with pytest.raises(ConfigurationError) as raised:
        ActionRegistry.discover(name)
    assert raised.value.problems == [
        f"{name}.bad cannot be imported: ModuleNotFoundError: No module named 'no_such_thing'",
        f"{name}.worse cannot be imported: ZeroDivisionError: division by zero",
    ]


def test_two_classes_of_one_name_are_refused(package: Package) -> None:
    """A discriminator belongs to one class; both places are named."""
    name = package(one=source("Same"), two=source("Same"))
    with pytest.raises(
        ConfigurationError, match=rf"called Same: {name}\.one\.Same and {name}\.two\.Same"
    ):
        ActionRegistry.discover(name)


def test_select_keeps_the_names_and_their_order() -> None:
    """ACTIONS decides what is published, in its order; a name twice counts once."""
    registry = ActionRegistry([Echo, Hold])
    assert list(registry.select(["Hold", "Echo", "Hold"])) == ["Hold", "Echo"]
    assert list(registry.select(["Echo"])) == ["Echo"]


def test_select_names_what_does_not_exist_and_what_does() -> None:
    """Every unknown name in ACTIONS is in the message, with the names there are."""
    with pytest.raises(ConfigurationError) as raised:
        ActionRegistry([Hold, Echo]).select(["Echo", "Eco", "Hodl"])
    assert str(raised.value) == "ACTIONS: no action named Eco, Hodl; there are: Echo, Hold"


def test_what_is_published_is_each_actions_description() -> None:
    """`to_dict` and `to_json` hold every action once, by name."""
    registry = ActionRegistry([Echo, Hold])
    assert registry.to_dict() == {**Echo.to_dict(), **Hold.to_dict()}
    assert registry.to_json().startswith('{"Echo": {"description"')


@pytest.mark.parametrize(
    ("package_name", "names"),
    [
        (
            "events",
            {
                "num_consumers",
                "phx_join",
                "phx_reply",
                "request",
                "service_deleted",
                "service_updated",
                "token_created",
                "token_deleted",
            },
        ),
        (
            "actions",
            {"GetRun", "GetVcon", "IngestVcon", "ListChains", "RunChain", "StoreVcon"},
        ),
    ],
)
def test_the_built_in_ones_are_found(package_name: str, names: set[str]) -> None:
    """Every event of the Plugboard and every documented action has its class."""
    assert names <= set(ActionRegistry.discover(package_name))
