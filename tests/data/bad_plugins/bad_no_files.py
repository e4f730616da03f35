"""Leaves a temporary file with every run."""

import tempfile
from pathlib import Path


def run(vcon_uuid, link_name, opts):
    with tempfile.NamedTemporaryFile(delete=False) as file:
        Path(file.name).write_text(vcon_uuid)
    return vcon_uuid
