"""What the `vcon` library, which most links use, makes of our canonical documents."""

import copy
import json
import logging
import warnings
from pathlib import Path

import pytest

from lib import vcon_library
from pipeline.document import normalised
from pipeline.document_findings import findings

FOLDER = Path(__file__).parents[2] / "samples"
SAMPLES = {path.stem: json.loads(path.read_bytes()) for path in sorted(FOLDER.glob("*.json"))}
UUID = "0190163d-8694-739b-aea5-966c26f8ad91"


@pytest.fixture(scope="module")
def vcon_class():
    """The library's class, without the deprecation warning and the log lines of its import."""
    with warnings.catch_warnings():
        library = vcon_library.vcon_class()
    logger = logging.getLogger("vcon")
    level = logger.level
    logger.setLevel(logging.ERROR)
    yield library
    logger.setLevel(level)


def with_attachments(*attachments):
    """A vCon of 0.0.1 that holds nothing else."""
    return {
        "vcon": "0.0.1",
        "uuid": UUID,
        "created_at": "2024-05-01T10:00:00Z",
        "attachments": list(attachments),
    }


def tagged(vcon_class, document):
    """The document after the library has added one tag to a copy (it edits what it is given)."""
    vcon = vcon_class(copy.deepcopy(document))
    vcon.add_tag("seen", "yes")
    return vcon.to_dict()


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_can_be_tagged_and_stored_again(vcon_class, name):
    """After normalising, add_tag works, keeps earlier tags, and its result is a fine vCon."""
    canonical = normalised(SAMPLES[name])
    stored = normalised(tagged(vcon_class, canonical))
    assert findings(stored) == []
    earlier = vcon_class(copy.deepcopy(canonical)).get_tag("queue")
    again = vcon_class(copy.deepcopy(stored))
    assert (again.get_tag("seen"), again.get_tag("queue")) == ("yes", earlier)
