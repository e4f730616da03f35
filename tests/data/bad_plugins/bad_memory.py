"""Remembers every vCon."""

seen = []


def run(vcon_uuid, link_name, opts):
    seen.append({"uuid": vcon_uuid, "link": [link_name]})
    return vcon_uuid
