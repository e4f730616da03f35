"""Fixtures that several files of integration tests share."""

from tests.integration.db.ingress_rows import keys, ledger, migrated
from tests.integration.db.pooler_fixtures import pooled_settings, pooler
from tests.integration.flowlang.flowlang_fixtures import database, database_config, mariadb_server
from tests.integration.runs.lists_scene import lists
from tests.integration.support.partner_scene import apis
from tests.integration.support.pipeline_fixtures import at_once, client, news, redis, scene
from tests.integration.support.tls_fixtures import certificates
from tests.integration.support.vendors_scene import (
    bucket,
    s3_resource,
    s3_url,
    store,
    vendors,
    vendors_server,
)

__all__ = [
    "apis",
    "at_once",
    "bucket",
    "certificates",
    "client",
    "database",
    "database_config",
    "keys",
    "ledger",
    "lists",
    "mariadb_server",
    "migrated",
    "news",
    "pooled_settings",
    "pooler",
    "redis",
    "s3_resource",
    "s3_url",
    "scene",
    "store",
    "vendors",
    "vendors_server",
]
