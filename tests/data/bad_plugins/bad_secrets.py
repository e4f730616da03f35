"""Tells its key in the log."""

import logging

log = logging.getLogger(__name__)
default_options = {"api_key": ""}


def run(vcon_uuid, link_name, opts):
    log.info("called with %s", opts)
    return vcon_uuid
