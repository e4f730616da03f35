"""`make up`: the whole system, kept running for people to play with."""

import asyncio
import json
import signal
import sys
from pathlib import Path

from devstack.deployment import Deployment
from devstack.errors import StackError

SAMPLES = Path(__file__).parents[1] / "samples"
PORT = 4000


def paste(system: Deployment) -> str:
    """What a newcomer can paste into another terminal."""
    sample = json.loads(min(SAMPLES.glob("*.json")).read_text())
    uuid = sample["uuid"]
    requests = [
        ("ListChains", {}),
        ("IngestVcon", {"vcon": sample, "ingress_lists": ["conversations"]}),
        ("GetVcon", {"vcon_uuid": uuid, "storage": "postgres"}),
        ("RunChain", {"chain": "demo", "vcon_uuid": uuid}),
    ]
    return "\n\n".join(_curl(system, action, fields) for action, fields in requests)


def _curl(system: Deployment, action: str, fields: dict[str, object]) -> str:
    request = {"service_id": system.plugboard_service.id, "action": action, "fields": fields}
    body = json.dumps(request, ensure_ascii=False).replace("'", "'\\''")
    return (
        f"curl -sS {system.board.http_url} -H 'Authorization: Bearer {system.account.value}' "
        f"-H 'Content-Type: application/json' -d '{body}'"
    )


async def keep_up(port: int) -> None:
    """Start everything, say how to use it, stop on Ctrl-C or SIGTERM."""
    stopping = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stopping.set)
    print("Starting ...", flush=True)
    async with Deployment(SAMPLES / "config.yml", port=port, losses=True) as system:
        print(
            f"\nThe system is up. Paste into another terminal:\n\n{paste(system)}\n\n"
            f"Plugboard  {system.board.http_url} (a development tool, not the real one)\n"
            f"Postgres   {system.stack.postgres.url('patchcord')}\n"
            f"Valkey     {system.stack.valkey.url}\n"
            f"Log        {system.service.log}\n"
            f"Files      {system.data}\n\nCtrl-C stops everything.",
            flush=True,
        )
        await stopping.wait()
        print("Stopping ...", flush=True)


def main() -> int:
    """Keep the system up; 0, or 1 after one line that says what failed."""
    try:
        asyncio.run(keep_up(PORT))
    except StackError as error:
        print(f"make up: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"make up: port {PORT} cannot be used: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
