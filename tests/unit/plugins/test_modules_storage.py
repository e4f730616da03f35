"""Loading one storage on its own, such as one that is only read from."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import pytest

from core.errors import PluginFailedError
from pipeline.config.parser import StorageSpec
from pipeline.plugins.loader import load_storage


@pytest.fixture(autouse=True)
def storage_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """A storage called `sample_storage` that can be imported."""
    module = ModuleType("sample_storage")
    vars(module).update(save=lambda vcon_uuid, opts: None, default_options={"a": 1, "b": 2})
    monkeypatch.setitem(sys.modules, "sample_storage", module)


def test_a_storage() -> None:
    """It comes with its merged options and its terms, and None for what it does not have."""
    spec = StorageSpec("mine", "sample_storage", options={"b": 3}, timeout=4.0, retries=1)
    storage = load_storage(spec)
    assert (storage.name, storage.options) == ("mine", {"a": 1, "b": 3})
    assert (storage.timeout, storage.retries) == (4.0, 1)
    assert storage.get is storage.delete is storage.close is None


def test_a_storage_that_is_missing() -> None:
    """A storage whose module is not there is a plugin's error that names the storage."""
    with pytest.raises(PluginFailedError, match=r"^storage lost: no module named 'sample_store'"):
        load_storage(StorageSpec("lost", "sample_store"))


def test_a_storage_without_its_variables() -> None:
    """A storage whose variables are missing is not handed a literal `${...}` for a password."""
    spec = StorageSpec("mine", "sample_storage", unset=("USER", "PASSWORD"))
    with pytest.raises(
        PluginFailedError, match="storage mine: the environment has no USER, PASSWORD"
    ):
        load_storage(spec)


@pytest.fixture
def impatient_threads() -> Iterator[None]:
    """Threads take turns after a microsecond, so that they meet wherever they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("impatient_threads")
def test_a_storage_that_many_ask_for_at_once() -> None:
    """Each gets it, though Python's search for new modules is not made for several threads."""
    spec = StorageSpec("mine", "sample_storage")
    with ThreadPoolExecutor(16) as pool:
        for _ in range(20):
            sys.path_importer_cache.update({f"/nowhere/{n}": None for n in range(200)})
            assert {each.name for each in pool.map(load_storage, [spec] * 32)} == {"mine"}
