"""Wrong passwords are counted, and the attempts of others do not lock the operator out."""

from __future__ import annotations

import pytest

from http_api.console.throttle import IN_TOTAL, MOST_ADDRESSES, WINDOW, Throttle, network_of


class Clock:
    """A clock that stands still."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock of the throttle."""
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> Throttle:
    """Three failures of an address in a minute."""
    return Throttle(3, clock)


def test_failures_of_an_address(throttle: Throttle, clock: Clock) -> None:
    """The third one is the last for a minute; other addresses go on."""
    for _ in range(2):
        throttle.failed("192.0.2.1")
    assert throttle.wait("192.0.2.1") == 0
    clock.now += 10
    throttle.failed("192.0.2.1")
    assert throttle.wait("192.0.2.1") == 51
    assert throttle.wait("192.0.2.2") == 0
    clock.now += 51
    assert throttle.wait("192.0.2.1") == 0


def test_failures_in_total(throttle: Throttle, clock: Clock) -> None:
    """Of many addresses; one from which a sign-in succeeded is not affected by the others."""
    throttle.succeeded("198.51.100.7")
    for number in range(3 * IN_TOTAL):
        throttle.failed(f"192.0.2.{number}")
    assert throttle.wait("203.0.113.9") > 0
    assert throttle.wait("198.51.100.7") == 0
    clock.now += WINDOW + 1
    assert throttle.wait("203.0.113.9") == 0


def test_what_is_remembered_is_bounded(throttle: Throttle) -> None:
    """However many addresses try."""
    for number in range(MOST_ADDRESSES + 100):
        throttle.failed(f"2001:db8:{number // 65536:x}:{number % 65536:x}::1")
    assert len(throttle._failures) == MOST_ADDRESSES


def test_a_client_has_one_network() -> None:
    """The lower half of an IPv6 address is the client's to choose."""
    assert network_of("2001:db8::1") == network_of("2001:db8::2:3")
    assert network_of("2001:db8::1") != network_of("2001:db8:0:1::1")
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("no address") == network_of("") == ""
