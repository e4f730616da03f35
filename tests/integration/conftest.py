"""Fixtures that several files of integration tests share."""

from tests.integration.pipeline_fixtures import at_once, client, news, redis, scene
from tests.integration.vendors_scene import _vendors_server, s3_url, vendors

__all__ = ["_vendors_server", "at_once", "client", "news", "redis", "s3_url", "scene", "vendors"]
