# server/storage/my_database/__init__.py

import psycopg2
from contextlib import contextmanager
from lib.logging_utils import init_logger
from server.lib.vcon_redis import VconRedis

logger = init_logger(__name__)

default_options = {
    "host": "localhost",
    "port": 5432,
    "database": "vcons",
    "user": "vcon",
    "password": ""
}

@contextmanager
def get_connection(opts):
    """Context manager for database connections."""
    conn = psycopg2.connect(
        host=opts["host"],
        port=opts["port"],
        database=opts["database"],
        user=opts["user"],
        password=opts["password"]
    )
    try:
        yield conn
    finally:
        conn.close()

def save(vcon_uuid, opts=default_options):
    """Save vCon to database."""
    options = {**default_options, **opts}
    
    vcon_redis = VconRedis()
    vcon = vcon_redis.get_vcon(vcon_uuid)
    
    with get_connection(options) as conn:
        with conn.cursor() as cur:
            cur.execute(
                """
                INSERT INTO vcons (uuid, data, created_at)
                VALUES (%s, %s, %s)
                ON CONFLICT (uuid) DO UPDATE SET data = %s
                """,
                (vcon_uuid, vcon.dumps(), vcon.created_at, vcon.dumps())
            )
        conn.commit()
    
    logger.info(f"Saved {vcon_uuid} to database")

def get(vcon_uuid, opts=default_options):
    """Retrieve vCon from database."""
    options = {**default_options, **opts}
    
    with get_connection(options) as conn:
        with conn.cursor() as cur:
            cur.execute(
                "SELECT data FROM vcons WHERE uuid = %s",
                (vcon_uuid,)
            )
            row = cur.fetchone()
    
    if row:
        import json
        return json.loads(row[0])
    return None

def delete(vcon_uuid, opts=default_options):
    """Delete vCon from database."""
    options = {**default_options, **opts}
    
    with get_connection(options) as conn:
        with conn.cursor() as cur:
            cur.execute(
                "DELETE FROM vcons WHERE uuid = %s",
                (vcon_uuid,)
            )
            deleted = cur.rowcount > 0
        conn.commit()
    
    return deleted
