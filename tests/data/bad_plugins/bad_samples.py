"""Expects that every vCon has a dialog."""

from lib.vcon_redis import VconRedis


def run(vcon_uuid, link_name, opts):
    vcon = VconRedis().get_vcon_dict(vcon_uuid)
    return vcon_uuid if vcon["dialog"][0] else None
