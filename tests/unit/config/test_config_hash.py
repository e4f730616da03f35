"""The hash of a configuration: what moves it and what does not."""

from copy import deepcopy
from typing import Any

import pytest

from pipeline.config.model import canonical
from pipeline.config.parser import parse

ENVIRON = {"KEY": "k3y", "OTHER": "0ther"}
DOCUMENT: dict[str, Any] = {
    "imports": {"extra": {"module": "extra"}},
    "links": {
        "tag": {"module": "links.tag", "options": {"tags": ["a"], "key": "${KEY}", "n": 1}},
        "unused": {"module": "links.unused"},
    },
    "storages": {"file": {"module": "storage.file"}, "other": {"module": "storage.other"}},
    "tracers": {"trace": {"module": "tracers.trace"}},
    "chains": {"main": {"links": ["tag"], "storages": ["file"], "ingress_lists": ["in"]}},
    "ingress_auth": {"in": "a-key-of-a-partner"},
}


def content(environ: dict[str, str] = ENVIRON, **changes: object) -> bytes:
    """What the hash covers after changes given as `section__entry__key=value`."""
    document = deepcopy(DOCUMENT)
    for path, value in changes.items():
        *way, last = path.split("__")
        place = document
        for key in way:
            place = place[key]
        place[last] = value
    return parse(document, environ).content


@pytest.mark.parametrize(
    "change",
    [
        {"links__tag__options__tags": ["b"]},
        {"links__tag__options__n": True},
        {"links__tag__options__n": "1"},
        {"links__tag__module": "links.tagger"},
        {"links__tag__pip_name": "tagger==2"},
        {"links__tag__retries": 1},
        {"links__tag__timeout": 1},
        {"links__tag__max_in_flight": 1},
        {"storages__file__destination": "shelf"},
        {"storages__file__options": {"path": "/x"}},
        {"storages__other__options": {"path": "/x"}},
        {"tracers__trace__options": {"x": 1}},
        {"imports__extra__pip_name": "extra==2"},
        {"chains__main__links": [{"tag": {"n": 2}}]},
        {"chains__main__links": ["tag", "tag"]},
        {"chains__main__storages": ["other"]},
        {"chains__main__egress_lists": ["out"]},
        {"chains__main__ingress_lists": ["in", "more"]},
        {"chains__main__timeout": 9},
        {"chains__main__max_attempts": 9},
        {"chains__main__enabled": 0},
        {"chains__main__repeat_uncertain": 1},
        {"chains__second": {}},
        {"environ": {"KEY": "changed"}},
    ],
    ids=str,
)
def test_what_affects_a_run_moves_the_hash(change: dict[str, Any]) -> None:
    """Every change of what runs, and of a value from the environment, changes the content."""
    assert content(**change) != content()


@pytest.mark.parametrize(
    "change",
    [
        {"ingress_auth__in": "another-key-of-a-partner"},
        {"links__unused__module": "links.other"},
        {"links__tag__unknown": 1},
        {"links__tag__options": {"n": 1, "key": "${KEY}", "tags": ["a"]}},
        {"links__tag__options__key": "k3y"},
        {"chains__main__repeat_uncertain": 0},
        {"followers": {"x": {}}},
        {"environ": ENVIRON | {"OTHER": "changed"}},
    ],
    ids=str,
)
def test_what_affects_no_run_leaves_the_hash(change: dict[str, Any]) -> None:
    """Keys, unused links, the order of options and other variables do not change the content."""
    assert content(**change) == content()


def test_the_order_of_storages_counts() -> None:
    """The first storage is asked first for a lost vCon, so their order is part of the content."""
    turned = dict(reversed(DOCUMENT["storages"].items()))
    assert content(storages=turned) != content()


def test_the_hash_follows_the_content() -> None:
    """16 hex digits, the same in every process, and others for other content."""
    assert parse({}, {}).hash == "304747dc01735e7b"
    assert parse({"chains": {"main": {}}}, {}).hash != "304747dc01735e7b"


def test_any_yaml_value_has_a_canonical_form() -> None:
    """Sets and keys that are not texts have one form, in any order."""
    one = {1: {"b", "a"}, "x": [(1, 2)]}
    other = {"x": [[1, 2]], 1: {"a", "b"}}
    assert canonical(one) == canonical(other)
