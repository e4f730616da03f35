"""Writes texts in ASCII."""

from lib.vcon_redis import VconRedis


def run(vcon_uuid, link_name, opts):
    redis = VconRedis()
    vcon = redis.get_vcon_dict(vcon_uuid)
    for member in ("dialog", "analysis"):
        for entry in vcon[member]:
            entry["body"] = str(entry.get("body", "")).encode("ascii", "replace").decode()
    vcon["subject"] = vcon["parties"][0]["name"] = "?"
    redis.store_vcon_dict(vcon)
    return vcon_uuid
