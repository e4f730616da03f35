"""Waits for its peer without end, in a thread."""

import urllib.request


def run(vcon_uuid, link_name, opts):
    with urllib.request.urlopen(opts["url"]) as answer:
        answer.read()
    return vcon_uuid
