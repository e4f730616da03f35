"""The modules of vcon-server's library that need no server: settings, configuration, names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from lib.phone_number_utils import get_e164_number
from lib.vcon_compat import normalize_legacy_fields
from lib.vcon_server import aliases, config, settings
from pipeline.config import yaml_file
from pipeline.worker.slots.limits import ASYNC as ASYNC_SLOTS


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No service, and fresh imports of the aliases."""
    monkeypatch.setattr("lib.vcon_server.settings._host", [])
    monkeypatch.setattr("lib.vcon_server.config._read", [config._as_written])
    monkeypatch.setattr("pipeline.config.yaml_file._in_force", [])
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    _forget()
    aliases.install()
    yield
    _forget()


def _forget() -> None:
    for name in ("config", "settings", "dlq_utils", "storage.base", *aliases.HOOKS):
        sys.modules.pop(name, None)
        sys.modules.pop(f"server.{name}", None)


@pytest.mark.parametrize("name", [*aliases.OURS, *aliases.UNLESS_THERE])
def test_a_module_has_three_names(name: str) -> None:
    """vcon-server's, the older one below `server`, and its own."""
    real = importlib.import_module({**aliases.OURS, **aliases.UNLESS_THERE}[name])
    assert importlib.import_module(name) is real
    assert importlib.import_module(f"server.{name}") is real


@pytest.mark.parametrize("name", ["config", "settings", "vcon_hook"])
def test_a_module_of_the_plugins_own_comes_first(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such names are common."""
    (tmp_path / f"{name}.py").write_text("OWN = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert importlib.import_module(name).OWN


@pytest.mark.parametrize(("file", "is_own"), [("config.yml", False), ("own.py", True)])
def test_a_folder_counts_as_a_module_if_it_has_code(
    file: str, is_own: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python takes any folder on the path for a package, also one for configuration files."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / file).touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert (importlib.import_module("config") is not config) == is_own


def test_settings_are_vcon_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """By type, with its defaults; empty is unset; `auto` is a number."""
    for name in ("VCON_DLQ_EXPIRY", "OPENAI_API_KEY", "CONSERVER_VCON_CONCURRENCY", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    assert (settings.VCON_DLQ_EXPIRY, settings.OPENAI_API_KEY) == (604_800, None)
    assert (settings.REDIS_URL, settings.INDEX_NAME) == ("redis://localhost", "vcon")
    assert settings.CONSERVER_VCON_CONCURRENCY == ASYNC_SLOTS
    monkeypatch.setenv("VCON_DLQ_EXPIRY", "60")
    monkeypatch.setenv("OPENAI_API_KEY", "")
    monkeypatch.setenv("CONSERVER_VCON_CONCURRENCY", "auto")
    monkeypatch.setenv("CONSERVER_PARALLEL_STORAGE", "false")
    assert (settings.VCON_DLQ_EXPIRY, settings.OPENAI_API_KEY) == (60, None)
    assert settings.CONSERVER_VCON_CONCURRENCY == ASYNC_SLOTS
    assert settings.CONSERVER_PARALLEL_STORAGE is False
    monkeypatch.setenv("VCON_DLQ_EXPIRY", "a week")
    with pytest.raises(ValueError, match="VCON_DLQ_EXPIRY cannot be read"):
        _ = settings.VCON_DLQ_EXPIRY
    with pytest.raises(ImportError, match="NO_SUCH_NAME"):
        from lib.vcon_server.settings import NO_SUCH_NAME  # noqa: F401
    assert "REDIS_URL" in dir(settings)


def test_settings_of_the_service_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that a plugin could read in its environment; no others."""
    monkeypatch.delenv("CONSERVER_API_TOKEN", raising=False)
    host = SimpleNamespace(
        vcon_redis_expiry=7,
        redis_url=SecretStr("redis://there"),
        conserver_api_token=SecretStr("s3cret"),
        conserver_vcon_concurrency="auto",
    )
    settings.configure(host)
    assert (settings.VCON_REDIS_EXPIRY, settings.REDIS_URL) == (7, "redis://there")
    assert settings.CONSERVER_API_TOKEN is None
    assert config.get_vcon_concurrency() == ASYNC_SLOTS


def test_without_a_configuration_in_force_the_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filled in a service, as written elsewhere; each caller has a document of its own."""
    (path := tmp_path / "config.yml").write_text("storages: {a: {options: {password: '${PW}'}}}\n")
    monkeypatch.setenv("CONSERVER_CONFIG_FILE", str(path))
    monkeypatch.setenv("PW", "filled")
    assert config.Configuration.get_storages()["a"]["options"]["password"] == "${PW}"
    config.configure(yaml_file.document)
    assert config.Configuration.get_storages()["a"]["options"]["password"] == "filled"
    config.get_config()["storages"].clear()
    assert config.Configuration.get_storages() != {}
    path.write_text("# nothing\n")
    assert config.get_config() == {}
    assert config.Configuration.get_imports() == {}
    path.write_text("- a list\n")
    assert config.get_config() == {}
    path.unlink()
    with pytest.raises(FileNotFoundError):
        config.get_config()


def test_start_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """As vcon-server checks them."""
    monkeypatch.setenv("CONSERVER_START_METHOD", "SPAWN")
    assert config.get_start_method() == "spawn"
    monkeypatch.setenv("CONSERVER_START_METHOD", "thread")
    with pytest.raises(ValueError, match="must be one of fork, spawn, forkserver"):
        config.get_start_method()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"appended": {"a": 1}}, {"amended": {"a": 1}}),
        ({"appended": 1, "amended": 2}, {"amended": 2}),
        ({"appended": 1, "amended": None}, {"amended": 1}),
        ({"must_support": ["x"]}, {"critical": ["x"]}),
        ({"dialog": [{"mimetype": "a/b"}]}, {"dialog": [{"mediatype": "a/b"}]}),
        ({"dialog": [{"encoding": "text"}]}, {"dialog": [{"encoding": "none"}]}),
        ({"analysis": [{"type": "t"}]}, {"analysis": [{"type": "t"}]}),
        ({"attachments": [{"type": "t"}]}, {"attachments": [{"purpose": "t"}]}),
        (
            {"attachments": [{"type": "lawful_basis", "purpose": "p"}]},
            {"attachments": [{"type": "lawful_basis", "purpose": "p"}]},
        ),
        ({"dialog": None, "analysis": "no list", "attachments": [3]}, None),
        ("no vCon", None),
        (None, None),
    ],
)
def test_older_names_become_todays_in_place(given: Any, expected: Any) -> None:
    """The same object; what is no vCon stays as it is."""
    expected = given if expected is None else expected
    returned = normalize_legacy_fields(given)
    assert returned is given
    assert returned == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("(555) 010-0100", "+15550100100"),
        ("+44 20 7946 0958", "+442079460958"),
        ("1234", "1234"),
        ("", ""),
        (None, ""),
        ("no number at all", "no number at all"),
    ],
)
def test_telephone_numbers(given: str | None, expected: str) -> None:
    """What is no number comes back as it is."""
    assert get_e164_number(given) == expected
