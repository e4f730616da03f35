"""What a configuration changes against another one."""

from __future__ import annotations

from typing import Any

from pipeline.config.masking import Masks
from pipeline.config.parser import PipelineConfig, parse
from pipeline.operator.configuration_diff import (
    LONGEST_VALUE,
    MOST_DETAILS,
    chain_changes,
    key_changes,
    list_changes,
    restart_needs,
    section_changes,
    value_changes,
)
from tests.law_keys import ec_key, private_pem

KEY = b"k" * 32
ENVIRON = {"TOKEN": "a-secret-of-the-environment", "NAME": "x"}
LINKS = {
    "a": {"module": "m.a", "options": {"tags": ["x"], "api_key": "secret-1"}},
    "b": {"module": "m.b"},
    "c": {"module": "m.c", "pip_name": "c==1"},
}
BASE: dict[str, Any] = {
    "links": LINKS,
    "storages": {"s": {"module": "m.s"}},
    "chains": {"main": {"links": ["a", "b"], "storages": ["s"], "ingress_lists": ["in"]}},
    "ingress_auth": {"in": ["key-number-one-123", "key-number-two-123"]},
}


def config(document: dict[str, Any]) -> PipelineConfig:
    """The parsed configuration."""
    return parse(document, ENVIRON)


def chain(**changes: Any) -> dict[str, Any]:
    """The base with its chain changed."""
    return BASE | {"chains": {"main": BASE["chains"]["main"] | changes}}


def details(new: dict[str, Any], old: dict[str, Any] = BASE) -> list[str]:
    """What is said of the chain."""
    masked = Masks(KEY).document(old), Masks(KEY).document(new)
    found = chain_changes(config(old), config(new), *masked)
    assert all(each.name == "main" and each.change == "changed" for each in found)
    return [line for each in found for line in each.details]


def test_links_are_added_removed_and_moved() -> None:
    """With their place."""
    assert details(chain(links=["a", "c", "b"])) == ["links: c added, after a"]
    assert details(chain(links=["c", "a", "b"])) == ["links: c added, first"]
    assert details(chain(links=["b"])) == ["links: a removed"]
    assert details(chain(links=["b", "a"])) == ["links: order a, b -> b, a"]
    assert details(chain(links=["a", "b", "a"])) == ["links: a added, after b"]


def test_settings_and_lists_of_a_chain() -> None:
    """Each with what it was and will be."""
    changed = chain(timeout=3, max_attempts=7, egress_lists=["out"], storages=[], enabled=False)
    assert details(changed) == [
        "storages: s removed",
        "egress_lists: out added",
        "enabled: True -> False",
        "timeout: None -> 3.0",
        "max_attempts: 3 -> 7",
    ]


def test_limits_of_destinations() -> None:
    """A chain differs where the limits of its steps do, also by another step of the destination."""
    limited = BASE | {
        "links": LINKS
        | {"a": LINKS["a"] | {"destination": "x"}, "c": LINKS["c"] | {"destination": "x"}},
        "storages": {"s": {"module": "m.s", "max_in_flight": 2}},
    }
    assert details(limited) == [
        "link a: its destination or limits differ",
        "storage s: its destination or limits differ",
    ]
    slower = limited | {
        "links": limited["links"] | {"c": LINKS["c"] | {"destination": "x", "max_in_flight": 1}}
    }
    assert details(slower, limited) == ["link a: its destination or limits differ"]


def test_options_that_a_chain_overrides() -> None:
    """As they are written there, and that the link differs."""
    found = details(chain(links=[{"a": {"tags": ["y"]}}, "b"]))
    assert found == ["link a: its definition differs", 'link a.tags: ["y"] (new)']


def test_secrets_are_masks_and_variables_stay() -> None:
    """Equal secrets have equal masks, so only a change shows."""
    options = {"tags": ["${NAME}"], "api_key": "${TOKEN}", "password": "secret-3"}
    new = BASE | {"links": LINKS | {"a": {"module": "m.a", "options": options}}}
    [found] = section_changes(Masks(KEY).document(BASE), Masks(KEY).document(new))
    assert (found.section, found.name, found.change) == ("links", "a", "changed")
    tags, key, password = found.details
    assert tags == 'options.tags: ["x"] -> ["${NAME}"]'
    assert key.startswith('options.api_key: "[redacted ')
    assert key.endswith('-> "${TOKEN}"')
    assert password.startswith('options.password: "[redacted ')
    assert "secret" not in repr(found)


def test_lists_and_their_readers() -> None:
    """A chain that is disabled reads nothing; its requested runs wait, too."""
    found = list_changes(config(BASE), config(chain(enabled=False)))
    assert [(each.name, each.before, each.after) for each in found] == [
        ("in", "main", None),
        ("run:main", "main", None),
    ]
    assert [each.name for each in list_changes(config(chain(enabled=False)), config(BASE))] == [
        "in"
    ]


def test_keys_are_counted_and_not_shown() -> None:
    """By list and label; a key whose limits change is changed."""
    auth = {
        "in": [
            {"key": "key-number-one-123", "requests_per_minute": 5},
            {"key": "key-number-six-123", "label": "six"},
        ]
    }
    found = key_changes(config(BASE), config(BASE | {"ingress_auth": auth}))
    assert [(each.label, each.change, each.count) for each in found] == [
        ("config.yml", "revoked", 1),
        ("config.yml", "changed", 1),
        ("six", "added", 1),
    ]
    assert "key-number" not in repr(found)


def test_another_package_needs_a_restart() -> None:
    """A module that is imported stays."""
    old = chain(links=["c"])
    new = old | {"links": LINKS | {"c": {"module": "m.c", "pip_name": "c==2"}}}
    assert restart_needs(config(old), config(new)) == [
        "m.c: its package is another one (pip_name); a module that is imported already stays"
    ]
    assert restart_needs(config(old), config(old)) == []


def test_what_is_shown_is_bounded() -> None:
    """The number of lines of an entry, and the length of a value."""
    options = {f"option-{number}": "x" * 5000 for number in range(200)}
    new = BASE | {"links": LINKS | {"d": {"module": "m.d", "options": options}}}
    [found] = section_changes(Masks(KEY).document(BASE), Masks(KEY).document(new))
    assert len(found.details) <= MOST_DETAILS + 1
    assert all(len(line) < LONGEST_VALUE + 50 for line in found.details)


def test_values_of_any_type() -> None:
    """Sections and keys may be of any type that YAML has."""
    assert list(value_changes({1: 2}, {1: [3]})) == ["1: 2 -> [3]"]
    assert section_changes({"links": None}, {"links": ["x"]}) == []
    assert chain_changes(config(BASE), config(BASE), {"chains": 3}, {"chains": {"main": 3}}) == []


def test_what_the_law_demands_is_told_where_it_differs() -> None:
    """Purposes by step, the settings of chains, and the section as a whole, keys masked."""
    law = {"basis": {"skew": 30}, "keys": {"k": {"private": private_pem(ec_key())}}}
    gated = {"a": LINKS["a"] | {"requires": {"purpose": "transcription"}}}
    storages = {"s": {"module": "m.s", "requires": {"purpose": "redistribution"}}}
    asked = {"purpose": "redistribution"}
    changes = {"verify": "report", "custody": 1, "decrypt_with": ["k"], "egress_lists": ["out"]}
    new = chain(**changes, egress={"requires": asked})
    new |= {"law": law, "links": LINKS | gated, "storages": storages}
    assert details(new) == [
        "egress_lists: out added",
        "decrypt_with: k added",
        "verify: off -> report",
        "custody: False -> True",
        "link a: requires: nothing -> transcription",
        "storage s: requires: nothing -> redistribution",
        'egress.requires: {"purpose":"redistribution"} (new)',
    ]
    masks = Masks(KEY)
    found = section_changes(masks.document(BASE), masks.document(new))
    [change] = [each for each in found if each.section == "law"]
    assert (change.change, len(change.details)) == ("added", 2)
    assert "PRIVATE" not in str(change)
