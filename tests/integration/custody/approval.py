"""A Redis that recovery has approved, without a recovery."""

from redis import Redis

from core.db.database import Database
from pipeline.redis_client import keys

IDENTITY = """
INSERT INTO redis_identity (number, name, server, generation, counter, seen_at, seen_by)
VALUES (1, 'test', '{server}', {generation}, 0, now(), 'test')
ON CONFLICT (number) DO UPDATE SET server = excluded.server, generation = excluded.generation
"""


def server_of(client: Redis) -> str:
    """What scripts call this server."""
    about = client.info("server") | client.info("replication")
    return f"{about['run_id']}:{about['master_replid']}"


def approve(client: Redis, database: Database, generation: int = 1) -> None:
    """Let this server run what is in custody, in this generation."""
    server = server_of(client)
    with database.transaction() as session:
        statement = IDENTITY.format(server=server, generation=generation)
        session.connection().exec_driver_sql(statement)
    client.hset(keys.EPOCH, mapping={"name": "test", "server": server, "generation": generation})
