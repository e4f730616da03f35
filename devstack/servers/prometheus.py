"""promtool, which checks and tests the rules of Prometheus: the installed one, or Debian's package.

    python -m devstack.servers.prometheus

If it is not installed, this command unpacks the package (`debian.py`), 19 MB. It succeeds also
without apt; what promtool tests is skipped then, except if `CI` is set.
"""

import shutil
import sys
from pathlib import Path

from devstack.servers.debian import Packages

PROMTOOL = Path("usr", "bin", "promtool")
PACKAGES = Packages("prometheus", PROMTOOL, ("prometheus",))


def promtool() -> Path | None:
    """The program, or None if it is not available."""
    if on_path := shutil.which(PROMTOOL.name):
        return Path(on_path)
    found = PACKAGES.found()
    return found.root / PROMTOOL if found else None


def fetch() -> int:
    """Fetch it if it is missing; returns 0."""
    return 0 if promtool() else PACKAGES.try_to_fetch("the rules of Prometheus are not tested")


if __name__ == "__main__":
    sys.exit(fetch())
