"""Each extra is enough for its plugins: they load where the other extras' libraries cannot."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
import tomllib
from importlib import import_module
from typing import Any

import pytest
from packaging.requirements import Requirement

from devstack.pages.plugin_pages import ROOMS
from pipeline.plugins.missing import EXTRAS
from tests.integration.links.integrity import scitt_scene
from tests.unit.support.source_files import ROOT

type Plugins = dict[str, dict[str, Any]]

KEY = {"OPENAI_API_KEY": "k"}
SIGNING = {"signing_key_pem": scitt_scene.KEY}
PLUGINS: dict[str, Plugins] = {
    "audio": {
        "links.openai_transcribe": KEY,
        "links.hugging_face_whisper": {"API_KEY": "k"},
        "links.transcribe": {"vendor": "hugging_face", "vendor_options": {"API_KEY": "k"}},
    },
    "elasticsearch": {"storage.elasticsearch": {"url": "http://elastic.example"}},
    "groq": {
        "links.groq_whisper": {"API_KEY": "k"},
        "links.transcribe": {"vendor": "groq", "vendor_options": {"API_KEY": "k"}},
    },
    "jq": {"links.jq_link": {}},
    "milvus": {"storage.milvus": KEY},
    "mongo": {"storage.mongo": {}},
    "openai": {
        "links.transcribe": {"vendor": "openai", "vendor_options": KEY},
        "storage.chatgpt_files": KEY,
    },
    "s3": {"storage.s3": {"aws_bucket": "b"}, "links.diet": {"s3_bucket": "b"}},
    "scitt": {"links.scitt": SIGNING, "storage.scitt": SIGNING},
    "sftp": {"storage.sftp": {"username": "u", "password": "p"}},
    "whisper": {"links.whisper_builtin": {}, "links.transcribe": {}},
}
"""The plugins that need an extra, each with the least options it takes."""
WITHOUT_TOO = {"links.diet", "links.transcribe"}
"""Those that need it for some options only."""

LOAD = """
import importlib, json, sys
from pipeline.config.parser import parse
from pipeline.plugins.loader import load

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

blocked, modules, config = json.load(sys.stdin)
sys.meta_path.insert(0, Blocked())
for module in modules:
    importlib.import_module(module)
load(parse(config, {}))
"""


def fault_without(blocked: set[str], modules: list[str], config: dict[str, Any]) -> str:
    """What a process says in the end that imports and loads these without some libraries."""
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD],
        input=json.dumps([sorted(blocked), modules, config]),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return loaded.stderr if loaded.returncode else ""


def config_of(plugins: Plugins) -> dict[str, Any]:
    """A configuration with one chain of these plugins."""
    config: dict[str, Any] = {"links": {}, "storages": {}}
    for module, options in plugins.items():
        section = "links" if module.startswith("links.") else "storages"
        config[section][module.rpartition(".")[2]] = {"module": module, "options": options}
    chain = {section: list(steps) for section, steps in config.items()}
    return {**config, "chains": {"c": chain}}


def libraries(extra: str) -> set[str]:
    """The import names of what an extra installs."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        listed = tomllib.load(file)["project"]["optional-dependencies"][extra]
    named = {name for name, its_extra in EXTRAS.items() if its_extra == extra}
    return named | {Requirement(each).name.replace("-", "_") for each in listed}


@pytest.mark.parametrize("extra", PLUGINS)
def test_an_extra_is_enough_for_its_plugins(extra: str) -> None:
    """They load, with options that need nothing else."""
    others = set(EXTRAS) - libraries(extra)
    assert fault_without(others, [], config_of(PLUGINS[extra])) == ""


def test_all_other_plugins_need_no_extra() -> None:
    """So one that begins to need a library is noticed, and listed above."""
    listed = {module for plugins in PLUGINS.values() for module in plugins}
    packages = [import_module(room) for room in ROOMS]
    found = [
        f"{package.__name__}.{each.name}"
        for package in packages
        for each in pkgutil.iter_modules(package.__path__)
    ]
    others = [module for module in found if module not in listed - WITHOUT_TOO]
    assert fault_without(set(EXTRAS), others, {}) == ""
    assert "links.transcribe" in others
