"""Fixtures of the tests of the operator's commands."""

from tests.integration.support.operator_scene import operator

__all__ = ["operator"]
