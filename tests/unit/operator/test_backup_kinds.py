"""Every key of the data model is restored, or left out on purpose."""

from __future__ import annotations

import re

import pytest

from pipeline.operator.backup.kinds import KINDS, Treatment, kind_of
from pipeline.redis_client import keys
from tests.unit.support.source_files import ROOT

ROW = re.compile(r"^\| (`[^|]+) \| [^|]*\b(?:JSON|STRING|LIST|HASH|SET|ZSET|ZSET,)\b", re.MULTILINE)
NAME = re.compile(r"`([^`]+)`")


def documented() -> list[str]:
    """An example of each key in docs/data-model.md."""
    text = (ROOT / "docs" / "data-model.md").read_text(encoding="utf-8")
    names = [name for cell in ROW.findall(text) for name in NAME.findall(cell)]
    return [re.sub(r"\{[^}]*\}", "x", name.replace("\\|", "|")) for name in names]


def test_every_key_of_the_data_model_has_a_row_here() -> None:
    """A new kind of key: say in `kinds.py` what a backup does with it."""
    names = [name for name in documented() if name != "VCON_SORTED_SET_NAME"]
    assert len(names) > 45
    assert [name for name in names if not kind_of(name).name] == []


@pytest.mark.parametrize("name", sorted({*keys.SHARED_TYPES, *keys._TYPES_BY_PREFIX}))
def test_every_key_of_the_code_has_a_row_here(name: str) -> None:
    """Those that the data model might lack."""
    assert kind_of(name if not name.endswith(":") else f"{name}x").name == name


def test_no_row_is_left_behind() -> None:
    """A kind that the data model does not have any more has no row, either."""
    known = {kind_of(name).name for name in documented()}
    others = {"vcon:", "pc:restoring:", "pc:session:"}
    assert {kind.name for kind in KINDS} - known - others == set()


def test_keys_of_other_programs_are_kept() -> None:
    """So are lists of the configuration, and keys that a later version adds."""
    for name in ("my_list", "", "pc:", "pc:later:x", "pc:tomorrow:x", "vcons2", "a:b:c", "\udcff"):
        assert kind_of(name).treatment is Treatment.KEEP
        assert kind_of(name).name == ""
