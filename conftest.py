"""Tests of plugins that lie in this checkout may import vcon-server's names, as the service can."""

from lib import aliases

aliases.install()
