"""What the `vcon` library, which most links use, makes of our canonical documents."""

import copy
import json
import logging
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from lib import vcon_library
from pipeline.vcon.normalization import normalised
from pipeline.vcon.validation import findings

FOLDER = Path(__file__).parents[3] / "samples"
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


WITHOUT_LOGGER = """
import logging, sys
from importlib.util import find_spec
from lib.vcon_library import prepare
assert not any(map(find_spec, ("ffmpeg", "logger", "mutagen")))
prepare()
import logger, vcon, vcon.dialog
logging.basicConfig(format="%(name)s %(levelname)s %(message)s", stream=sys.stdout)
vcon.dialog.logger.error("from %s", "the library")
"""
WITH_LOGGER = """
import logging, sys
from lib.vcon_library import prepare
logging.basicConfig(level="ERROR", stream=sys.stdout)
handlers = logging.root.handlers[:]
prepare()
sys.path.append(sys.argv[1])  # as MODULES_DIR is, after `prepare`
import logger, vcon
assert logger.HERE and logging.root.handlers == handlers
"""


def ran(program: str, *arguments: str) -> tuple[int, str, str]:
    """A process's exit code, its output and its errors."""
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, cwd=FOLDER.parent, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_library_works_without_the_packages_that_are_left_out() -> None:
    """`import vcon` works, and what it would log with `logger` is logged as the library's."""
    assert ran(WITHOUT_LOGGER) == (0, "vcon ERROR from the library\n", "")


def test_a_logger_that_a_plugin_brought_configures_nothing(tmp_path: Path) -> None:
    """Its package is imported, but the process's logging stays."""
    (tmp_path / "logging.conf").write_text("[loggers]\nkeys=root\n")
    source = (
        f"import logging.config\nlogging.config.fileConfig({str(tmp_path)!r} + '/logging.conf')\n"
    )
    (tmp_path / "logger.py").write_text(f"{source}HERE = True\n")
    assert ran(WITH_LOGGER, str(tmp_path)) == (0, "", "")
