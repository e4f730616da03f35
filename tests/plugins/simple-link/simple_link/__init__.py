import logging
from typing import Optional
import redis
from redis.commands.json.path import Path
import vcon

logger = logging.getLogger(__name__)

default_options = {
    "redis_host": "localhost",
    "redis_port": 6379,
}

def run(vcon_uuid: str, link_name: str, opts: dict = default_options) -> Optional[str]:
    logger.info(f"Processing {vcon_uuid} with {link_name}")
    
    opts = {**default_options, **opts}
    redis_conn = redis.Redis(host=opts["redis_host"], port=opts["redis_port"])
    
    vcon_dict = redis_conn.json().get(f"vcon:{vcon_uuid}", Path.root_path())
    if not vcon_dict:
        logger.error(f"vCon not found: {vcon_uuid}")
        return None
    
    vcon_obj = vcon.Vcon(vcon_dict)
    
    # Add a simple tag
    vcon_obj.add_tag(tag_name="processed", tag_value="true")
    
    redis_conn.json().set(f"vcon:{vcon_uuid}", Path.root_path(), vcon_obj.to_dict())
    
    return vcon_uuid
