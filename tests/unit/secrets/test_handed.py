"""A child gets a secret that is not in its environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.secrets.handed import handed, received

ROOT = Path(__file__).parents[3]
READ = (
    "import sys; from core.secrets.handed import received as r; print(r(int(sys.argv[1])), end='')"
)


@pytest.mark.parametrize("secret", ["p4ss wörd", "x" * 200_000])
def test_a_child_reads_it(secret: str) -> None:
    """Of any length; the parent keeps nothing open."""
    with handed(secret) as descriptors:
        [descriptor] = descriptors
        command = [sys.executable, "-c", READ, str(descriptor)]
        done = subprocess.run(
            command, pass_fds=descriptors, cwd=ROOT, capture_output=True, text=True, check=True
        )
    assert done.stdout == secret
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_nothing_is_handed_without_one() -> None:
    """No descriptor is inherited then."""
    with handed("") as descriptors:
        assert descriptors == []


def test_it_is_read_once() -> None:
    """The child closes the descriptor: nothing that it starts can read it."""
    with handed("p4ss") as [descriptor]:
        copy = os.dup(descriptor)
        assert received(copy) == "p4ss"
        with pytest.raises(OSError, match="Bad file descriptor"):
            received(copy)
