"""A link in the manner of vcon-server's own, with everything that those import and call."""

import json
import logging

from lib.error_tracking import init_error_tracker
from lib.links.filters import is_included, randomly_execute_with_sampling
from lib.metrics import increment_counter, record_histogram
from lib.queue import VconQueue
from lib.vcon_egress_compat import to_configured_legacy
from redis_mgr import get_key
from redis_mgr import redis as redis_client
from server.lib.logging_utils import init_logger
from server.lib.vcon_redis import VconRedis
from tenacity import before_sleep_log, retry, stop_after_attempt, wait_exponential
from vcon import Vcon

init_error_tracker()
logger = init_logger(__name__)

default_options = {"analysis_type": "sentiment", "sampling_rate": 1, "forward_to": "next"}


@retry(
    stop=stop_after_attempt(2),
    wait=wait_exponential(multiplier=0.001),
    before_sleep=before_sleep_log(logger, logging.INFO),
)
def score(text):
    return {"score": len(text)}


def is_done(vcon, index, analysis_type):
    return any(a["dialog"] == index and a["type"] == analysis_type for a in vcon.analysis)


def run(vcon_uuid, link_name, opts=default_options):
    merged_opts = default_options.copy()
    merged_opts.update(opts)
    opts = merged_opts
    vcon_redis = VconRedis()
    vcon = vcon_redis.get_vcon(vcon_uuid)
    if not is_included(opts, vcon) or not randomly_execute_with_sampling(opts):
        logger.info("Skipping %s", vcon_uuid)
        return vcon_uuid
    for index, dialog in enumerate(vcon.dialog):
        if dialog["type"] != "text" or is_done(vcon, index, opts["analysis_type"]):
            continue
        result = score(dialog["body"])
        vcon.add_analysis(
            type=opts["analysis_type"],
            dialog=index,
            vendor="acme",
            body=result,
            encoding="json",
            extra={"vendor_schema": {"response": result}},
        )
        increment_counter("conserver.link.acme.done", attributes={"link.name": link_name})
        record_histogram("conserver.link.acme.seconds", 0.1)
    vcon.add_tag(tag_name="sentiment", tag_value="high")
    vcon.add_attachment(type="report", body=json.dumps({"a": 1}), encoding="json")
    vcon_redis.store_vcon(vcon)
    redis_client.set(f"seen:{vcon_uuid}", vcon.hash)
    forward(vcon, vcon_redis, opts)
    return vcon_uuid


def forward(vcon, vcon_redis, opts):
    stored = get_key(f"vcon:{vcon.uuid}")
    child = Vcon.build_new()
    child.add_party({"name": "Bot", "tel": "+1"})
    start = vcon.created_at
    child.add_dialog({"type": "text", "start": start, "parties": [0], "body": "hello"})
    report = Vcon.with_decoded_body(vcon.find_attachment_by_type("report"))["body"]
    scored = Vcon.decoded_body(vcon_redis.get_vcon(vcon.uuid).analysis[0])
    told = {"parent": stored["uuid"], "report": report, **scored}
    told["tag"] = Vcon(json.dumps(stored)).get_tag("sentiment")
    told["old"] = to_configured_legacy(stored)["uuid"]
    told["party"] = child.find_party_index("tel", "+1")
    child.add_attachment(body=told, type="link")
    vcon_redis.store_vcon(child, ttl=60)
    VconQueue().enqueue(opts["forward_to"], child.uuid)
