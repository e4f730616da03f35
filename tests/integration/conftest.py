"""Fixtures that several files of integration tests share."""

from tests.integration.pipeline_fixtures import at_once, client, news, redis, scene

__all__ = ["at_once", "client", "news", "redis", "scene"]
