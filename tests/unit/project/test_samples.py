import base64
import json
import re
import wave
from io import BytesIO
from pathlib import Path

import pytest

from pipeline.vcon.normalization import created_at_epoch, normalised, search_keys, to_legacy
from pipeline.vcon.validation import findings
from schemas.vcon import KNOWN_VERSIONS

FOLDER = Path(__file__).parents[3] / "samples"
SAMPLES = {path.stem: json.loads(path.read_bytes()) for path in sorted(FOLDER.glob("*.json"))}
CANONICAL = [name for name in SAMPLES if name.endswith("0.4.0")]


def test_there_are_enough_samples_and_every_version_is_among_them():
    """Two dozen or more, none of them twice, from every version that is read."""
    assert len(SAMPLES) >= 24
    assert {sample["vcon"] for sample in SAMPLES.values()} == KNOWN_VERSIONS
    assert len({json.dumps(sample, sort_keys=True) for sample in SAMPLES.values()}) == len(SAMPLES)


def test_no_two_samples_share_a_uuid():
    """All samples can be stored side by side."""
    assert len({normalised(sample)["uuid"] for sample in SAMPLES.values()}) == len(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_name_of_a_sample_ends_in_its_version(name):
    """A file says what it holds: its shape, then the version inside."""
    assert re.fullmatch(r"[a-z0-9-]+", name.removesuffix(f"-{SAMPLES[name]['vcon']}"))
    assert name.endswith(f"-{SAMPLES[name]['vcon']}")


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_has_no_error_before_or_after(name):
    """Every sample is accepted, and its canonical form has not even a warning."""
    assert not [str(finding) for finding in findings(SAMPLES[name]) if finding.refuses]
    assert findings(normalised(SAMPLES[name])) == []


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_can_be_indexed_and_sent_back_to_0_0_1(name):
    """Its time is known, its parties can be found, its old form is accepted again."""
    canonical = normalised(SAMPLES[name])
    assert created_at_epoch(canonical) > 1.6e9
    assert search_keys(canonical) == search_keys(SAMPLES[name])
    assert not any(finding.refuses for finding in findings(to_legacy(canonical, "0.0.1")))


@pytest.mark.parametrize("name", CANONICAL)
def test_a_canonical_sample_stays_as_it_is(name):
    """Normalisation finds nothing to do in a 0.4.0 sample."""
    assert normalised(SAMPLES[name]) == SAMPLES[name]


def test_the_inline_recordings_are_sound():
    """The inline bodies are WAV files that a player opens, as long as the sample says."""
    inline = [
        dialog
        for sample in SAMPLES.values()
        for dialog in sample.get("dialog") or []
        if dialog.get("encoding") == "base64url"
    ]
    assert len(inline) >= 2
    for dialog in inline:
        data = base64.urlsafe_b64decode(dialog["body"] + "==")
        with wave.open(BytesIO(data)) as recording:
            assert recording.getnframes() / recording.getframerate() == dialog["duration"]


def test_one_sample_is_large():
    """At least one is big enough for sizes to matter."""
    assert max(path.stat().st_size for path in FOLDER.glob("*.json")) > 50_000


def test_the_readme_lists_every_sample_and_nothing_else():
    """The table in the folder's README is the folder."""
    readme = (FOLDER / "README.md").read_text("utf-8")
    listed = re.findall(r"^\| `([^`]+)\.json`", readme, re.MULTILINE)
    assert sorted(listed) == sorted(SAMPLES)


def test_every_maker_is_in_the_readme_of_the_makers():
    """By its name, or by that of its family; nothing else is in the folder."""
    makers = FOLDER / "makers"
    told = re.findall(r"`([a-z0-9.*-]+)`", (makers / "README.md").read_text("utf-8"))
    families = tuple(name.rstrip("*") for name in told if name.endswith("*"))
    names = [path.stem for path in makers.glob("*.json")]
    assert len(names) >= 30
    assert [name for name in names if name not in told and not name.startswith(families)] == []
    assert {path.suffix for path in makers.iterdir()} == {".json", ".md"}
