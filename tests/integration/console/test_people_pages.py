"""Pages about people: a vCon, the search, erasing; and partners' keys."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from http_api.console.visit import NO_PEOPLE, READ_ONLY
from pipeline.redis_client import keys
from tests.integration.console.console_scene import READER, Operator, text_of
from tests.integration.console.test_pages import HOSTILE, checked
from tests.integration.http_api.http_scene import Served, Start
from tests.integration.support.pipeline_fixtures import a_vcon, new_uuid
from tests.signed_vcons import UUID, signed

SOUND = b"RIFF....WAVE"


async def posted(served: Served, **changes: Any) -> str:
    """The uuid of a vCon that came in."""
    async with served.http() as http:
        answer = await http.post("/vcon", params={"ingress_lists": "in"}, json=a_vcon(**changes))
    return str(answer.raise_for_status().json()["uuid"])


def recording() -> dict[str, Any]:
    """A dialog with a recording in it."""
    body = base64.urlsafe_b64encode(SOUND).decode().rstrip("=")
    return {
        "type": "recording",
        "start": "2026-11-21T12:00:00+00:00",
        "parties": [0],
        "mediatype": "audio/x-wav",
        "encoding": "base64url",
        "body": body,
    }


async def test_a_vcon(served: Served, operator: Operator) -> None:
    """Where it is, who speaks, its recording, and all of it as JSON."""
    uuid = await posted(served, dialog=[recording()])
    page = f"/console/vcon/{uuid}"
    assert "queued" in await operator.text(page)
    content = await operator.text(f"{page}/content")
    assert "Ann, +15550100" in content or "+15550100" in content
    assert "audio/x-wav" in content
    sound = await operator.get(f"{page}/recording/0")
    assert (sound.content, sound.headers["content-type"]) == (SOUND, "audio/x-wav")
    assert sound.headers["content-disposition"] == f'attachment; filename="{uuid}-0.x-wav"'
    assert "sandbox" in sound.headers["content-security-policy"]
    document = await operator.get(f"{page}/json")
    assert document.json()["uuid"] == uuid
    assert document.headers["cache-control"] == "no-store"


async def test_who_signed_a_vcon(served: Served, operator: Operator) -> None:
    """Its kept original counts; a document that was laid over it is told."""
    uuid = await posted(served, uuid=UUID)
    page = f"/console/vcon/{uuid}/signatures"
    assert "Who signed it" in await operator.text(f"/console/vcon/{uuid}")
    assert "it is not signed" in await operator.text(page)
    served.client.set(keys.signed(uuid), json.dumps(signed()))
    shown = await operator.text(page)
    for text in ("Not verified", "CN=signer", "RS256", "not trusted", "another program"):
        assert text in shown, shown


async def test_what_is_no_vcon(operator: Operator) -> None:
    """400 or 404; the page of an unknown vCon says that it is unknown."""
    for path in ("/console/vcon/x", "/console/vcon/..%2F..", "/console/vcon/x/json"):
        assert (await operator.get(path)).status_code in (400, 404)
    unknown = f"/console/vcon/{new_uuid()}"
    assert "unknown" in await operator.text(unknown)
    for part in ("content", "json", "recording/0"):
        assert (await operator.get(f"{unknown}/{part}")).status_code == 404
    assert (await operator.get(f"{unknown}/recording/x")).status_code == 400


@pytest.mark.parametrize(
    ("people", "reader_sees"), [("operator", 403), ("all", 200), ("none", 403)]
)
async def test_who_sees_people(start: Start, people: str, reader_sees: int) -> None:
    """By the role and CONSOLE_PEOPLE."""
    async with start(console_people=people) as served, Operator.of(served) as client:
        uuid = await posted(served, dialog=[recording()])
        await client.sign_in(READER)
        for part in ("content", "json", "recording/0", "signatures"):
            answer = await client.get(f"/console/vcon/{uuid}/{part}")
            assert answer.status_code == reader_sees
            assert (NO_PEOPLE in text_of(answer.text)) == (reader_sees == 403)
        page = await client.text(f"/console/vcon/{uuid}")
        assert "+15550100" not in page
        found = await client.submit("/console/search", kind="tel", value="+15550100")
        assert found.status_code == reader_sees
        await client.sign_in()
        answer = await client.get(f"/console/vcon/{uuid}/json")
        assert answer.status_code == (403 if people == "none" else 200)


async def test_a_reader_sees_no_text_of_an_error(served: Served, operator: Operator) -> None:
    """It may quote a conversation: neither beside a cause nor in the sentence about a vCon."""
    uuid, letters = await posted(served), keys.dead_letters("in")
    about = {"type": "LookupError", "message": "no contact Bea Cole", "fingerprint": "abc123"}
    reason = about | {"error": "LookupError: no contact Bea Cole", "chain": "main", "cause": "x"}
    served.client.lrem("in", 0, uuid)
    served.client.rpush(letters, uuid)
    served.client.hset(keys.reasons(letters), uuid, json.dumps(reason))
    served.client.hset(f"pc:causes:{letters}", "abc123", json.dumps(about))
    served.client.zadd(keys.cause("abc123", letters), {uuid: 1})
    pages = [f"/console/vcon/{uuid}", "/console/failures"]
    async with Operator.of(served) as reader:
        await reader.sign_in(READER)
        for page in pages:
            assert "LookupError" in (shown := await reader.text(page))
            assert "Bea Cole" not in shown
            assert "Bea Cole" in await operator.text(page)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_what_a_vcon_says_is_only_text(served: Served, operator: Operator, text: str) -> None:
    """Another program may have written it, with members of any type."""
    uuid = new_uuid()
    plain = text.encode("utf-8", "replace").decode()
    dialog = [{"type": plain, "body": plain, "mediatype": "text/plain", "url": plain}, plain, [7]]
    party = {"name": plain, "tel": [plain], "mailto": {plain: 1}}
    document = {"uuid": uuid, "parties": [party, plain], "dialog": dialog, "analysis": plain}
    served.client.json().set(f"vcon:{uuid}", "$", document)
    for path in ("", "/content"):
        answer = await operator.get(f"/console/vcon/{uuid}{path}")
        assert answer.status_code == 200, text_of(answer.text)
        checked(answer.text)
        assert "<script>alert" not in answer.text


async def test_finding_and_erasing_a_person(served: Served, operator: Operator) -> None:
    """Only a look first; then with a reason, and a confirmation."""
    uuid = await posted(served)
    found = await operator.submit("/console/search", kind="tel", value="+1 (555) 0100")
    assert found.status_code == 200, text_of(found.text)
    found = await operator.submit("/console/search", kind="tel", value="+15550100")
    assert uuid in found.text
    form = await operator.submit("/console/change/erase/form", tel="+15550100")
    assert "Phone number +15550100" in text_of(form.text)
    look = await operator.change("erase", tel="+15550100", dry_run="true")
    assert "Nothing was erased: 1 vCons would be" in text_of(look.text)
    assert (await operator.get(f"/console/vcon/{uuid}/json")).status_code == 200
    form = await operator.submit("/console/change/erase/form", tel="+15550100", dry_run="")
    assert 'name="dry_run" value="true"> ' in form.text
    done = await operator.change("erase", tel="+15550100")
    assert "1 of 1 vCons are erased" in text_of(done.text), text_of(done.text)
    assert (await operator.get(f"/console/vcon/{uuid}/json")).status_code == 404
    event = await served.audited("erase")
    assert (event.actor, event.detail["reason"]) == ("console:anna", "a test")


async def test_recording_a_basis(served: Served, operator: Operator) -> None:
    """For a vCon from its page, for a person from a search; neither is in the audit's detail."""
    uuid = await posted(served)
    page = await operator.get(f"/console/vcon/{uuid}")
    [link] = re.findall(r'href="(/console/change/record_basis[^"]*)"', page.text)
    form = await operator.get(link)
    assert f"vCon {uuid}" in text_of(form.text)
    checked(form.text)
    fields = {"vcon_uuid": uuid, "granted": "true", "purpose": "crm", "basis": "contract"}
    done = await operator.change("record_basis", **fields)
    assert f"subject{uuid}" in text_of(done.text), text_of(done.text)
    found = await operator.submit("/console/search", kind="tel", value="+15550100")
    assert 'action="/console/change/record_basis/form"' in found.text
    refused = await operator.change("record_basis", tel="+15550100", granted="true")
    assert refused.status_code == 400
    assert "a grant needs one" in text_of(refused.text)
    denied = await operator.change("record_basis", tel="+15550100", granted="false")
    assert "grantedFalse purposenone" in text_of(denied.text), text_of(denied.text)
    event = await served.audited("record_basis")
    assert (event.actor, "5550100" in str(event)) == ("console:anna", False)


async def test_searches_that_are_none(operator: Operator) -> None:
    """400, and what was wrong; the form is there again."""
    for kind, value in (("uuid", "x"), ("nothing", "x"), ("tel", "x" * 300)):
        answer = await operator.submit("/console/search", kind=kind, value=value)
        assert answer.status_code == 400, (kind, text_of(answer.text))
        assert 'name="value"' in answer.text
    uuid = new_uuid()
    answer = await operator.submit("/console/search", kind="uuid", value=uuid.upper())
    assert answer.headers["location"] == f"/console/vcon/{uuid}"


@pytest.mark.parametrize(
    "fields", [{"confirmed": ""}, {"reason": ""}, {"reason": "x" * 501}, {"chain": "nowhere"}]
)
async def test_a_change_needs_a_reason_and_a_confirmation(
    operator: Operator, fields: dict[str, str]
) -> None:
    """The form comes back with what was entered, and nothing is changed."""
    answer = await operator.change("pause", **({"chain": "main", "for": "600"} | fields))
    assert answer.status_code in (400, 404)
    assert "done" not in text_of(answer.text)
    assert "paused" not in await operator.text("/console")


async def test_a_key_of_a_partner(served: Served, operator: Operator) -> None:
    """Created, replaced and ended; each secret is shown once."""
    made = await operator.change("keys_create", ingress_list="in", label="acme")
    [secret] = re.findall("<code>(vk_[^<]+)</code>", made.text)
    page = (await operator.get("/console/keys")).text
    assert secret not in page
    assert "acme" in text_of(page)
    key = page.partition("keys_rotate?key_id=")[2][:36]
    assert "Done" in text_of((await operator.change("keys_rotate", key_id=key)).text)
    assert "done" in text_of((await operator.change("keys_revoke", key_id=key)).text)
    async with Operator.of(served) as reader:
        await reader.sign_in(READER)
        assert "acme" in await reader.text("/console/keys")
        answer = await reader.change("keys_create", ingress_list="in", label="mine")
        assert (answer.status_code, READ_ONLY in text_of(answer.text)) == (403, True)
