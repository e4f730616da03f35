"""`make demo`: processes the sample vCons with the whole system and shows the results."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import psycopg
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from devstack.demos import law as law_demo
from devstack.demos.law import LawDemo, LawDemoError
from devstack.deployment import DATABASE, Deployment, console_address
from devstack.errors import StackError

SAMPLES = Path(__file__).parents[1] / "samples"
CHAIN = "demo"
INGRESS_LIST = "conversations"
PARALLEL = 8
STORED_SECONDS = 20.0
POLL_SECONDS = 0.05
RPC, HTTP = "IngestVcon", "POST /vcon"
"""The two ways in: an action through the Plugboard, and the HTTP API of vcon-server."""

ROWS = """
SELECT id::text, octet_length(vcon_json::text),
       (SELECT string_agg(each ->> 'body', '')
        FROM jsonb_array_elements(vcon_json::jsonb -> 'attachments') AS each
        WHERE each ->> 'purpose' = 'tags')
FROM vcons
"""

console = Console(width=None if sys.stdout.isatty() else 120)


class DemoError(Exception):
    """A step of the demo failed; the message is printed."""


@dataclass(slots=True)
class Asked:
    """One request with its status and duration."""

    action: str
    """The action, or the method and path of a request to the HTTP API."""
    about: str
    status: int
    seconds: float


class Demo:
    """The requests of the demo, one method per step."""

    def __init__(self, system: Deployment, client: httpx.AsyncClient, certificate: str) -> None:
        """`client` sends the requests to the HTTP API; `certificate`: of the law's key."""
        self._system = system
        self._law = LawDemo(self, certificate)
        self._client = client
        self._asked: list[Asked] = []
        self._uuids: dict[str, str] = {}

    async def ask(self, action: str, about: str, expected: int, **fields: Any) -> Any:
        """Send one request; returns the `fields` of the answer.

        Raises:
            DemoError: if the status is not `expected`.
        """
        began = time.perf_counter()
        answer = await self._system.call(action, **fields)
        seconds = time.perf_counter() - began
        self._asked.append(Asked(action, about, answer.status_code, seconds))
        if answer.status_code != expected:
            raise DemoError(f"{action} was answered {answer.status_code}: {answer.text[:300]}")
        return answer.json()["fields"]

    async def look(self, action: str, **fields: Any) -> Any:
        """Send a request that is not told, while something is waited for.

        Raises:
            DemoError: if the status is not 200.
        """
        answer = await self._system.call(action, **fields)
        if answer.status_code != httpx.codes.OK:
            raise DemoError(f"{action} was answered {answer.status_code}: {answer.text[:300]}")
        return answer.json()["fields"]

    async def play(self) -> None:
        """All steps in order."""
        await self.ask("ListChains", "what can be done here", 200)
        await self.ingest_samples()
        await self.wait_until_stored()
        await self.ask_about_one()
        await self.send("GET", "/vcon/{uuid}", next(iter(self._uuids.values())), 200)
        await self._law.play()
        await self.show()

    async def send(
        self, method: str, path: str, about: str, expected: int, **options: Any
    ) -> httpx.Response:
        """Send one request to the HTTP API; `{uuid}` in the path is `about`.

        Raises:
            DemoError: if the status is not `expected`.
        """
        url = f"{self._system.service.api_url}/api{path.replace('{uuid}', about)}"
        headers = {"x-conserver-api-token": self._system.api_token}
        began = time.perf_counter()
        answer = await self._client.request(method, url, headers=headers, **options)
        seconds = time.perf_counter() - began
        self._asked.append(Asked(f"{method} {path}", about, answer.status_code, seconds))
        if answer.status_code != expected:
            raise DemoError(f"{method} {path} was answered {answer.status_code}: {answer.text}")
        return answer

    async def ingest_samples(self) -> None:
        """Ingest the samples into the ingress list: through the Plugboard and by HTTP in turn."""
        samples = [(path.stem, json.loads(path.read_text())) for path in _samples()]
        with _progress() as bar:
            task = bar.add_task("ingest: RPC, HTTP", total=len(samples))
            for start in range(0, len(samples), PARALLEL):
                batch = samples[start : start + PARALLEL]
                ways = zip(cycle((self._ingest, self._post)), batch, strict=False)
                await asyncio.gather(*(way(name, vcon) for way, (name, vcon) in ways))
                bar.advance(task, len(batch))

    async def _ingest(self, name: str, vcon: dict[str, Any]) -> None:
        taken = await self.ask(RPC, name, 201, vcon=vcon, ingress_lists=[INGRESS_LIST])
        self._uuids[name] = taken["uuid"]

    async def _post(self, name: str, vcon: dict[str, Any]) -> None:
        query = {"ingress_lists": INGRESS_LIST}
        taken = await self.send("POST", "/vcon", name, 201, json=vcon, params=query)
        self._uuids[name] = taken.json()["uuid"]

    async def wait_until_stored(self) -> None:
        """Wait until the chain has stored all samples in Postgres."""
        deadline = time.monotonic() + STORED_SECONDS
        with _progress() as bar:
            task = bar.add_task("tag, store       ", total=len(self._uuids))
            for name, uuid in self._uuids.items():
                await self._wait_for(name, uuid, deadline)
                bar.advance(task)

    async def _wait_for(self, name: str, uuid: str, deadline: float) -> None:
        while not await self._is_stored(uuid):
            if time.monotonic() > deadline:
                raise DemoError(f"{name} ({uuid}) was not stored in {STORED_SECONDS:.0f} s")
            await asyncio.sleep(POLL_SECONDS)  # polling, as any caller must: there is no event

    async def _is_stored(self, uuid: str) -> bool:
        answer = await self._system.call("GetVcon", vcon_uuid=uuid, storage="postgres")
        return answer.status_code == httpx.codes.OK

    async def ask_about_one(self) -> None:
        """Call other actions with the first sample; the last one is refused with 404."""
        name, uuid = next(iter(self._uuids.items()))
        run = await self.ask("RunChain", f"{CHAIN} on {name}", 200, chain=CHAIN, vcon_uuid=uuid)
        await self.ask("GetRun", run["run_id"], 200, run_id=run["run_id"])
        await self.ask("StoreVcon", name, 200, vcon_uuid=uuid, storages=["postgres", "files"])
        await self.ask("GetVcon", f"{name}, from the file", 200, vcon_uuid=uuid, storage="files")
        await self.ask("ListConnections", "what the chain talks to", 200)
        query = {"query": "SELECT count(*) AS vcons FROM vcons"}
        await self.ask(
            "RunTask",
            "pg_query: how many vCons there are",
            200,
            connection="customers",
            task="pg_query",
            params=query,
        )
        await self.ask("RunChain", "no such chain: refused", 404, chain="dmo", vcon_uuid=uuid)

    async def show(self) -> None:
        """Print two tables: the stored vCons, and the other requests."""
        rows = await self._rows()
        console.print(self._stored_table(rows))
        console.print(self._asked_table())
        console.print(self._law_table())

    async def _rows(self) -> dict[str, tuple[int, str]]:
        """The bytes of each vCon's row in Postgres and its tier, by uuid."""
        url = self._system.stack.postgres.url(DATABASE)
        async with await psycopg.AsyncConnection.connect(url) as connection:
            cursor = await connection.execute(ROWS)
            return {uuid: (size, _tier(tags)) for uuid, size, tags in await cursor.fetchall()}

    def _stored_table(self, rows: dict[str, tuple[int, str]]) -> Table:
        table = _table("vCons")
        for heading in (
            "sample",
            "way in",
            "status",
            "time",
            "customer",
            "row in Postgres",
            "file",
        ):
            table.add_column(heading, overflow="fold")
        ingests = {asked.about: asked for asked in self._asked if asked.action in (RPC, HTTP)}
        for name, uuid in self._uuids.items():
            asked = ingests[name]
            files = list(self._system.data.rglob(f"{uuid}*")) or [self._system.data / "missing"]
            where = f"{files[0].relative_to(self._system.data).parent}/{uuid[:8]}...json"
            size, tier = rows.get(uuid, (0, "missing"))
            row = f"vcons, {size} bytes" if uuid in rows else "missing"
            way = "RPC" if asked.action == RPC else "HTTP"
            table.add_row(name, way, _status(asked), _milliseconds(asked), tier, row, where)
        return table

    def _law_table(self) -> Table:
        table = _table("A vCon without a lawful basis")
        for heading in ("what was done", "result"):
            table.add_column(heading, overflow="fold")
        for line in self._law.lines:
            table.add_row(*line)
        return table

    def _asked_table(self) -> Table:
        table = _table("Other requests")
        for heading in ("action", "status", "time", "about"):
            table.add_column(heading, overflow="fold")
        for asked in self._asked:
            if asked.action not in (RPC, HTTP):
                table.add_row(asked.action, _status(asked), _milliseconds(asked), asked.about)
        return table


def _tier(tags: str | None) -> str:
    """The result of the link `tier`, which uses the connection `customers`."""
    found = [tag for tag in json.loads(tags or "[]") if tag.startswith("tier:")]
    return found[-1].removeprefix("tier:") if found else "missing"


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)


def _status(asked: Asked) -> str:
    style = "green" if asked.status < httpx.codes.BAD_REQUEST else "yellow"
    return f"[{style}]{asked.status}[/]"


def _milliseconds(asked: Asked) -> str:
    return f"{asked.seconds * 1000:.0f} ms"


def _samples() -> list[Path]:
    return sorted(SAMPLES.glob("*.json"))


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console
    )


async def play(*, keep: bool = False) -> None:
    """Start the system, run the demo, stop the system; with `keep` when it is interrupted."""
    began = time.perf_counter()
    console.print("Starting PostgreSQL, Valkey with JSON, a development Plugboard, the service ...")
    settings = law_demo.settings()
    async with (
        AsyncExitStack() as stack,
        Deployment(
            stack.enter_context(law_demo.configuration()), api_port=0, settings=settings
        ) as system,
        httpx.AsyncClient(timeout=STORED_SECONDS, trust_env=False) as client,
    ):
        console.print(f"Ready after {time.perf_counter() - began:.1f} s.")
        await Demo(system, client, settings["LAW_CHAIN"]).play()
        if keep:
            console.print(console_address(system), highlight=False)
            await asyncio.Event().wait()
    console.print(
        f"Everything is stopped again, {time.perf_counter() - began:.1f} s after the start. "
        "`make demo ARGS=--keep` and `make up` keep it running."
    )


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog='make demo ARGS="..."', description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep it running until Ctrl-C")
    return parser.parse_args(given)


def main() -> int:
    """Run the demo; returns 0, or 1 after printing the error."""
    told = arguments(sys.argv[1:])
    try:
        asyncio.run(play(keep=told.keep))
    except (StackError, DemoError, LawDemoError) as error:
        print(f"make demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("make demo: interrupted; everything is stopped", file=sys.stderr)
        return 0 if told.keep else 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
