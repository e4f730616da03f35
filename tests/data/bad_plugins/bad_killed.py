"""Leaves a lock in Redis when it is killed, which a second run does not pass."""

from lib.redis_mgr import get_client
from lib.vcon_redis import VconRedis


def run(vcon_uuid, link_name, opts):
    redis = get_client()
    if not redis.set(f"lock:{vcon_uuid}", "1", nx=True):
        raise RuntimeError("another run has it")
    try:
        VconRedis().get_vcon_dict(vcon_uuid)
        return vcon_uuid
    finally:
        redis.delete(f"lock:{vcon_uuid}")
