"""Takes a peer that does not answer at once for one that has nothing to say."""

import select
import socket
from urllib.parse import urlsplit

from lib.vcon_redis import VconRedis


def run(vcon_uuid, link_name, opts):
    place = urlsplit(opts["url"])
    with socket.create_connection((place.hostname, place.port)) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        ready, _, _ = select.select([peer], [], [], opts.get("patience", 0.02))
    redis = VconRedis()
    vcon = redis.get_vcon_dict(vcon_uuid)
    vcon["subject"] = "answered" if ready else "silent"
    redis.store_vcon_dict(vcon)
    return vcon_uuid
