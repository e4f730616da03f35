"""Takes the first piece of an answer for the whole."""

import socket
from urllib.parse import urlsplit

from lib.vcon_redis import VconRedis


def run(vcon_uuid, link_name, opts):
    place = urlsplit(opts["url"])
    with socket.create_connection((place.hostname, place.port)) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = peer.recv(65536)
    redis = VconRedis()
    vcon = redis.get_vcon_dict(vcon_uuid)
    vcon["subject"] = "answered" if b" 200 " in answer else "no answer"
    redis.store_vcon_dict(vcon)
    return vcon_uuid
