"""Belongs to the process that imported it."""

import os

owner = os.getpid()


def run(vcon_uuid, link_name, opts):
    if os.getpid() != owner:
        raise RuntimeError("this is another process")
    return vcon_uuid
