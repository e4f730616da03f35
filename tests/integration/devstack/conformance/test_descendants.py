"""Processes below another one, and those that have got their numbers since."""

from __future__ import annotations

import os
import subprocess

from devstack.conformance import descendants


def test_a_process_that_has_the_number_of_one_that_has_ended() -> None:
    """It is another program's: neither it nor what it has started is counted or killed."""
    this = descendants.process_of(os.getpid())
    assert this is not None
    with subprocess.Popen(["/bin/sleep", "600"]) as other:
        [found] = [each for each in descendants.below(this) if each.pid == other.pid]
        assert descendants.below(this._replace(began=this.began - 1)) == []
        ended = found._replace(began=found.began - 1)
        descendants.kill([ended])
        assert descendants.outliving([ended, found], 0) == [found]
        descendants.kill([found])
        assert other.wait() == -9
