"""Fixtures of tests of erasures."""

from tests.integration.erasure.erasure_scene import erasing
from tests.integration.support.operator_scene import operator

__all__ = ["erasing", "operator"]
