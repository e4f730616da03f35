"""What each built-in action asks of the pipeline, and how it answers."""

import asyncio
import gzip
from base64 import b64encode, urlsafe_b64encode
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from core.action_registry import ActionRegistry
from core.action_response import ActionResponse
from core.errors import InvalidError, UnknownNameError
from core.rpc.dispatcher import Dispatcher
from schemas.chain import ChainSummary, ListDepth
from schemas.ingested import Ingested
from schemas.run import FINISHED, Run, Step
from tests.unit.actions.scripted_pipeline import ScriptedPipeline

ACTIONS = ActionRegistry.discover("actions")
RUN = "0194fdc2-fa2f-7cc0-81d3-ff120745b33c"
GIVEN_WAY = nullcontext()
UUID = "01928e10-0000-8000-8000-000000000001"
VCON = {"vcon": "0.4.0", "uuid": UUID}
PACKED = gzip.compress(b"{}", mtime=0)
TAGGED = Step(name="tag", kind="link", outcome="ok", seconds=0.25)
STORED = Step(name="files", kind="storage", outcome="ok", seconds=0.5)
FAILED = Step(name="db", kind="storage", outcome="failed", seconds=0.1, error="refused")


def a_run(status: str = "done") -> Run:
    """A run of the chain `main`."""
    return Run(
        run_id=RUN,
        chain="main",
        vcon_in=UUID,
        vcon_out=UUID,
        status=status,
        steps=[TAGGED, STORED],
        worker="host-1",
    )


async def ask(pipeline: ScriptedPipeline, action: str, **fields: Any) -> ActionResponse:
    """The answer to one request."""
    dispatcher = Dispatcher(ACTIONS, run_blocking=asyncio.to_thread)
    client = SimpleNamespace(
        pipeline=pipeline, seconds_left=lambda: 25.0, giving_way=lambda: GIVEN_WAY
    )
    return await dispatcher.answer(action, fields, client, None)


CALLS: list[tuple[str, dict[str, Any], tuple[Any, ...], Any]] = [
    (
        "IngestVcon",
        {"vcon": VCON, "ingress_lists": ["in"], "api_key": "k"},
        ("internal", VCON, ["in"], "k"),
        Ingested(uuid=UUID, outcome="new"),
    ),
    (
        "IngestVcon",
        {"vcon": VCON},
        ("internal", VCON, [], None),
        Ingested(uuid=UUID, outcome="new"),
    ),
    (
        "RunChain",
        {"chain": "main", "vcon_uuid": UUID},
        ("run_chain", "main", UUID, 20, None, GIVEN_WAY),
        a_run(),
    ),
    (
        "RunChain",
        {"chain": "main", "vcon": VCON, "wait": 0},
        ("run_chain", "main", VCON, 0, None, GIVEN_WAY),
        a_run(),
    ),
    (
        "RunChain",
        {"chain": "main", "vcon": VCON, "wait": 1e9, "idempotency_key": "once"},
        ("run_chain", "main", VCON, 22.5, "once", GIVEN_WAY),
        a_run(),
    ),
    ("GetRun", {"run_id": RUN}, ("find_run", RUN), a_run()),
    ("CancelRun", {"run_id": RUN}, ("cancel_run", RUN), a_run()),
    ("StoreVcon", {"vcon_uuid": UUID, "storages": ["db"]}, ("save", UUID, ["db"]), [STORED]),
    ("StoreVcon", {"vcon": VCON, "storages": ["db"]}, ("save", VCON, ["db"]), [STORED]),
    (
        "IngestVcon",
        {"vcon": b64encode(PACKED).decode()},
        ("internal", b64encode(PACKED).decode(), [], None),
        Ingested(uuid=UUID, outcome="new"),
    ),
    (
        "RunChain",
        {"chain": "main", "vcon": urlsafe_b64encode(PACKED).decode(), "wait": 0},
        ("run_chain", "main", PACKED, 0, None, GIVEN_WAY),
        a_run(),
    ),
    (
        "StoreVcon",
        {"vcon": b64encode(PACKED).decode(), "storages": ["db"]},
        ("save", PACKED, ["db"]),
        [STORED],
    ),
    ("GetVcon", {"vcon_uuid": UUID}, ("find_vcon", UUID, None), VCON),
    ("GetVcon", {"vcon_uuid": UUID, "storage": "db"}, ("find_vcon", UUID, "db"), VCON),
    ("ListChains", {}, ("chains",), []),
]


@pytest.mark.parametrize(("action", "fields", "asked", "outcome"), CALLS)
async def test_an_action_is_one_call_of_the_pipeline(
    action: str, fields: dict[str, Any], asked: tuple[Any, ...], outcome: Any
) -> None:
    """The fields of a request become the arguments of one call; success has no message."""
    pipeline = ScriptedPipeline(outcome)
    response = await ask(pipeline, action, **fields)
    assert pipeline.asked == [asked]
    assert response.status == "success"
    assert response.message is None
    assert response.fields is not None


@pytest.mark.parametrize(("action", "fields", "asked", "outcome"), CALLS)
async def test_an_error_of_the_pipeline_has_a_message_and_no_fields(
    action: str, fields: dict[str, Any], asked: tuple[Any, ...], outcome: Any
) -> None:
    """What the pipeline raises reaches the caller in words."""
    response = await ask(ScriptedPipeline(UnknownNameError("thing", "x", ["y"])), action, **fields)
    assert response == ActionResponse(status_code=404, message="Unknown thing: x; known: y")


async def test_ingest_answers_201_with_uuid_and_lists() -> None:
    """The uuid is the pipeline's, in canonical form; the lists are those asked for."""
    pipeline = ScriptedPipeline(Ingested(uuid=UUID, outcome="new"))
    response = await ask(pipeline, "IngestVcon", vcon=VCON, ingress_lists=["a", "b"])
    assert response.status_code == 201
    assert response.fields == {"uuid": UUID, "ingress_lists": ["a", "b"]}


async def test_what_is_odd_about_a_vcon_is_told_to_the_caller() -> None:
    """By both ways in, only when there is something."""
    taken = Ingested(uuid=UUID, outcome="new", warnings=["vcon: none, read as 0.4.0"])
    ours = await ask(ScriptedPipeline(taken), "IngestVcon", vcon=VCON)
    key = {"ingress_list": "in", "api_key": "k"}
    partners = await ask(ScriptedPipeline(taken), "ExternalIngress", vcon=VCON, **key)
    for answer in (ours, partners):
        assert answer.fields is not None
        assert answer.fields["warnings"] == taken.warnings


async def test_a_finished_run_is_200_with_its_steps() -> None:
    """The run lists links and storages apart, with outcome and seconds."""
    response = await ask(ScriptedPipeline(a_run()), "RunChain", chain="main", vcon_uuid=UUID)
    ok = {"outcome": "ok", "error": None}
    assert response.status_code == 200
    assert response.fields == {
        "run_id": RUN,
        "chain": "main",
        "vcon_uuid": UUID,
        "status": "done",
        "links": [{"name": "tag", "seconds": 0.25, **ok}],
        "storages": [{"name": "files", "seconds": 0.5, **ok}],
        "seconds": 0.75,
        "attempts": 1,
        "error": None,
    }


@pytest.mark.parametrize("status", sorted(FINISHED))
async def test_every_way_to_finish_is_200(status: str) -> None:
    """A run that failed was run: its status says how it ended."""
    response = await ask(ScriptedPipeline(a_run(status)), "RunChain", chain="c", vcon_uuid=UUID)
    assert (response.status_code, response.fields["status"]) == (200, status)


@pytest.mark.parametrize("status", ["queued", "running"])
async def test_an_unfinished_run_is_202_as_it_stands(status: str) -> None:
    """What is not finished in time goes on; GetRun says the same of it."""
    response = await ask(ScriptedPipeline(a_run(status)), "RunChain", chain="c", vcon_uuid=UUID)
    assert (response.status_code, response.fields["status"]) == (202, status)
    assert response.fields["run_id"] == RUN


async def test_get_run_answers_as_run_chain_does() -> None:
    """A run has the same form in every action."""
    ran = await ask(ScriptedPipeline(a_run()), "RunChain", chain="main", vcon_uuid=UUID)
    assert (await ask(ScriptedPipeline(a_run()), "GetRun", run_id=RUN)).fields == ran.fields


async def test_storing_answers_each_outcome() -> None:
    """One storage that took the vCon is a success; the others say why not."""
    storages = {"vcon_uuid": UUID, "storages": ["files", "db"]}
    response = await ask(ScriptedPipeline([STORED, FAILED]), "StoreVcon", **storages)
    assert response.status_code == 200
    assert response.fields == {"storages": [STORED.model_dump(), FAILED.model_dump()]}


async def test_storing_nowhere_is_502() -> None:
    """When every storage failed, the message names each with its reason."""
    response = await ask(ScriptedPipeline([FAILED]), "StoreVcon", vcon_uuid=UUID, storages=["db"])
    assert response == ActionResponse(
        status_code=502, message="No storage took the vCon: db: refused"
    )


async def test_chains_are_listed_with_depths() -> None:
    """Each chain has its parts, whether it is enabled, and how much waits in its lists."""
    chain = ChainSummary(
        name="main",
        enabled=True,
        links=["tag"],
        storages=["files"],
        ingress_lists=[ListDepth(name="in", depth=3)],
        egress_lists=[ListDepth(name="out", depth=0)],
    )
    response = await ask(ScriptedPipeline([chain]), "ListChains")
    assert response.fields == {
        "chains": [
            {
                "name": "main",
                "enabled": True,
                "links": ["tag"],
                "storages": ["files"],
                "ingress_lists": [{"name": "in", "depth": 3}],
                "egress_lists": [{"name": "out", "depth": 0}],
            }
        ]
    }


@pytest.mark.parametrize("action", ["RunChain", "StoreVcon"])
@pytest.mark.parametrize("given", [{}, {"vcon_uuid": UUID, "vcon": VCON}])
async def test_one_vcon_must_be_given(action: str, given: dict[str, Any]) -> None:
    """Neither or both of uuid and document is a mistake of the caller."""
    more = {"chain": "c"} if action == "RunChain" else {"storages": ["db"]}
    response = await ask(ScriptedPipeline(), action, **given, **more)
    assert response.status_code == 400
    assert response.message.endswith("fields: give either vcon_uuid or vcon")


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("RunChain", {"chain": "c", "vcon_uuid": UUID, "wait": -1}),
        ("RunChain", {"chain": "c", "vcon": "text"}),
        ("RunChain", {"chain": "c", "vcon": UUID}),
        ("StoreVcon", {"vcon": "{}", "storages": ["db"]}),
        ("StoreVcon", {"vcon_uuid": UUID, "storages": []}),
        ("StoreVcon", {"vcon": [], "storages": ["db"]}),
        ("IngestVcon", {"vcon": VCON, "ingress_lists": "in"}),
        ("GetRun", {}),
        ("ListChains", {"more": 1}),
    ],
)
async def test_wrong_fields_never_reach_the_pipeline(action: str, fields: dict[str, Any]) -> None:
    """A request that does not validate is a 400, and nothing was asked."""
    pipeline = ScriptedPipeline()
    assert (await ask(pipeline, action, **fields)).status_code == 400
    assert pipeline.asked == []


async def test_an_invalid_vcon_is_explained() -> None:
    """Every problem found is in the message, since one Plugboard relays nothing else."""
    error = InvalidError("The vCon is not valid: uuid: missing; dialog[0]: no type", ["..."])
    response = await ask(ScriptedPipeline(error), "IngestVcon", vcon={})
    assert (response.status_code, response.message) == (400, str(error))


async def test_an_ingress_key_is_never_echoed() -> None:
    """A key of the wrong type is refused without being repeated."""
    response = await ask(ScriptedPipeline(), "IngestVcon", vcon=VCON, api_key=["s3cret"])
    assert response.message == "Invalid fields for IngestVcon: api_key: is not valid"
