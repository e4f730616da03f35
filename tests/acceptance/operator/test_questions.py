"""An operator's fifteen questions, each answered by one command, on three replicas."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from devstack.chaos.waiting import until
from tests.acceptance.operator.house import COUNTS, PARTNER, House, house, vcon

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """The house, for all questions in turn."""
    folder: Path = tmp_path_factory.mktemp("operator")
    async with house(folder) as opened:
        yield opened


async def test_a_is_it_moving_and_k_how_long_will_it_take(opened: House) -> None:
    """Of each chain what comes in, goes out, waits and fails; the level, a cause and a command."""

    async def counted() -> Any:
        found = await opened.data("status")
        chains = {each["name"]: each for each in found["chains"]}
        return chains["calls"]["ended"] == COUNTS["calls"] and (found, chains)

    found, chains = await until(counted, "all runs to be counted")
    assert chains["calls"]["out_per_minute"] > 0
    assert chains["calls"]["p95_seconds"] >= chains["calls"]["p50_seconds"] > 0
    assert chains["crm"]["failed"] == COUNTS["crm"]
    assert chains["slow"]["in_flight"] + chains["slow"]["waiting"] == COUNTS["slow"]
    assert {"empty_in_seconds", "oldest_seconds", "delayed"} <= chains["slow"].keys()
    assert found["level"] != "green"
    told = {each["subject"]: each for each in found["causes"]}
    assert told["vault"]["command"]
    assert found["dead_letters"] == COUNTS["crm"] + COUNTS["vault"]
    assert len(found["replicas"]) == 3


async def test_b_what_is_stuck_and_why(opened: House) -> None:
    """Which runs wait where and for how long; what waits for a storage."""
    found = await opened.data("running")
    assert {each["step"] for each in found["in_flight"]} == {"wait"}
    assert found["in_flight_total"] == COUNTS["slow"]
    assert found["storages"] == [{"storage": "vault", "count": COUNTS["vault"]}]


async def test_c_what_happened_to_a_vcon(opened: House) -> None:
    """Where it is, its attempts and steps, their errors, and the command that helps."""
    vcon = opened.fed["crm"][0]
    found = await opened.data(f"why {vcon}")
    assert found["state"] == "failed"
    assert "account 0 is unknown" in found["summary"]
    assert found["command"].startswith("replay --cause ")
    assert found["events"][-1]["worker"]


async def test_d_replay_what_failed_for_one_cause(opened: House) -> None:
    """Three causes; one that is still there costs ten attempts; once mended, all of it ends."""
    await replay_one_cause(opened)


async def replay_one_cause(opened: House) -> None:
    """Once for all tests that need it, whichever comes first in this process."""
    if opened.replayed:
        return
    opened.replayed = True
    causes = (await opened.data("failures --list crm"))["causes"]
    assert [(each["count"], each["step"]) for each in causes] == [(1_000, "link lookup")] * 3
    assert {each["type"] for each in causes} == {"LookupError", "TimeoutError", "ValueError"}
    cause = next(each["fingerprint"] for each in causes if each["type"] == "LookupError")
    counted = await opened.data(f"replay --cause {cause} --dry-run")
    assert (counted["state"], counted["counted"]) == ("counted", 1_000)

    tried = await opened.change(f"replay --cause {cause} --rate 1000/s")
    assert tried["state"] == "canary failed"
    assert await opened.length("DLQ:crm") == COUNTS["crm"]
    attempts = await opened.data(f"failures --cause {cause}")
    assert attempts["causes"][0]["count"] == 1_000

    opened.mend("crm-works")
    replayed = await opened.change(f"replay --cause {cause} --rate 1000/s")
    assert replayed["state"] == "done"
    await opened.reached("DLQ:crm", COUNTS["crm"] - 1_000)
    history = (await opened.data("replays"))["replays"]
    assert [each["state"] for each in history] == ["done", "canary failed"]
    assert {each["reason"] for each in history} == {"a test"}


async def test_e_a_chain_is_paused_with_its_intake_open(opened: House) -> None:
    """Nothing of it is claimed by any replica until it is resumed."""
    paused = await opened.change("pause calls --for 1h")
    assert paused["chain"] == "calls"
    async with opened.http() as http:
        document = vcon("while it is paused")
        answer = await http.post("/vcon?ingress_list=calls", json=document)
        assert answer.status_code == 201
        story = await opened.data(f"why {document['uuid']}")
        assert (story["state"], story["command"]) == ("paused", "resume calls")
        await opened.change("resume calls")
        await opened.reached("calls_out", COUNTS["calls"] + 1)


async def test_f_one_replica_is_drained(opened: House) -> None:
    """Which replica holds what; a drained one claims nothing and stays joined."""
    found = (await opened.data("replicas"))["replicas"]
    assert len(found) == 3
    assert sum(each["in_flight"] for each in found) == COUNTS["slow"]
    first, *others = sorted(found, key=lambda each: -each["in_flight"])
    assert first["held"][0]["chain"] == "slow"
    await opened.change(f"drain {first['id']}")
    again = {each["id"]: each for each in (await opened.data("replicas"))["replicas"]}
    assert again[first["id"]]["drained"]["reason"] == "a test"
    assert again[first["id"]]["joined"] is True
    opened.mend("go-on")
    await opened.feed("slow", [vcon(number) for number in range(50)])
    await opened.all_ended()
    found = {each["id"]: each for each in (await opened.data("replicas"))["replicas"]}
    assert found[first["id"]]["in_flight"] == 0
    await opened.change(f"undrain {first['id']}")
    assert others


async def test_g_where_the_time_goes(opened: House) -> None:
    """The steps of the last hour by their share of it, with the failures of each."""

    async def counted() -> Any:  # a second after the end of their runs
        steps = (await opened.data("slow --since 1h"))["steps"]
        return {"wait", "archive"} <= {each["name"] for each in steps} and steps

    steps = await until(counted, "the steps to be counted")
    by_name = {each["name"]: each for each in steps}
    assert steps == sorted(steps, key=lambda each: -each["share"])
    assert by_name["lookup"]["failed"] >= COUNTS["crm"]
    assert by_name["archive"]["calls"] == COUNTS["kept"]


async def test_h_what_partners_send(opened: House) -> None:
    """Accepted, refused by reason and bytes, today beside yesterday."""
    async with opened.http() as http:
        key = {"x-conserver-api-token": PARTNER}
        url = "/vcon/external-ingress?ingress_list=calls"
        for number in range(5):
            answer = await http.post(url, json=vcon(number), headers=key)
            assert answer.status_code in (200, 201, 204), answer.text
        assert (await http.post(url, json={"no": "vCon"}, headers=key)).status_code == 422

    async def counted() -> bool:
        [partner] = (await opened.data("partners"))["partners"]
        assert partner["label"] == "ACME"
        return partner["today"]["accepted"] == 5 and sum(partner["hour"]["refused"].values()) == 1

    await until(counted, "the partner's use to be counted")


async def test_i_and_j_find_and_erase_a_person(opened: House) -> None:
    """By a number in another spelling, after Redis has forgotten it, and where it was stored."""
    vcon_uuid = opened.fed["kept"][7]
    [found] = [
        each
        for each in (await opened.data("find --tel '0351 / 55 00 00 07'"))["vcons"]
        if each["uuid"] == vcon_uuid
    ]
    assert (found["storages"], found["in_redis"]) == (["archive"], True)
    await opened.forget(vcon_uuid)
    again = (await opened.data("find --tel '+49 (351) 55-000007'"))["vcons"]
    assert {each["uuid"]: each["in_redis"] for each in again}[vcon_uuid] is False
    assert opened.archived(vcon_uuid)

    counted = await opened.data("erase --tel '0351 55000007' --dry-run")
    assert counted["found"] == len(again) > 1
    erased = await opened.change("erase --tel '0351 55000007'")
    assert (erased["erased"], erased["left"]) == (counted["found"], 0)
    assert not opened.archived(vcon_uuid)
    assert (await opened.data("find --tel '0351 55000007'"))["vcons"] == []
    told = await opened.ask("audit --json")
    assert "55000007" not in told.out


async def test_l_upgrade_with_changed_actions(opened: House) -> None:
    """Every replica shows the fingerprint of what it publishes, as `actions` prints it."""
    found = (await opened.data("replicas"))["replicas"]
    [published] = {each["actions"] for each in found}
    assert published == await opened.fingerprint()


async def test_n_a_partners_key_is_rotated(opened: House) -> None:
    """The new secret is shown once; the old one works on for the grace time."""
    made = await opened.change("keys create --list kept --label 'B & Sons'")
    rotated = await opened.change(f"keys rotate {made['key']['id']} --grace 1")
    assert rotated["secret"] != made["secret"]
    listed = await opened.ask("keys list --json")
    assert made["secret"] not in listed.out
    assert [each["label"] for each in listed.json["keys"]].count("B & Sons") == 2
    revoked = await opened.change(f"keys revoke {rotated['key']['id']}")
    assert revoked["key"]["revoked_at"]


async def test_m_back_up_and_check(opened: House, tmp_path: Path) -> None:
    """A backup of all of it, which a dry run reads and finds whole."""
    made = await opened.data(f"backup {tmp_path / 'all'}")
    assert made["documents"] > COUNTS["calls"]
    here = await opened.ask(f"restore {tmp_path / 'all'} --dry-run --json")
    assert (here.code, here.json["content"]) == (1, made["content"])
    assert here.json["refusal"].startswith("the database is not empty")


async def test_o_try_a_changed_configuration(opened: House, tmp_path: Path) -> None:
    """What it would change, and what it would do with recorded vCons."""
    changed = opened.changed_configuration(tmp_path / "new.yml")
    diff = await opened.data(f"config diff {changed}")
    assert "calls" in str(diff)
    tried = await opened.data(f"try {changed} --chain kept --last 20")
    assert "other" in str(tried)


async def test_each_answer_is_one_click_away(opened: House) -> None:
    """The pages of the console say the same; a change has its form there."""
    await replay_one_cause(opened)
    await opened.change("keys create --list kept --label 'C & Daughters'")
    vcon_uuid = opened.fed["crm"][1]
    pages = {
        "/console": ("calls", "vault", "crm"),  # a, k
        "/console/running": ("waiting for a storage", "vault"),  # b
        f"/console/vcon/{vcon_uuid}": (vcon_uuid, "lookup"),  # c
        "/console/failures": ("lookup", "TimeoutError", "is no JSON"),  # d
        "/console/replays": ("canary failed", "done"),
        "/console/change/pause?chain=calls": ("calls", "Reason"),  # e
        "/console/replicas": ("serve", await opened.fingerprint()),  # f, l
        "/console/steps": ("lookup", "archive"),  # g
        "/console/partners": ("ACME",),  # h
        "/console/keys": ("C & Daughters",),  # n
        "/console/configuration": ("operator_lookup",),  # o
        "/console/audit": ("replay", "a test"),
    }
    async with opened.console() as visitor:
        texts = {path: (await visitor.text(path)).lower() for path in pages}
        missing = {
            path: [word for word in words if word.lower() not in texts[path]]
            for path, words in pages.items()
        }
        assert missing == {path: [] for path in pages}
        found = await visitor.submit("/console/search", kind="tel", value="0351 55 000 009")
        assert opened.fed["kept"][9] in found.text  # i, j
