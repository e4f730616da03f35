"""Vendors' hosts whose names modules have in their code: they are found at stand-ins.

A proxy would not do for all: `links.groq_whisper` of vcon-server removes the variables that name
one, for each module in its process.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from devstack.servers.ports import HOST
from tests.every_plugin.names import PORTS
from tests.integration.support.tls_fixtures import Certificates, tls_before


@asynccontextmanager
async def hosts(folder: Path, ports: Mapping[str, int]) -> AsyncIterator[dict[str, str]]:
    """The environment of a program that finds these hosts at ports of this machine.

    It has to call `names.lead` before anything else.
    """
    import trustme

    authority, trusted, pem = trustme.CA(), folder / "authority.pem", folder / "vendors.pem"
    authority.cert_pem.write_to_path(str(trusted))
    authority.issue_cert(*ports).private_key_and_cert_chain_pem.write_to_path(str(pem))
    certificates = Certificates(trusted, trusted, pem)
    async with AsyncExitStack() as started:
        led = {
            host: await started.enter_async_context(tls_before(HOST, port, certificates))
            for host, port in ports.items()
        }
        trust = dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"), str(trusted))
        yield {PORTS: json.dumps(led), **trust}
