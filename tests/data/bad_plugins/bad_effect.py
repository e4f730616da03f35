"""Declares that it changes nothing else, and counts in Redis."""

from lib.redis_mgr import get_client

effect = "pure"


def run(vcon_uuid, link_name, opts):
    get_client().incr("bad_plugins:count")
    return vcon_uuid
