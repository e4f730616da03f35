"""`python -m flowlang`."""

import sys

from flowlang.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
