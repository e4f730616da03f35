"""Which vCons the routing links let pass, and where they send them."""

from typing import Any

import pytest

from links.sampler import Options, is_in
from links.tag_router import routes
from tests.unit.links.test_plugin_tag import tags_attachment

UUIDS = [f"01969fec-84c0-7b2e-99ff-{number:012x}" for number in range(2000)]
NOON = 1_795_262_400.0


def share(**options: Any) -> float:
    """Which share of many vCons is in the sample."""
    chosen = Options(**options)
    return sum(is_in(uuid, chosen, NOON) for uuid in UUIDS) / len(UUIDS)


@pytest.mark.parametrize(("value", "wanted"), [(0, 0), (25, 0.25), (100, 1)])
def test_a_percentage_is_that_of_all(value: float, wanted: float) -> None:
    """None of them at 0, all at 100; decided by the seed here, so that it is the same each time."""
    assert share(value=value, seed=7) == pytest.approx(wanted, abs=0.04)


def test_a_rate_is_about_one_in_so_many() -> None:
    """The chance that a random interval of that mean is at most 1."""
    assert share(method="rate", value=10, seed=7) == pytest.approx(0.095, abs=0.03)


def test_a_seed_decides_for_each_vcon_anew() -> None:
    """The same for the same vCon, but not the same for all."""
    options = Options(seed="x")
    verdicts = [is_in(uuid, options, NOON) for uuid in UUIDS]
    assert verdicts == [is_in(uuid, options, NOON) for uuid in UUIDS]
    assert len(set(verdicts)) == 2


def test_modulo_goes_by_the_uuid_and_time_by_the_second() -> None:
    """Both are whole divisions."""
    assert share(method="modulo", value=4) == pytest.approx(0.25, abs=0.04)
    assert share(method="modulo", value=1) == 1
    timed = Options(method="time_based", value=60)
    assert is_in(UUIDS[0], timed, NOON)
    assert is_in(UUIDS[0], timed, NOON + 0.9)
    assert not is_in(UUIDS[0], timed, NOON + 1)


@pytest.mark.parametrize(
    "options",
    [{"method": "modulo", "value": 0}, {"method": "modulo", "value": 1.5}, {"method": "often"}],
)
def test_what_cannot_be_sampled_by_is_a_mistake_of_the_configuration(options: Any) -> None:
    """Found at the start, not by the first vCon."""
    with pytest.raises(ValueError, match=r"value|method"):
        Options(**options)


ROUTES = {"sales": "list-a", "vip": "list-b", "support": "list-a"}


@pytest.mark.parametrize(
    ("attachments", "lists"),
    [
        ([tags_attachment("vip:yes", "sales:sales")], ["list-b", "list-a"]),
        ([tags_attachment("sales:1"), tags_attachment("support:2", "sales:3")], ["list-a"]),
        ([{"purpose": "tags", "body": {"vip": "yes"}, "encoding": "json"}], ["list-b"]),
        ([{"type": "tags", "body": ["vip:yes"]}], ["list-b"]),
        ([tags_attachment("other:1")], []),
        ([{"purpose": "tags", "body": "no JSON"}, {"purpose": "note", "body": '["vip:1"]'}], []),
        ([{"purpose": "tags", "body": "7"}, "odd"], []),
    ],
)
def test_each_tag_that_has_a_route_leads_to_its_list_once(
    attachments: list[Any], lists: list[str]
) -> None:
    """In the order of the tags; invalid tags are ignored."""
    assert routes({"attachments": attachments}, ROUTES) == lists
    assert routes({}, ROUTES) == []
