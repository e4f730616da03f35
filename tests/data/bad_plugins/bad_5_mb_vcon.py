"""Has room for small vCons only, by accident."""

from lib.vcon_redis import VconRedis


def run(vcon_uuid, link_name, opts):
    vcon = VconRedis().get_vcon_dict(vcon_uuid)
    sizes = {len(str(entry)) // 1_000_000: "small" for entry in vcon["attachments"][:1]}
    names = ["small", "medium"]
    return vcon_uuid if [names[len(str(vcon)) // 1_000_000] for _ in sizes] or not sizes else None
