"""docs/guests/ says of every built-in guest what is true."""

import importlib

import pytest

from devstack.guest_pages import FOLDER, guests, pages
from lib.options import GuestOptions

MODULES = {module.__name__: module for module in guests()}


def test_the_pages_are_current() -> None:
    """They are what `python -m devstack.guest_pages` would write now, no more and no fewer."""
    assert {file.name: file.read_text() for file in FOLDER.glob("*.md")} == pages()


@pytest.mark.parametrize("name", MODULES)
def test_a_guest_says_what_it_reads_writes_and_raises(name: str) -> None:
    """Whoever looks it up wants to know before it runs on a vCon."""
    words = MODULES[name].__doc__ or ""
    assert all(word in words for word in ("Reads", "rites", "aises"))


@pytest.mark.parametrize("name", MODULES)
def test_every_option_is_described_and_checked(name: str) -> None:
    """By a model of the guest's own."""
    options = importlib.import_module(name).Options
    assert issubclass(options, GuestOptions)
    assert all(field.description for field in options.model_fields.values())
