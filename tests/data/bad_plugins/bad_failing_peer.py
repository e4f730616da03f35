"""Goes on when its peer has failed, as if it had not."""

import contextlib
import urllib.request


def run(vcon_uuid, link_name, opts):
    with contextlib.suppress(OSError):
        urllib.request.urlopen(opts["url"], timeout=5).read()
    return vcon_uuid
