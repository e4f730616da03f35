"""Fixtures of integration tests that the acceptance tests of the law use, too."""

from tests.integration.db.ingress_rows import migrated
from tests.integration.support.vendors_scene import bucket, s3_resource, s3_url

__all__ = ["bucket", "migrated", "s3_resource", "s3_url"]
