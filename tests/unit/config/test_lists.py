"""Which lists a configuration has, and what each is for."""

from pipeline.config.lists import lists_of
from pipeline.config.parser import Chain, PipelineConfig, StorageSpec

SHELF, CELLAR = StorageSpec("shelf", "storage.file"), StorageSpec("cellar", "storage.file")
FIRST = Chain("first", storages=(SHELF,), ingress_lists=("a", "b"), egress_lists=("passed", "out"))
SECOND = Chain("second", ingress_lists=("passed",), egress_lists=("out",), enabled=False)
LISTS = lists_of(
    PipelineConfig(
        chains={"first": FIRST, "second": SECOND}, storages={"shelf": SHELF, "cellar": CELLAR}
    )
)


def test_ingress_lists_of_all_chains() -> None:
    """Every chain's ingress lists and run list, those of disabled chains included."""
    assert LISTS.ingress == ["a", "b", "run:first", "passed", "run:second"]


def test_egress_lists_once() -> None:
    """A list that two chains write to stands there once."""
    assert LISTS.egress == ["passed", "out"]


def test_dead_letter_lists() -> None:
    """Each ingress list and run list has one, and each storage, used or not."""
    assert LISTS.dead == [
        *("DLQ:a", "DLQ:b", "DLQ:run:first", "DLQ:passed", "DLQ:run:second"),
        *("DLQ:storage:shelf", "DLQ:storage:cellar"),
    ]


def test_egress_lists_with_and_without_a_reader() -> None:
    """A list that a chain reads, be it disabled, is passed on; others are handed out."""
    assert (LISTS.passed_on, LISTS.handed_out) == (["passed"], ["out"])


def test_all_of_them_once() -> None:
    """A list that is both ingress and egress is one list."""
    assert sorted(LISTS.all) == sorted(
        {*LISTS.ingress, *LISTS.egress, *LISTS.dead, *LISTS.withheld}
    )


def test_an_empty_configuration_has_no_lists() -> None:
    """Without chains and storages there is nothing."""
    assert lists_of(PipelineConfig()).all == []
