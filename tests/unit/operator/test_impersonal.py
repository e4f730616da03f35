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
    "tickets 4711, 4712, 4713",
    "INC0012345678, INC0012345679",
    "DE00370400440532013000",
    "the call of 2026-11-30 10:15",
    "asked @operations at 10:15",
    "moved at dot 4",
    "\u4e00\u6708",
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
    "DE89370400440532013000",
    "iban gb29nwbk60161331926819",
    "FR1420041010050500013M02606",
    "201\u200b555\u200b0123",
    "2\u200d0\u20601\ufeff5\u00ad5\u200e50123",
    "2\ufe0f\u20e30\ufe0f\u20e31\ufe0f\u20e35550123",
    "201\u00a0555\u202f0123",
    "201\u2043555\u20430123",
    "201\u00b7555\u20220123",
    "201 \u2022 555 \u2022 0123",
    "201_555_0123",
    "201,555,0123",
    "201;555:0123",
    "201'555'0123",
    "201~555|0123",
    "201\u3002555\u066c0123",
    "\u0968\u0966\u0967\u096b\u096b\u096b\u0966\u0967\u0968\u0969",
    "\u4e8c\u3007\u4e00\u4e94\u4e94\u4e94\u3007\u4e00\u4e8c\u4e09",
    "\u7535\u8bdd13812345678",
    "tel2015550123",
    "Telefon: 5550123",
    "call 555-0123",
    "ann@\u200bpeople.example",
    "j\u00f6rg@m\u00fcller.example",
    "\u7528\u6237@\u4f8b\u5b50.\u516c\u53f8",
    "ann (at) people.example",
    "ann[at]people.example",
    "ann at people dot example",
    "ann @ people.example",
    "mailto:ann",
    "ann%40people.example",
    "did:web:people.example:ann",
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
        ("name", "Ann Smith", "Mrs Sm\u200bith wrote"),
        ("name", "Ann Smith", "Mrs \uff33\uff4d\uff49\uff54\uff48 wrote"),
        ("tel", "4711", "asked by extension \u0664\u0667\u0661\u0661"),
        ("tel", "555-0123", "asked by 555_01\u00b723"),
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
