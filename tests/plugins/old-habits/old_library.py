"""A link that uses vcon-server's library beside `lib.vcon_redis`: settings, config, storages."""

import json

import settings
from config import Configuration, get_config, get_start_method, get_vcon_concurrency, get_worker_count
from config import is_parallel_storage_enabled
from dlq_utils import get_ingress_list_dlq_name
from lib.error_tracking import capture_exception, init_sentry
from lib.phone_number_utils import get_e164_number
from lib.queue_metrics import register_ingress_list_length_gauge, register_redis_memory_gauge
from lib.tracing import init_tracing
from lib.vcon_compat import normalize_legacy_fields
from lib.vcon_redis import VconRedis
from redis_mgr import redis
from settings import CONSERVER_HEADER_NAME, VCON_REDIS_EXPIRY, VCON_SORTED_SET_NAME
from storage.base import Storage
from storage.file import exists, list_vcons
import vcon_hook

init_sentry()
init_tracing()
register_ingress_list_length_gauge(redis)
register_redis_memory_gauge(redis)

default_options = {"storage": "shelf"}


def run(vcon_uuid, link_name, opts=default_options):
    try:
        Storage("nowhere")
    except KeyError as e:
        capture_exception(e)
    shelf = Storage(opts["storage"])
    shelf.save(vcon_uuid)
    stored = normalize_legacy_fields(shelf.get(vcon_uuid))
    vcon_hook.on_vcon_created(vcon_uuid, stored, None)
    where = get_config()["storages"][opts["storage"]]["options"]
    vcon_redis = VconRedis()
    vcon = vcon_redis.get_vcon(vcon_uuid)
    told = {
        "stored": stored["uuid"] == vcon_uuid,
        "there": exists(vcon_uuid, where),
        "listed": list_vcons(where),
        "deleted": [shelf.delete(vcon_uuid), shelf.delete(vcon_uuid)],
        "gone": shelf.get(vcon_uuid),
        "workers": [get_worker_count(), get_vcon_concurrency() > 0],
        "parallel": is_parallel_storage_enabled(),
        "start": get_start_method(),
        "letters": get_ingress_list_dlq_name(Configuration.get_config()["chains"]["main"]["ingress_lists"][0]),
        "keys": Configuration.get_ingress_auth(),
        "followers": Configuration.get_followers(),
        "tel": get_e164_number(vcon.parties[0]["tel"]),
        "names": [VCON_SORTED_SET_NAME, CONSERVER_HEADER_NAME, settings.INDEX_NAME],
        "expiry": VCON_REDIS_EXPIRY,
    }
    vcon.add_attachment(type="report", body=json.dumps(told), encoding="json")
    vcon_redis.store_vcon(vcon)
    return vcon_uuid
