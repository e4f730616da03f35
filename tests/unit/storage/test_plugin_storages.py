"""What the built-in storages work out before they touch a disk or a database."""

import json
from datetime import datetime
from typing import Any

import pytest

from lib.vcon.fields import created_at
from storage.file import delete, get, permissions
from storage.postgres.table import row, statements

VCON: dict[str, Any] = {
    "vcon": "0.4.0",
    "uuid": "01969fec-84c0-7b2e-99ff-530784d0c3f0",
    "created_at": "2025-05-05T23:30:00-02:00",
    "subject": "Bike",
}


@pytest.mark.parametrize("value", [0o644, "0o644", "644", "0644"])
def test_permissions_are_a_number_or_octal_text(value: object) -> None:
    """YAML reads `0o644` as a text and `0644` as a number."""
    assert permissions(value) == 0o644


@pytest.mark.parametrize("value", [644, -1, "rw-r--r--", "0o999", None, True, 6.4])
def test_permissions_that_are_none_are_refused(value: object) -> None:
    """Even the number 644, which is 0o1204 and not what was meant."""
    with pytest.raises(ValueError, match='such as "0o644"'):
        permissions(value)


@pytest.mark.parametrize(
    "uuid", ["../x", "a/b", "..", ".hidden", "", "*", "a?", "[a]", "a\0b", "a\nb", "a\\b"]
)
def test_a_uuid_that_could_lead_elsewhere_is_refused(uuid: str) -> None:
    """Neither a path nor a pattern gets as far as the disk."""
    for function in (get, delete):
        with pytest.raises(ValueError, match="not a uuid"):
            function(uuid, {"path": "/nonexistent"})


@pytest.mark.parametrize("name", ["vcons", "Vcons_2", "archive.vcons", "_x$"])
def test_a_table_name_is_quoted(name: str) -> None:
    """With or without a schema, and in its own capitals."""
    quoted = ".".join(f'"{part}"' for part in name.split("."))
    assert statements(name).name == quoted
    assert f"INTO {quoted} (".encode() in statements(name).upsert


@pytest.mark.parametrize("name", ["", "a.b.c", 'v"; DROP TABLE x; --', "1st", "a b", "x" * 64])
def test_what_cannot_be_a_table_name_is_refused(name: str) -> None:
    """Before it is anywhere near a statement."""
    with pytest.raises(ValueError, match="not a valid table name"):
        statements(name)


def test_the_row_of_a_vcon_has_its_times_in_utc() -> None:
    """The columns have no time zone, so one is chosen."""
    values = row(VCON)
    assert values.created_at == datetime(2025, 5, 6, 1, 30)  # noqa: DTZ001 -- as the column is
    assert values.updated_at.tzinfo is None
    assert (str(values.id), values.vcon, values.subject) == (VCON["uuid"], "0.4.0", "Bike")
    assert json.loads(values.document) == VCON


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a\0b", "a\ufffdb"),
        ("\0\0", "\ufffd\ufffd"),
        ("\\u0000", "\\u0000"),
        ("\\\0", "\\\ufffd"),
        ("\\\\u0000\0", "\\\\u0000\ufffd"),
    ],
)
def test_nul_characters_are_replaced_and_text_that_looks_like_one_is_not(
    text: str, kept: str
) -> None:
    """PostgreSQL holds a backslash and a `u0000` behind it, but no NUL; names count too."""
    values = row({**VCON, "subject": text, text: [text]})
    assert values.subject == kept
    assert json.loads(values.document) == {**VCON, "subject": kept, kept: [kept]}


@pytest.mark.parametrize(("subject", "kept"), [(None, None), ({"a": 1}, None), ("", "")])
def test_a_subject_that_is_no_text_is_none(subject: object, kept: str | None) -> None:
    """The column is for finding vCons by; the document keeps it as it is."""
    assert row({**VCON, "subject": subject}).subject == kept


def test_a_date_that_cannot_be_read_does_not_keep_a_vcon_from_being_stored() -> None:
    """The column may not be null, so it gets the time of saving."""
    values = row({**VCON, "created_at": "yesterday"})
    assert values.created_at == values.updated_at


def test_created_at_is_in_utc_or_unknown() -> None:
    """Any form of it in use; None rather than an exception for anything else."""
    moment = created_at(VCON)
    assert moment is not None
    assert moment.isoformat() == "2025-05-06T01:30:00+00:00"
    assert created_at({"created_at": "yesterday"}) is None
    assert created_at({}) is None
