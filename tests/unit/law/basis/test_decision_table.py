"""Every row of the decision table, as the vCon came and as it is stored."""

import pytest

from pipeline.law.basis.evaluation import evaluate
from pipeline.vcon.normalization import normalised, outgoing
from tests.unit.law.basis.bodies import NOW, as_text
from tests.unit.law.basis.decision_table import ROWS, Row, policy_of


def decided(row, document):
    """The error that a row ends in, None if the vCon may be used."""
    moment = NOW + row.later
    found = evaluate(document, "transcription", moment, policy_of(row), row.records)
    assert found.allowed is (found.error is None)
    return found.error


def test_the_table_has_each_row_of_the_design():
    """Row 1 is a step without `requires`, at which the gate is not asked."""
    assert {row.number for row in ROWS} == set(range(2, 60))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.number))
def test_a_row(row):
    """A row ends as the table says, with the vCon as it came."""
    assert decided(row, row.document) == row.error


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.number))
def test_a_row_with_its_bodies_as_text(row):
    """A row ends in the same way with JSON bodies as text, as vCons are stored."""
    stored = [
        as_text(each) if isinstance(each["body"], dict | list) else each
        for each in row.document["attachments"]
    ]
    assert decided(row, {**row.document, "attachments": stored}) == row.error


@pytest.mark.parametrize("form", ["0.4.0-text", "0.4.0", "0.0.1"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.number))
def test_a_row_after_it_was_normalised_and_given_another_form(row, form):
    """Nothing that may hold a denial is lost between the door, the gate and egress."""
    assert decided(row, outgoing(normalised(row.document), form)) == row.error


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.before != Row._field_defaults["before"]]
)
def test_a_row_in_the_middle_of_a_chain_was_allowed_before(row):
    """The steps before an expiry, and before a revocation, were allowed."""
    found = evaluate(row.document, "transcription", NOW, policy_of(row))
    assert found.error == row.before
