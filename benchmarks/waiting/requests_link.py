"""A sync link that calls a server with `requests`, as it would be written for vcon-server."""

from typing import Any

import requests

from lib.vcon_redis import VconRedis

default_options = {"url": ""}


def run(vcon_uuid: str, link_name: str, opts: dict[str, Any] = default_options) -> str:
    """Send the vCon and keep the answer's status as a tag."""
    redis = VconRedis()
    vcon: Any = redis.get_vcon(vcon_uuid)
    answer = requests.post(opts["url"], json=vcon.to_dict(), timeout=60)
    answer.raise_for_status()
    vcon.add_tag(tag_name="sent", tag_value=str(answer.status_code))
    redis.store_vcon(vcon)
    return vcon_uuid
