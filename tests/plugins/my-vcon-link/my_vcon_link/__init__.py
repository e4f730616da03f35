"""My Custom vCon Link

A link that processes vCon objects for the vCon server.
"""

import logging
from typing import Optional
import redis
from redis.commands.json.path import Path
import vcon

# Initialize logger
logger = logging.getLogger(__name__)

# Default configuration options
default_options = {
    "option1": "default_value",
    "option2": 100,
    "redis_host": "localhost",
    "redis_port": 6379,
    "redis_db": 0,
}


def get_redis_connection(opts: dict):
    """Get Redis connection based on options.
    
    Args:
        opts: Configuration options that may include redis_host, redis_port, redis_db
        
    Returns:
        Redis connection object
    """
    host = opts.get("redis_host", "localhost")
    port = opts.get("redis_port", 6379)
    db = opts.get("redis_db", 0)
    
    return redis.Redis(host=host, port=port, db=db, decode_responses=False)


def get_vcon_from_redis(redis_conn, vcon_uuid: str) -> Optional[vcon.Vcon]:
    """Retrieve a vCon from Redis.
    
    Args:
        redis_conn: Redis connection object
        vcon_uuid: UUID of the vCon to retrieve
        
    Returns:
        vCon object or None if not found
    """
    try:
        vcon_dict = redis_conn.json().get(f"vcon:{vcon_uuid}", Path.root_path())
        if not vcon_dict:
            return None
        return vcon.Vcon(vcon_dict)
    except Exception as e:
        logger.error(f"Error retrieving vCon {vcon_uuid} from Redis: {e}")
        return None


def store_vcon_to_redis(redis_conn, vcon_obj: vcon.Vcon) -> bool:
    """Store a vCon to Redis.
    
    Args:
        redis_conn: Redis connection object
        vcon_obj: vCon object to store
        
    Returns:
        True if successful, False otherwise
    """
    try:
        key = f"vcon:{vcon_obj.uuid}"
        vcon_dict = vcon_obj.to_dict()
        redis_conn.json().set(key, Path.root_path(), vcon_dict)
        return True
    except Exception as e:
        logger.error(f"Error storing vCon {vcon_obj.uuid} to Redis: {e}")
        return False


def run(
    vcon_uuid: str,
    link_name: str,
    opts: dict = default_options
) -> Optional[str]:
    """Main link function - required interface for vCon server links.
    
    This function is called by the vCon server to process a vCon through this link.
    
    Args:
        vcon_uuid: UUID of the vCon to process
        link_name: Name of this link instance (from config)
        opts: Configuration options for this link (merged with defaults)
        
    Returns:
        vcon_uuid (str) if processing should continue, None to stop the chain
        
    Raises:
        Exception: If processing fails and chain should stop
    """
    module_name = __name__.split(".")[-1]
    logger.info(f"Starting {module_name}:{link_name} plugin for: {vcon_uuid}")
    
    # Merge provided options with defaults
    merged_opts = default_options.copy()
    merged_opts.update(opts)
    opts = merged_opts
    
    # Get Redis connection
    redis_conn = get_redis_connection(opts)
    
    # Retrieve vCon from Redis
    vcon_obj = get_vcon_from_redis(redis_conn, vcon_uuid)
    if not vcon_obj:
        logger.error(f"vCon not found: {vcon_uuid}")
        return None
    
    # TODO: Add your processing logic here
    # Example: Add a tag
    # vcon_obj.add_tag(tag_name="processed_by", tag_value=link_name)
    
    # Example: Add analysis
    # vcon_obj.add_analysis(
    #     type="custom_analysis",
    #     dialog=None,  # None for vCon-level analysis
    #     vendor="my_vendor",
    #     body={"result": "processed"},
    #     encoding="json"
    # )
    
    # Example: Process each dialog
    # for index, dialog in enumerate(vcon_obj.dialog):
    #     # Process dialog
    #     pass
    
    # Store updated vCon back to Redis
    if not store_vcon_to_redis(redis_conn, vcon_obj):
        logger.error(f"Failed to store vCon: {vcon_uuid}")
        return None
    
    logger.info(f"Finished {module_name}:{link_name} plugin for: {vcon_uuid}")
    return vcon_uuid
