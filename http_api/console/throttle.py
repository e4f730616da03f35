"""Wrong passwords are counted per address and in total, in this process.

Beyond either limit passwords are refused for the rest of a minute. Two rules keep the operator
from being locked out by the attempts of others: a secret of 16 characters or more, which cannot be
guessed at any rate, is accepted all the same; and the limit in total does not hold for addresses
from which a sign-in succeeded before.
"""

import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Callable

WINDOW = 60.0
"""Seconds in which failures are counted."""
IN_TOTAL = 10
"""The limit in total, in limits of one address."""
MOST_ADDRESSES = 10_000
"""Addresses with failures that are remembered."""
MOST_KNOWN = 1000
"""Addresses of successful sign-ins that are remembered."""
_SUBNET = 64
"""Bits of an IPv6 address that one client cannot choose."""


class Throttle:
    """Counts failures in a sliding window."""

    def __init__(self, per_address: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = per_address
        self._clock = clock
        self._total: deque[float] = deque(maxlen=per_address * IN_TOTAL)
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._known: OrderedDict[str, None] = OrderedDict()

    def wait(self, address: str) -> int:
        """Seconds until a password of this address is looked at; 0 if it is now."""
        place = network_of(address)
        own = self._left(self._failures.get(place))
        return own if place in self._known else max(own, self._left(self._total))

    def _left(self, failures: deque[float] | None) -> int:
        """Seconds until the oldest of the most allowed failures leaves the window."""
        if failures is None or len(failures) < (failures.maxlen or 0):
            return 0
        left = failures[0] + WINDOW - self._clock()
        return int(left) + 1 if left > 0 else 0

    def failed(self, address: str) -> None:
        """Count a wrong password."""
        place = network_of(address)
        failures = self._failures.pop(place, None) or deque(maxlen=self._limit)
        failures.append(self._clock())
        self._failures[place] = failures
        self._total.append(self._clock())
        while len(self._failures) > MOST_ADDRESSES:
            self._failures.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Remember an address from which a sign-in succeeded."""
        place = network_of(address)
        self._known.pop(place, None)
        self._known[place] = None
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)


def network_of(address: str) -> str:
    """The address, or the network of 64 bits of an IPv6 address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _SUBNET), strict=False))
