"""`server.lib` and its like are other names of the same modules."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lib.vcon_server import aliases


@pytest.fixture(autouse=True)
def _aliases(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The names work in each test and are gone after it."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    for name in filter(_is_of_a_test, list(sys.modules)):  # of any test that ran before
        del sys.modules[name]
    aliases.install()
    yield
    for name in filter(_is_of_a_test, list(sys.modules)):
        del sys.modules[name]


def _is_of_a_test(name: str) -> bool:
    return name.partition(".")[0] in {"server", "redis_mgr"} or name.startswith("storage.example")


@pytest.mark.parametrize("name", ["lib", "links", "storage", "tracers", "lib.logging_utils"])
def test_a_module_is_the_same_under_both_names(name: str) -> None:
    """One object, which keeps its own name, spec and place in its package."""
    real = importlib.import_module(name)
    spec = real.__spec__
    assert importlib.import_module(f"server.{name}") is real
    assert real.__spec__ is spec
    assert real.__name__ == name


def test_what_stands_beside_lib_in_vcon_server_is_found() -> None:
    """`redis_mgr` is a module of `lib` here; importing it asks for no connection."""
    real = importlib.import_module("lib.redis_mgr")
    assert importlib.import_module("redis_mgr") is real


def test_from_import_works_under_the_alias() -> None:
    """The form that plugins use."""
    from server.lib.logging_utils import init_logger as same

    from lib.logging_utils import init_logger

    assert same is init_logger


def test_the_order_of_the_two_imports_does_not_matter() -> None:
    """A module that is first imported as `server.X` is then found as `X`."""
    for name in ("lib.metrics", "server.lib.metrics"):
        sys.modules.pop(name, None)
    under_alias = importlib.import_module("server.lib.metrics")
    assert importlib.import_module("lib.metrics") is under_alias
    assert under_alias.__name__ == "lib.metrics"


@pytest.mark.parametrize("name", ["server.lib.nothing", "server.core", "server.x"])
def test_what_is_not_there_is_not_found_under_the_alias_either(name: str) -> None:
    """The error names what was asked for; nothing else of ours can be had this way."""
    with pytest.raises(ModuleNotFoundError) as error:
        importlib.import_module(name)
    assert error.value.name == name


def test_only_our_rooms_have_aliases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a module whose name begins like one of them."""
    (tmp_path / "library.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("server.library")


def test_installing_twice_changes_nothing() -> None:
    """Every process may do so."""
    finders = list(sys.meta_path)
    aliases.install()
    assert sys.meta_path == finders


def test_a_plugin_in_another_folder_is_found_under_both_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rooms take in folders of the same name along the path."""
    import storage

    (tmp_path / "storage").mkdir()
    (tmp_path / "storage" / "example_elsewhere.py").write_text("MARK = object()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(storage, "__path__", list(storage.__path__))
    importlib.reload(storage)
    under_alias = importlib.import_module("server.storage.example_elsewhere")
    assert importlib.import_module("storage.example_elsewhere") is under_alias


def test_a_package_called_server_that_is_there_keeps_its_own_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The aliases come beside them."""
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "__init__.py").write_text("OWN = True\n")
    (tmp_path / "server" / "models.py").write_text("")
    for name in [each for each in sys.modules if each.partition(".")[0] == "server"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    assert importlib.import_module("server").OWN
    importlib.import_module("server.models")
    assert importlib.import_module("server.lib") is importlib.import_module("lib")


def test_a_module_that_fails_to_import_fails_as_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is not hidden, and a second try does not find half a module."""
    import storage

    (tmp_path / "example_broken.py").write_text("import nowhere_to_be_found\n")
    monkeypatch.setattr(storage, "__path__", [*storage.__path__, str(tmp_path)])
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError) as error:
            importlib.import_module("server.storage.example_broken")
        assert error.value.name == "nowhere_to_be_found"
