"""All of vcon-server's hooks in one module, as its users write them; it tells Redis what it saw."""

import json

from lib.logging_utils import init_logger
from redis_mgr import redis

logger = init_logger(__name__)


def tell(what, *said):
    redis.rpush("told", json.dumps([what, *said]))


def before_processing(vcon_id, chain_details, context):
    tell("before", vcon_id, chain_details["name"], context["ingress_list"])
    if redis.sismember("unwanted", vcon_id):
        return None
    return vcon_id


def after_processing(vcon_id, chain_details, context, error=None):
    tell("after", vcon_id, str(error) if error else None)


def after_link(vcon_id, link_name, link_module, link_opts, link_hook_config, status, error, parties):
    audit = getattr(link_module, "AUDIT_META", {})
    tell("link", vcon_id, link_name, audit, link_hook_config, status, str(error or ""), parties)


def on_vcon_created(vcon_id, vcon_dict, ingress_lists):
    tell("created", vcon_id, vcon_dict["uuid"], ingress_lists)


def on_vcon_deleted(vcon_id):
    tell("deleted", vcon_id)
