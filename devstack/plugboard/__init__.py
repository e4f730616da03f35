"""A development Plugboard: a scriptable server with the measured behaviour of the real one."""

from devstack.plugboard.board.board import Counters, NoConsumersError
from devstack.plugboard.board.directory import AccountToken, Service, Token
from devstack.plugboard.board.faults import Faults
from devstack.plugboard.connections.consumer_connection import ConsumerConnection
from devstack.plugboard.load import Load, drive
from devstack.plugboard.server import DevelopmentPlugboard
from devstack.plugboard.settings import PlugboardSettings, Variant

__all__ = [
    "AccountToken",
    "ConsumerConnection",
    "Counters",
    "DevelopmentPlugboard",
    "Faults",
    "Load",
    "NoConsumersError",
    "PlugboardSettings",
    "Service",
    "Token",
    "Variant",
    "drive",
]
