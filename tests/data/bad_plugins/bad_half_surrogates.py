"""Encodes texts that it has parsed, and does not expect that it fails."""

import json

from lib.vcon_redis import VconRedis


def run(vcon_uuid, link_name, opts):
    vcon = VconRedis().get_vcon_dict(vcon_uuid)
    for entry in vcon["analysis"]:
        heard = json.loads(entry["body"])["transcript"]
        try:
            heard.encode()
        except UnicodeEncodeError:
            vcon = None
    return vcon_uuid if vcon["analysis"] else None
