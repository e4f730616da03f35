"""`python -m tests`: the whole suite, in as many processes as there are cores."""

import sys

import pytest

SIDE_BY_SIDE = ("--numprocesses=auto", "--maxprocesses=4", "--dist=worksteal")

if __name__ == "__main__":
    sys.exit(pytest.main(sys.argv[1:] or [*SIDE_BY_SIDE, "tests"]))
