"""The pinned requirement files: complete, hashed, without what is left out, tied to no index."""

import re
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from devstack.bootstrap import FILES, SERVICE
from devstack.machine import UV_PIN
from devstack.supply.pins import EXTRAS, Pin, excluded, names, read_pins
from tests.unit.support.source_files import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRA_FILES = sorted((ROOT / EXTRAS).glob("*.txt"))
ALL = [*(ROOT / name for name in FILES), *EXTRA_FILES, UV_PIN]
TAGS = {"python_version": "3.13", "python_full_version": "3.13.1"}
MACHINES = [
    {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": machine} | tags
    for machine in ("x86_64", "aarch64")
    for tags in ({}, TAGS)
]


@pytest.mark.parametrize("file", ALL, ids=lambda file: file.name)
def test_every_package_has_hashes(file: Path) -> None:
    """Exact pins, each with the digest of every file of the release."""
    pins = pins_of(file)
    assert pins
    assert [pin.name for pin in pins if not pin.digests] == []


@pytest.mark.parametrize("file", ALL, ids=lambda file: file.name)
def test_no_file_names_an_index(file: Path) -> None:
    """Packages come from the index that the machine is set up for."""
    assert not re.search(r"://|^\s*-(?!-hash)", file.read_text(), re.MULTILINE)


def test_all_files_have_the_same_versions() -> None:
    """They are installed together, and an extra beside the service."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for file in ALL:
        for pin in pins_of(file):
            found.setdefault(pin.name, set()).add((pin.version, *pin.digests))
    assert [name for name, versions in found.items() if len(versions) > 1] == []


def test_every_requirement_of_the_project_is_pinned() -> None:
    """What pyproject.toml asks for is in the file of the service, or in that of its extra."""
    wanted = {canonicalize_name(Requirement(each).name) for each in PROJECT["dependencies"]}
    assert wanted <= names([ROOT / SERVICE])
    extras = PROJECT["optional-dependencies"]
    assert [file.stem for file in EXTRA_FILES] == sorted(extras)
    for extra, needs in extras.items():
        listed = names([ROOT / EXTRAS / f"{extra}.txt", ROOT / SERVICE])
        assert {canonicalize_name(Requirement(each).name) for each in needs} <= listed


@pytest.mark.parametrize("machine", MACHINES, ids=str)
@pytest.mark.parametrize("extra", [None, *PROJECT["optional-dependencies"]])
def test_the_files_are_whole(extra: str | None, machine: dict[str, str]) -> None:
    """`--no-deps` may install them: each need of each package is in them, on either machine."""
    files = [ROOT / SERVICE, *([ROOT / EXTRAS / f"{extra}.txt"] if extra else [])]
    listed = {pin.name for file in files for pin in pins_of(file)}
    lacking = {need for name in listed for need in needs_of(name, machine)} - listed
    assert lacking <= excluded(ROOT)


@cache
def pins_of(file: Path) -> list[Pin]:
    """The pins of a file, read once for all tests."""
    return read_pins(file)


@cache
def requirements_of(name: str) -> list[Requirement]:
    """What an installed package asks for on any machine; nothing if it is not installed."""
    try:
        return [Requirement(each) for each in metadata.requires(name) or ()]
    except metadata.PackageNotFoundError:
        return []


def needs_of(name: str, machine: dict[str, str]) -> set[str]:
    """What an installed package needs on a machine; none for one that is for another system."""
    asked = {**machine, "extra": ""}
    return {
        canonicalize_name(each.name)
        for each in requirements_of(name)
        if each.marker is None or each.marker.evaluate(asked)
    }


def test_what_is_left_out_is_nowhere() -> None:
    """Neither a requirement file nor this environment has it."""
    left_out = excluded(ROOT)
    others = {"asgiref", "django", "ffmpeg", "logger", "mutagen", "rfc3987-syntax"}
    assert left_out == {"av", "onnxruntime"} | others
    assert left_out & names(ALL) == set()
    installed = {canonicalize_name(each.name) for each in metadata.distributions()}
    assert left_out & installed == set()


def test_the_image_installs_by_hash() -> None:
    """Every pip of the image asks for hashes and resolves nothing itself."""
    dockerfile = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    installs = re.findall(r"pip install (.*?)(?:\|\||$)", dockerfile, re.MULTILINE)
    assert len(installs) == 2
    assert all({"--no-deps", "--require-hashes"} <= set(each.split()) for each in installs)
