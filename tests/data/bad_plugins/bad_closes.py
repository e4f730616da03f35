"""Starts a thread that never ends."""

import threading

started = []


def run(vcon_uuid, link_name, opts):
    if not started:
        started.append(threading.Thread(target=threading.Event().wait, name="flusher", daemon=True))
        started[0].start()
    return vcon_uuid
