"""Tests of plugins in this checkout import vcon-server's names and `vcon` as the service can."""

from lib import aliases, vcon_library

aliases.install()
vcon_library.prepare()
