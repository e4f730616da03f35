"""Which texts the audit may keep: references and words, no numbers and addresses of people."""

from __future__ import annotations

import pytest

from schemas.operator.law.impersonal import names, objection

KEPT = [
    "request of 30 November",
    "REQ-2026-000123456",
    "INC0012345678",
    "case #20261130",
    "ticket 4711234",
    "2026-11-30 10:15:00 2026-12-01",
    "30.11.2026, 14:00",
    "logs of 2026-11-01/2026-11-30",
    "01.11. - 30.11.2026",
    "1.-30.11.2026",
    "01.11.2026\u201330.11.2026, 9:00",
    "30.11.26 - 02.12.26",
    "11/30/2026 - 12/02/2026",
    "INC-2026-114203 and ticket #4711/2026",
    "Art. 17(1)(b) GDPR, C-131/12",
    "since 1.2.3 on 10.0.0.1:8080",
    "2026-11-30T12:00:00.123+01:00",
    "vCon 0193a5f0-0000-7000-8000-000000000001",
    "the Redis at 192.168.100.123 was replaced",
    "@operations asked",
    "Art. 17 (3) b",
    "a claim of 2026",
]
REFUSED = [
    "asked by (201) 555-0123",
    "asked by +1 201 555 0123",
    "tel:2015550123",
    "tel.2015550123",
    "+4930123",
    "0049 30 12345",
    "call 030/1234-5678",
    "01.23.45.67.89",
    "030.123.45.67",
    "+49.30.123.45",
    "201.555.01.23",
    "55/99/2015 55",
    "44.55.66 77.88",
    "2015-55-0123",
    "DE89 3704 0044 0532 0130 00",
    "2026-11-30 2015550123",
    "201\u2011555\u20110123",
    "\uff0b\uff11\uff12\uff10\uff11\uff15\uff15\uff15\uff10\uff11\uff12\uff13",
    "\u0662\u0660\u0661\u0665\u0665\u0665\u0660\u0661\u0662\u0663",
    "letter of ann@people.example",
    "<ann@people.example>",
    "sip:ann@localhost",
    "ann\uff20people.example",
]


@pytest.mark.parametrize("text", KEPT)
def test_a_reference_is_kept(text: str) -> None:
    """Words, dates, tickets, uuids and addresses of machines."""
    assert objection(text) is None


@pytest.mark.parametrize("text", REFUSED)
def test_a_number_or_address_is_refused(text: str) -> None:
    """In each spelling; the answer does not repeat it, and says what to write instead."""
    problem = objection(text)
    assert problem is not None
    assert "REQ-4711" in problem
    assert text not in problem


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("name", "Ann Smith", "Mrs SMITH wrote a letter"),
        ("name", "Ann Smith", "for ann, by letter"),
        ("name", "Bjørn Ås", "asked by bjørn"),
        ("tel", "4711", "asked by extension 4711"),
        ("tel", "555-0123", "asked by 5550123"),
        ("mailto", "ann.smith@people.example", "a letter of ann.smith"),
    ],
)
def test_the_value_that_was_searched_is_refused(field: str, value: str, text: str) -> None:
    """Also in parts, and where it looks like nothing."""
    assert objection(text) is None
    assert names(text, [(field, value)])


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("name", "Ann Smith", "an annual smithy"),
        ("name", "J. D.", "j d"),
        ("tel", "+12015550123", "request of 30 November"),
        ("mailto", "an@people.example", "an answer"),
    ],
)
def test_other_words_are_kept(field: str, value: str, text: str) -> None:
    """Words that have a part of the value in them, and very short parts."""
    assert names(text, [(field, value)]) is None
