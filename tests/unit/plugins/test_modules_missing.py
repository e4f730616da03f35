"""Messages about a missing module."""

import tomllib

import pytest

from pipeline.config.parser import PluginSpec
from pipeline.plugins.missing import EXTRAS, explain_missing, shown
from tests.unit.support.source_files import ROOT


def explained(module: str, missing: str | None, pip_name: str | None = None) -> str:
    """The message when a module, or one that it imports, is missing."""
    error = ModuleNotFoundError("No module named something", name=missing)
    return explain_missing(PluginSpec("x", module, pip_name), error)


def test_a_typo_gets_the_nearest_neighbour() -> None:
    """A missing module beside others is answered with the one probably meant."""
    assert explained("pipeline.confg", "pipeline.confg") == (
        "no module named 'pipeline.confg'; did you mean 'pipeline.config'?"
    )


@pytest.mark.parametrize("module", ["storages.file", "link.tag", "tracer.jlinc"])
def test_a_mistaken_room(module: str) -> None:
    """The packages of built-in plugins are suggested to those who nearly name them."""
    room, _, name = module.partition(".")
    right = {"storages": "storage", "link": "links", "tracer": "tracers"}[room]
    assert explained(module, room).endswith(f"did you mean '{right}.{name}'?")


@pytest.mark.parametrize(
    ("name", "plugin"), [("tag", "links.tag"), ("file", "storage.file"), ("jlinc", "tracers.jlinc")]
)
def test_a_plugin_without_its_package(name: str, plugin: str) -> None:
    """A name without `links.` gets a suggestion."""
    assert explained(name, name) == (
        f"no module named {name!r}; did you mean {plugin!r}? If not, name its package as pip_name"
    )


def test_nothing_near() -> None:
    """A missing module that resembles none is answered with what could be done."""
    assert explained("xyzzy.plugh", "xyzzy") == (
        "no module named 'xyzzy.plugh'; check the spelling,"
        " or install the package that has it and name that as pip_name"
    )


def test_a_pip_name_says_what_to_install() -> None:
    """With a pip name, the answer is to install it, even where a similar module exists."""
    assert explained("pipeline.confg", "pipeline.confg", "confg==1.2") == (
        "no module named 'pipeline.confg'; install it: pip install 'confg==1.2'"
    )


@pytest.mark.parametrize("missing", ["fastapi", "links.scitt.deeper", "link"])
def test_a_missing_import_of_a_module_that_is_there(missing: str) -> None:
    """Only the module itself or a package above it is the module; all else is an import of it."""
    assert explained("links.scitt", missing) == (
        f"links.scitt is there, but it imports {missing!r}, which is not installed"
    )


@pytest.mark.parametrize("missing", ["boto3", "boto3.session"])
def test_the_missing_library_of_a_built_in_plugin(missing: str) -> None:
    """The extra that has it is named, and how to install that."""
    assert explained("storage.s3", missing).endswith(
        f"imports {missing!r}, which is not installed; install the extra 's3': "
        "pip install --no-deps --require-hashes -r requirements/extras/s3.txt"
    )


def test_every_extra_is_one_of_the_projects() -> None:
    """The suggested command works."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert set(EXTRAS.values()) == set(tomllib.load(file)["project"]["optional-dependencies"])


def test_a_missing_import_with_a_pip_name() -> None:
    """The package that should have brought the import is named."""
    assert explained("a", "b", "git+https://t:s3cret@x/a").endswith(
        "(its package: git+https://***@x/a)"
    )


def test_an_import_without_a_name() -> None:
    """A module may raise the error by hand, without saying what is missing."""
    assert "imports something missing (No module named something)" in explained("a", None)


@pytest.mark.parametrize(
    ("pip_name", "printed"),
    [
        ("tagger>=1,<2 --pre", "tagger>=1,<2 --pre"),
        ("git+https://github.com/x/y.git@v1", "git+https://github.com/x/y.git@v1"),
        ("git+https://token:s3cret@github.com/x/y.git@v1", "git+https://***@github.com/x/y.git@v1"),
        ("x @ git+ssh://git@github.com/x/y.git", "x @ git+ssh://***@github.com/x/y.git"),
    ],
)
def test_credentials_are_not_shown(pip_name: str, printed: str) -> None:
    """What stands before the @ of a URL's host is masked; a version after it is not."""
    assert shown(pip_name) == printed
