"""`python -m flowlang`."""

import sys

from flowlang.cli import main

if __name__ == "__main__":
    sys.exit(main())
