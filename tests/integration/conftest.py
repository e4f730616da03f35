"""Fixtures that several files of integration tests share."""

from tests.integration.flowlang_fixtures import database, database_config, mariadb_server
from tests.integration.ingress_rows import keys, ledger, migrated
from tests.integration.partner_scene import street
from tests.integration.pipeline_fixtures import at_once, client, news, redis, scene
from tests.integration.pooler_fixtures import pooled_settings, pooler
from tests.integration.tls_fixtures import certificates
from tests.integration.vendors_scene import s3_url, vendors, vendors_server

__all__ = [
    "at_once",
    "certificates",
    "client",
    "database",
    "database_config",
    "keys",
    "ledger",
    "mariadb_server",
    "migrated",
    "news",
    "pooled_settings",
    "pooler",
    "redis",
    "s3_url",
    "scene",
    "street",
    "vendors",
    "vendors_server",
]
