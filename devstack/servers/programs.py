"""`python -m devstack.servers.programs` fetches what tests need and no Python package contains.

All at once: most of the time goes into downloads. Each module has a command of its own, too.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from devstack.counterparts import python_vcon
from devstack.servers import chromium, mariadb, pgbouncer, prometheus

PROGRAMS = (chromium, mariadb, pgbouncer, prometheus, python_vcon)


def main() -> int:
    """Fetch what is missing; returns 0, since other tests can run without it."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda program: program.fetch(), PROGRAMS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
