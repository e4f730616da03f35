"""How many search terms of a vCon are indexed."""

from pipeline.ingest.entry import TermLimits, indexed


def test_the_first_terms_that_fit_are_indexed() -> None:
    """The others are counted in warnings, and never quoted."""
    terms = ["tel:+1", "name:" + "n" * 11, "mailto:a@b.c:d", "name:Zoe", "tel:+2"]
    kept, warnings = indexed(terms, TermLimits(count=3, length=10))
    assert kept == ["tel:+1", "mailto:a@b.c:d", "name:Zoe"]
    assert warnings == [
        "parties: 1 search terms are longer than 10 characters and not indexed",
        "parties: 4 search terms, of which the first 3 are indexed",
    ]


def test_nothing_is_told_of_those_that_fit() -> None:
    """Up to the limits."""
    terms = [f"tel:{number}" for number in range(200)]
    assert indexed(terms, TermLimits()) == (terms, [])
    assert indexed(["name:" + "n" * 200], TermLimits()) == (["name:" + "n" * 200], [])
