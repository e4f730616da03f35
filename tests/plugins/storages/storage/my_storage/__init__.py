# server/storage/my_storage/__init__.py

import json
import os
from lib.logging_utils import init_logger
from server.lib.vcon_redis import VconRedis

logger = init_logger(__name__)

default_options = {
    "path": "/data/vcons",
    "file_extension": ".json"
}

def save(vcon_uuid, opts=default_options):
    """Save vCon to file system."""
    options = {**default_options, **opts}
    
    # Get vCon from Redis
    vcon_redis = VconRedis()
    vcon = vcon_redis.get_vcon(vcon_uuid)
    
    if vcon is None:
        logger.error(f"vCon not found: {vcon_uuid}")
        raise ValueError(f"vCon not found: {vcon_uuid}")
    
    # Ensure directory exists
    os.makedirs(options["path"], exist_ok=True)
    
    # Write to file
    file_path = os.path.join(
        options["path"],
        f"{vcon_uuid}{options['file_extension']}"
    )
    
    with open(file_path, 'w') as f:
        json.dump(vcon.to_dict(), f, indent=2)
    
    logger.info(f"Saved {vcon_uuid} to {file_path}")

def get(vcon_uuid, opts=default_options):
    """Retrieve vCon from file system."""
    options = {**default_options, **opts}
    
    file_path = os.path.join(
        options["path"],
        f"{vcon_uuid}{options['file_extension']}"
    )
    
    if not os.path.exists(file_path):
        logger.debug(f"vCon not found: {file_path}")
        return None
    
    with open(file_path, 'r') as f:
        data = json.load(f)
    
    logger.debug(f"Retrieved {vcon_uuid} from {file_path}")
    return data

def delete(vcon_uuid, opts=default_options):
    """Delete vCon from file system."""
    options = {**default_options, **opts}
    
    file_path = os.path.join(
        options["path"],
        f"{vcon_uuid}{options['file_extension']}"
    )
    
    if os.path.exists(file_path):
        os.remove(file_path)
        logger.info(f"Deleted {vcon_uuid} from {file_path}")
        return True
    
    return False
