"""Adds its analysis again with every run."""

from lib.vcon_redis import VconRedis


def run(vcon_uuid, link_name, opts):
    redis = VconRedis()
    vcon = redis.get_vcon_dict(vcon_uuid)
    if vcon is None:
        return None
    entry = {"type": "count", "vendor": "bad", "body": str(len(vcon["dialog"])), "encoding": "none"}
    vcon["analysis"].append(entry)
    redis.store_vcon_dict(vcon)
    return vcon_uuid
