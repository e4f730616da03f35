# server/storage/api_storage/__init__.py

import requests
from tenacity import retry, stop_after_attempt, wait_exponential
from lib.logging_utils import init_logger
from server.lib.vcon_redis import VconRedis

logger = init_logger(__name__)

default_options = {
    "base_url": "https://api.example.com",
    "api_key": "",
    "timeout": 30
}

@retry(
    stop=stop_after_attempt(3),
    wait=wait_exponential(multiplier=1, max=10)
)
def _make_request(method, url, **kwargs):
    """Make HTTP request with retry."""
    response = requests.request(method, url, **kwargs)
    response.raise_for_status()
    return response

def save(vcon_uuid, opts=default_options):
    """Save vCon via API."""
    options = {**default_options, **opts}
    
    vcon_redis = VconRedis()
    vcon = vcon_redis.get_vcon(vcon_uuid)
    
    _make_request(
        "POST",
        f"{options['base_url']}/vcons",
        headers={
            "Authorization": f"Bearer {options['api_key']}",
            "Content-Type": "application/json"
        },
        json=vcon.to_dict(),
        timeout=options["timeout"]
    )
    
    logger.info(f"Saved {vcon_uuid} via API")

def get(vcon_uuid, opts=default_options):
    """Retrieve vCon via API."""
    options = {**default_options, **opts}
    
    try:
        response = _make_request(
            "GET",
            f"{options['base_url']}/vcons/{vcon_uuid}",
            headers={"Authorization": f"Bearer {options['api_key']}"},
            timeout=options["timeout"]
        )
        return response.json()
    except requests.HTTPError as e:
        if e.response.status_code == 404:
            return None
        raise

def delete(vcon_uuid, opts=default_options):
    """Delete vCon via API."""
    options = {**default_options, **opts}
    
    try:
        _make_request(
            "DELETE",
            f"{options['base_url']}/vcons/{vcon_uuid}",
            headers={"Authorization": f"Bearer {options['api_key']}"},
            timeout=options["timeout"]
        )
        return True
    except requests.HTTPError as e:
        if e.response.status_code == 404:
            return False
        raise
