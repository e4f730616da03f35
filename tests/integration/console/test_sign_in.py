"""Signing in and out of the console, and what its pages need."""

from __future__ import annotations

from contextlib import AsyncExitStack

import httpx
import pytest

from http_api.console.console import CLOSED, NOT_OURS, NOT_THIS_SESSION
from http_api.console.sign_in import NAMELESS, WRONG, own_path
from http_api.console.visit import READ_ONLY
from pipeline.redis_client import keys
from tests.integration.console.console_scene import OPERATOR, READER, Operator, text_of
from tests.integration.http_api.http_scene import TOKEN, Served, Start

AUDIT = "/console/audit"


async def test_a_page_leads_to_the_form_and_the_form_to_the_page(served: Served) -> None:
    """The address that was asked for is kept."""
    async with Operator.of(served) as client:
        answer = await client.get(f"{AUDIT}?limit=7")
        assert answer.status_code == 303
        form = await client.get(answer.headers["location"])
        assert 'name="next" value="/console/audit?limit=7"' in form.text
        answer = await client.sign_in(after="/console/audit?limit=7")
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/audit?limit=7")
        assert "anna (operator)" in await client.text(AUDIT)


@pytest.mark.parametrize("path", ["/..", "/vcon/../../x", "/%2e%2E/x", "/.", "/.%2e?a=b"])
def test_a_path_that_leaves_the_console_is_not_gone_on_to(path: str) -> None:
    """Browsers take such segments out of a path, with the one before."""
    assert own_path(f"/console{path}") == "/console"
    assert own_path("/console/failures/.a..b") == "/console/failures/.a..b"


@pytest.mark.parametrize(
    ("secret", "role"), [(OPERATOR, "operator"), (READER, "reader"), (TOKEN, "operator")]
)
async def test_what_opens_the_console(served: Served, secret: str, role: str) -> None:
    """Its passwords, and the tokens of the HTTP API."""
    async with Operator.of(served) as client:
        await client.sign_in(secret)
        assert f"anna ({role})" in await client.text(AUDIT)


@pytest.mark.parametrize("secret", ["", "wrong", OPERATOR[:-1], f"{OPERATOR} ", "\0", "ü" * 2000])
async def test_what_does_not(served: Served, secret: str) -> None:
    """403, the same for all; no session is begun."""
    async with Operator.of(served) as client:
        answer = await client.sign_in(secret)
        assert (answer.status_code, WRONG in text_of(answer.text)) == (403, True)
        assert "set-cookie" not in answer.headers
    assert not served.client.exists(keys.SESSIONS)


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "a\x1bb", "a\u202eb", "a\nb"])
async def test_a_name_is_asked_for(served: Served, name: str) -> None:
    """The audit keeps it, so it is one line that can be read."""
    async with Operator.of(served) as client:
        answer = await client.sign_in(name=name)
        assert (answer.status_code, NAMELESS in text_of(answer.text)) == (400, True)


@pytest.mark.parametrize(
    "after",
    [
        "https://example.com/",
        "//example.com/console",
        "/console.example.com",
        "/console//example.com",
        "/console/../vcon",
        "/console\\@example.com",
        "/console/x\r\nset-cookie: a=b",
        "/console/sign-out",
        "javascript:alert(1)",
        "/console/" + "x" * 1000,
        "/console/é",
    ],
)
async def test_the_form_leads_to_no_other_place(served: Served, after: str) -> None:
    """Only to a page of the console."""
    async with Operator.of(served) as client:
        answer = await client.sign_in(after=after)
        location = answer.headers["location"]
        assert location == "/console" or location == after == "/console/../vcon"
        assert "set-cookie: a" not in str(answer.headers)


async def test_the_cookie(start: Start) -> None:
    """HttpOnly and SameSite=Strict; Secure and bound to the host behind a proxy with https."""
    async with start(console_trust_proxy=True) as served, Operator.of(served) as client:
        plain = (await client.sign_in()).headers["set-cookie"]
        assert plain.startswith("console=")
        assert plain.endswith("; Path=/console; HttpOnly; SameSite=Strict")
        client.headers["x-forwarded-proto"] = "https"
        secure = (await client.sign_in()).headers["set-cookie"]
        assert secure.startswith("__Host-console=")
        assert secure.endswith("; Path=/; Secure; HttpOnly; SameSite=Strict")


async def test_a_proxy_is_believed_only_if_the_settings_say_so(served: Served) -> None:
    """Any client can send the header."""
    async with Operator.of(served, headers={"x-forwarded-proto": "https"}) as client:
        assert (await client.sign_in()).headers["set-cookie"].startswith("console=")


async def test_each_sign_in_has_another_cookie(served: Served) -> None:
    """The session before it has ended; Redis has neither cookie."""
    async with Operator.of(served) as client, Operator.of(served) as before:
        await client.sign_in()
        first = client.cookies["console"]
        await client.sign_in()
        second = client.cookies["console"]
        assert first != second
        assert (await before.get(AUDIT, headers={"cookie": f"console={first}"})).status_code == 303
    [key] = served.client.keys("pc:session:*")
    stored = f"{key} {served.client.get(key)} {served.client.zrange(keys.SESSIONS, 0, -1)}"
    assert not any(secret in stored for secret in (first, second, OPERATOR))


@pytest.mark.parametrize("cookie", ["", "x" * 43, "../" * 20, "é", "'; DROP", "a" * 5000])
async def test_cookies_that_are_none(served: Served, cookie: str) -> None:
    """They lead to the form."""
    headers = {b"cookie": f"console={cookie}".encode("latin-1")}
    async with Operator.of(served) as client:
        assert (await client.get(AUDIT, headers=headers)).status_code == 303


async def test_what_another_program_wrote_is_no_session(served: Served) -> None:
    """It has no proof of the password; a key of another type is named."""
    async with Operator.of(served) as client:
        await client.sign_in()
        [key] = served.client.keys("pc:session:*")
        for text in ("", "null", "[]", '{"name":1}', '{"name":"x","proof":"x","began":9e99}'):
            served.client.set(key, text)
            assert (await client.get(AUDIT)).status_code == 303, text
        served.client.delete(key)
        served.client.lpush(key, "x")
        assert key in await client.text(AUDIT, 503)


async def test_a_session_ends_with_its_password(start: Start) -> None:
    """After a restart with another one."""
    async with start() as served, Operator.of(served) as client:
        await client.sign_in()
        cookie = client.cookies["console"]
    async with start(console_password="another-password") as served, Operator.of(served) as client:
        headers = {"cookie": f"console={cookie}"}
        assert (await client.get(AUDIT, headers=headers)).status_code == 303


async def test_sign_out(served: Served) -> None:
    """Of this session, and of all."""
    async with Operator.of(served) as first, Operator.of(served) as second:
        await first.sign_in()
        await second.sign_in()
        answer = await first.submit("/console/sign-out")
        assert "Max-Age=0" in answer.headers["set-cookie"]
        assert (await first.get(AUDIT)).status_code == 303
        assert (await second.get(AUDIT)).status_code == 200
        await first.sign_in()
        await first.submit("/console/sign-out", everywhere="yes")
        assert (await second.get(AUDIT)).status_code == 303
    assert not served.client.keys("pc:session*")


async def test_a_reader_ends_no_sessions_of_others(served: Served) -> None:
    """The field is without effect."""
    async with Operator.of(served) as first, Operator.of(served) as second:
        await first.sign_in()
        await second.sign_in(READER)
        await second.submit("/console/sign-out", everywhere="yes")
        assert (await first.get(AUDIT)).status_code == 200


async def test_sessions_are_bounded(start: Start) -> None:
    """The oldest one ends, so a sign-in always succeeds."""
    async with start(console_max_sessions=2) as served, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Operator.of(served)) for _ in range(3)]
        for client in clients:
            await client.sign_in()
        statuses = [(await client.get(AUDIT)).status_code for client in clients]
        assert statuses == [303, 200, 200]
        assert served.client.zcard(keys.SESSIONS) == len(served.client.keys("pc:session:*")) == 2


async def test_sessions_have_their_times(start: Start) -> None:
    """A request begins the idle time again, within the length."""
    times = {"console_idle_minutes": 30, "console_session_hours": 1}
    async with start(**times) as served, Operator.of(served) as client:
        await client.sign_in()
        [key] = served.client.keys("pc:session:*")
        assert served.client.ttl(key) in (1799, 1800)
        served.client.expire(key, 5)
        await client.get(AUDIT)
        assert served.client.ttl(key) in (1799, 1800)
        text = str(served.client.get(key))
        began = text.partition('"began":')[2].rstrip("}")
        older = text.replace(began, str(float(began) - 3000))
        served.client.set(key, older, ex=1800)
        await client.get(AUDIT)
        assert 590 <= int(served.client.ttl(key)) <= 600  # type: ignore[arg-type]
        served.client.set(key, text.replace(began, str(float(began) - 3601)), ex=1800)
        assert (await client.get(AUDIT)).status_code == 303


async def test_forms_need_the_token_of_their_session(served: Served) -> None:
    """Not that of another one."""
    async with Operator.of(served) as first, Operator.of(served) as second:
        await first.sign_in()
        await second.sign_in()
        for token in ("", "x", "\u00fc", await second.token()):
            answer = await first.post("/console/sign-out", data={"form_token": token})
            assert (answer.status_code, NOT_THIS_SESSION in text_of(answer.text)) == (403, True)
        assert (await first.get(AUDIT)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://example.com"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://HOST"},
        {"origin": "http://[bad"},
    ],
)
async def test_forms_of_other_sites_are_refused(served: Served, headers: dict[str, str]) -> None:
    """The form to sign in, too."""
    host = f"127.0.0.1:{served.port}"
    given = {name: value.replace("HOST", host) for name, value in headers.items()}
    async with Operator.of(served) as client:
        await client.sign_in()
        token = await client.token()
        client.headers.update(given)
        for path in ("/console/sign-in", "/console/sign-out"):
            fields = {"form_token": token, "name": "anna", "secret": OPERATOR}
            answer = await client.post(path, data=fields)
            assert (answer.status_code, NOT_OURS in text_of(answer.text)) == (403, True)


async def test_forms_of_this_site_are_taken(served: Served) -> None:
    """As browsers send them."""
    for headers in (
        {"origin": f"http://127.0.0.1:{served.port}"},
        {"sec-fetch-site": "same-origin", "origin": "https://console.example.com"},
    ):
        async with Operator.of(served, headers=headers) as client:
            assert (await client.sign_in()).status_code == 303


async def test_wrong_passwords_are_throttled(start: Start) -> None:
    """A short right one waits, too; a long one is taken, so the operator is not locked out."""
    short = "twelve-chars"
    limits = {"console_failed_sign_ins": 2, "console_read_password": short}
    async with start(**limits) as served, Operator.of(served) as client:
        for _ in range(2):
            assert (await client.sign_in("wrong")).status_code == 403
        for secret in ("wrong", short):
            answer = await client.sign_in(secret)
            assert (answer.status_code, "set-cookie" in answer.headers) == (429, False)
            assert 0 < int(answer.headers["retry-after"]) <= 60
        for secret in (OPERATOR, TOKEN):
            assert (await client.sign_in(secret)).status_code == 303


async def test_api_open_does_not_open_the_console(start: Start) -> None:
    """Without a token or password it is off, and says so; with a password it asks for it."""
    closed = {"conserver_api_token": None, "api_open": True}
    nothing = {"console_password": None, "console_read_password": None}
    async with start(**closed, **nothing) as served, Operator.of(served) as client:
        for path in ("/console", AUDIT, "/console/sign-in"):
            assert CLOSED in await client.text(path, 404)
        assert (await client.sign_in("")).status_code == 404
        assert (await client.get("/vcon")).status_code == 200
    async with start(**closed) as served, Operator.of(served) as client:
        assert (await client.get(AUDIT)).status_code == 303


async def test_the_console_can_be_left_out(start: Start) -> None:
    """CONSOLE=false: there is no such path."""
    async with start(console=False) as served, Operator.of(served) as client:
        answer = await client.get("/console")
        assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


async def test_a_reader_changes_nothing(served: Served) -> None:
    """403, and the page says why."""
    async with Operator.of(served) as client:
        await client.sign_in(READER)
        assert READ_ONLY in await client.text("/console/change/pause", 403)
        answer = await client.change("pause", chain="main")
        assert (answer.status_code, READ_ONLY in text_of(answer.text)) == (403, True)


async def test_htmx_goes_to_the_form_when_the_session_has_ended(served: Served) -> None:
    """A part of a page is not replaced by the form."""
    async with Operator.of(served) as client:
        answer: httpx.Response = await client.get(AUDIT, headers={"hx-request": "true"})
        assert (answer.status_code, answer.text) == (403, "")
        assert answer.headers["hx-redirect"] == "/console/sign-in"
