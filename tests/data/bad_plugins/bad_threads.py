"""Starts a thread with every run."""

import threading


def run(vcon_uuid, link_name, opts):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    return vcon_uuid
