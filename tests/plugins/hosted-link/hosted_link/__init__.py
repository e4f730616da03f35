"""Alternative implementation using vcon-server utilities if available."""

import logging
from typing import Optional

# Try to import vcon-server utilities, fall back to direct implementation
try:
    from lib.vcon_redis import VconRedis
    from lib.logging_utils import init_logger
    USE_VCON_SERVER_UTILS = True
except ImportError:
    USE_VCON_SERVER_UTILS = False
    # Use direct Redis/vcon implementation (as shown above)
    import redis
    from redis.commands.json.path import Path
    import vcon

logger = logging.getLogger(__name__)
if USE_VCON_SERVER_UTILS:
    logger = init_logger(__name__)

default_options = {
    "option1": "default_value",
    "option2": 100,
}

def run(
    vcon_uuid: str,
    link_name: str,
    opts: dict = default_options
) -> Optional[str]:
    """Main link function."""
    logger.info(f"Starting {__name__}:{link_name} plugin for: {vcon_uuid}")
    
    merged_opts = default_options.copy()
    merged_opts.update(opts)
    opts = merged_opts
    
    if USE_VCON_SERVER_UTILS:
        # Use vcon-server utilities
        vcon_redis = VconRedis()
        vcon_obj = vcon_redis.get_vcon(vcon_uuid)
        if not vcon_obj:
            logger.error(f"vCon not found: {vcon_uuid}")
            return None
        
        # Your processing logic here
        
        vcon_redis.store_vcon(vcon_obj)
    else:
        # Use direct implementation
        redis_conn = get_redis_connection(opts)
        vcon_obj = get_vcon_from_redis(redis_conn, vcon_uuid)
        if not vcon_obj:
            logger.error(f"vCon not found: {vcon_uuid}")
            return None
        
        # Your processing logic here
        
        store_vcon_to_redis(redis_conn, vcon_obj)
    
    logger.info(f"Finished {__name__}:{link_name} plugin for: {vcon_uuid}")
    return vcon_uuid
