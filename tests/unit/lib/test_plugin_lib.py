"""The small parts of `lib` that plugins written for vcon-server call."""

import logging

import pytest

from lib.logging_utils import init_logger
from lib.metrics import increment_counter, record_histogram


def test_init_logger_gives_the_logger_of_that_name_as_it_is() -> None:
    """No handler or level of its own: the service has set up logging already."""
    logger = init_logger("some.plugin")
    assert logger is logging.getLogger("some.plugin")
    assert logger.handlers == []
    assert logger.level == logging.NOTSET


@pytest.mark.parametrize("report", [increment_counter, record_histogram])
def test_metrics_take_vcon_servers_calls(report) -> None:
    """Positional or by name, with or without attributes."""
    report("conserver.link.example", 1)
    report("conserver.link.example", value=0.5, attributes={"link.name": "example"})
    report(metric_name="conserver.link.example", value=2, attributes=None)


def test_a_counter_may_be_incremented_without_a_value() -> None:
    """By one, once it is counted."""
    increment_counter("conserver.link.example")
    increment_counter("conserver.link.example", attributes={"link.name": "example"})
