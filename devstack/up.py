"""`make up`: runs the whole system, HTTP API included, for manual tests."""

import argparse
import asyncio
import json
import os
import secrets
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psycopg
from dotenv import dotenv_values

from devstack.deployment import DATABASE, Deployment, console_address
from devstack.errors import StackError
from pipeline.config.environment import variables_named_in

SAMPLES = Path(__file__).parents[1] / "samples"
PORT = 4000
API_PORT = 8000
LOOK_SECONDS = 0.5

FINISHED = """
SELECT chain, status, vcon_in, extract(epoch FROM finished_at - started_at), error, finished_at
FROM chain_runs WHERE finished_at > %s ORDER BY finished_at
"""
LATEST = "SELECT coalesce(max(finished_at), 'epoch') FROM chain_runs"


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog='make up ARGS="..."', description=__doc__)
    parser.add_argument("--port", type=int, default=PORT, help="of the development Plugboard")
    parser.add_argument("--api-port", type=int, default=API_PORT, help="of the HTTP API; 0: free")
    parser.add_argument("--health-port", type=int, default=0, help="of /ready; 0: a free one")
    parser.add_argument("--config", type=Path, default=SAMPLES / "config.yml", help="the chains")
    parser.add_argument("--admin", action="store_true", help="offer administrative actions, too")
    parser.add_argument("--quiet", action="store_true", help="no line for each request and run")
    return parser.parse_args(given)


def passed_on(config: Path) -> dict[str, str]:
    """The variables that the configuration names, and LAW_ACTIONS, where they are set.

    What the environment has goes before the file `.env`, or the one of `ENV_FILE`.
    """
    if not config.is_file():
        return {}
    file = os.environ.get("ENV_FILE", ".env")
    known = {**(dotenv_values(file) if file else {}), **os.environ}
    names = {*variables_named_in(config.read_bytes()), "LAW_ACTIONS"}
    return {name: value for name in sorted(names) if (value := known.get(name)) is not None}


def paste(system: Deployment) -> str:
    """Example commands for another terminal."""
    sample = json.loads(min(SAMPLES.glob("*.json")).read_text())
    uuid = sample["uuid"]
    requests = [
        ("ListChains", {}),
        ("IngestVcon", {"vcon": sample, "ingress_lists": ["conversations"]}),
        ("GetVcon", {"vcon_uuid": uuid, "storage": "postgres"}),
        ("RunChain", {"chain": "demo", "vcon_uuid": uuid}),
    ]
    calls = [_curl(system, action, fields) for action, fields in requests]
    return "\n\n".join([*calls, _post(system, sample)])


def _post(system: Deployment, vcon: dict[str, object]) -> str:
    return (
        f"curl -sS '{system.service.api_url}/vcon?ingress_lists=conversations' "
        f"-H 'x-conserver-api-token: {system.api_token}' -d '{_quoted(vcon)}'"
    )


def _quoted(body: dict[str, object]) -> str:
    return json.dumps(body, ensure_ascii=False).replace("'", "'\\''")


def _curl(system: Deployment, action: str, fields: dict[str, object]) -> str:
    request = {"service_id": system.plugboard_service.id, "action": action, "fields": fields}
    return (
        f"curl -sS {system.board.http_url} -H 'Authorization: Bearer {system.account.value}' "
        f"-H 'Content-Type: application/json' -d '{_quoted(request)}'"
    )


async def keep_up(told: argparse.Namespace) -> None:
    """Start the system, print how to use it, stop on Ctrl-C or SIGTERM."""
    stopping = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stopping.set)
    print("Starting ...", flush=True)
    settings = {"CUSTODY": "postgres"} | ({"ADMIN_ACTIONS": "true"} if told.admin else {})
    async with Deployment(
        told.config,
        port=told.port,
        health_port=told.health_port,
        api_port=told.api_port,
        settings=settings,
        losses=True,
        answered=None if told.quiet else _tell_request,
        variables=passed_on(told.config),
        valkey_password=secrets.token_urlsafe(24),
    ) as system:
        print(_summary(system), flush=True)
        runs = None if told.quiet else asyncio.create_task(_tell_runs(system))
        await stopping.wait()
        print("Stopping ...", flush=True)
        if runs is not None:
            runs.cancel()


def operator_line(system: Deployment) -> str:
    """A line that runs an operator's command; it reads the service's variables from a file."""
    file = system.stack.folder / "operator.env"
    lines = [f"{name}={_env_quoted(value)}\n" for name, value in system.environment().items()]
    file.touch(mode=0o600)
    file.chmod(0o600)  # of an earlier one
    file.write_text("".join(lines), encoding="utf-8")
    return f"ENV_FILE={shlex.quote(str(file))} .venv/bin/python entrypoint.py status"


def _env_quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _summary(system: Deployment) -> str:
    return (
        f"\nThe system is up. Paste into another terminal:\n\n{paste(system)}\n\n"
        f"Plugboard  {system.board.http_url} (a development tool, not the real one)\n"
        f"HTTP API   {system.service.api_url} (x-conserver-api-token: {system.api_token})\n"
        f"Health     {system.service.health_url}/ready and /metrics\n"
        f"Postgres   {system.stack.postgres.url(DATABASE)}\n"
        f"Valkey     {system.stack.valkey.url}\n"
        f"Log        {system.service.log}\n"
        f"Files      {system.data}\n"
        f"Operator   {operator_line(system)}\n\n"
        f"{console_address(system)}\n"
    )


def _tell_request(action: str, status: int, seconds: float) -> None:
    print(f"request  {action:<20} {status}  {seconds * 1000:6.0f} ms", flush=True)


async def _tell_runs(system: Deployment) -> None:
    """Print a line for each run that ends."""
    url = system.stack.postgres.url(DATABASE)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(LATEST)
        [latest] = await cursor.fetchone() or [None]
        while True:
            cursor = await connection.execute(FINISHED, [latest])
            async for chain, status, vcon, seconds, error, latest in cursor:  # noqa: B007 -- the last one is where the next look begins
                lasted = f"{float(seconds or 0) * 1000:6.0f} ms"
                print(f"run      {chain:<20} {status}  {lasted}  {vcon}  {error or ''}", flush=True)
            await asyncio.sleep(LOOK_SECONDS)


def main() -> int:
    """Run the system; returns 0, or 1 after printing the error."""
    told = arguments(sys.argv[1:])
    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(keep_up(told))
    except StackError as error:
        print(f"make up: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"make up: port {told.port} cannot be used: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
