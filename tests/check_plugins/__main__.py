"""The command line; a module of its own, since subject processes import the main one again."""

import sys

from tests.check_plugins import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
