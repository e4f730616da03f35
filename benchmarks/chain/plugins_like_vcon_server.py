"""A sync link as it would be written for vcon-server."""

from typing import Any

from lib.vcon_redis import VconRedis

default_options = {"tags": ["one"]}


def run(vcon_uuid: str, link_name: str, opts: dict[str, Any] = default_options) -> str:
    """Add tags through the vCon class."""
    vcon_redis = VconRedis()
    vcon: Any = vcon_redis.get_vcon(vcon_uuid)
    for tag in opts["tags"]:
        vcon.add_tag(tag_name=tag, tag_value=tag)
    vcon_redis.store_vcon(vcon)
    return vcon_uuid
