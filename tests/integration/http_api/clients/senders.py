"""Clients that send vCons to vcon-server, each with its own requests, retries and successes.

They are written from descriptions of public clients: which headers and parameters these send, for
which statuses they try again, and after which they give a vCon up.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

from tests.integration.http_api.clients.calls import (
    Answer,
    NoAnswerError,
    Parameters,
    Pause,
    Send,
)

HEADER = "x-conserver-api-token"
SECRET = b"secret-that-signs-webhooks"
NO_ANSWER = 0


class End(Enum):
    """What a client takes a vCon for in the end."""

    DELIVERED = "delivered"
    GIVEN_UP = "set aside: no further request without a person"
    FAILED = "not delivered: told to the program or person that has the vCon"
    STOPPED = "the client stops and keeps the vCon"


@dataclass
class Sender:
    """A client; `url` is what its configuration names, without a path."""

    url: str
    token: str
    lists: Sequence[str]
    send: Send
    pause: Pause
    """Called where the client sleeps, with its seconds."""

    seconds: ClassVar[float] = 30
    """For one request."""

    def deliver(self, vcon: dict[str, Any]) -> End:
        """One request; any 2xx is a success."""
        status = self.post(vcon)
        return End.DELIVERED if 200 <= status < 300 else End.FAILED

    def post(self, vcon: dict[str, Any]) -> int:
        """One request; 0 without an answer."""
        raise NotImplementedError

    def status(self, path: str, params: Parameters = None, **arguments: Any) -> int:
        """The status of a POST, 0 without an answer."""
        try:
            return self.answer(path, params, **arguments).status
        except NoAnswerError:
            return NO_ANSWER

    def answer(
        self, path: str, params: Parameters = None, *, headers: Any = None, **arguments: Any
    ) -> Answer:
        """A POST with the token."""
        sent = {HEADER: self.token, **(headers or {})}
        return self.send(
            "POST",
            self.url + path,
            params=params,
            headers=sent,
            timeout=self.seconds,
            **arguments,
        )


class Template(Sender):
    """The delivery of the adapter template and of the VAC adapter."""

    tries: ClassVar[int] = 6

    def deliver(self, vcon: dict[str, Any]) -> End:
        """Every status but 2xx is tried again, five times."""
        for number in range(self.tries):
            if number:
                self.pause(min(2.0 ** (number - 1), 60))
            if 200 <= self.post(vcon) < 300:
                return End.DELIVERED
        return End.GIVEN_UP

    def post(self, vcon: dict[str, Any]) -> int:
        """Lists repeated, and the uuid as the key of the request."""
        lists = [("ingress_lists", name) for name in self.lists]
        return self.status("/vcon", lists, json=vcon, headers={"Idempotency-Key": vcon["uuid"]})


class TemplateWebhook(Template):
    """The template's delivery to any address: a signature over the bytes as they are sent."""

    def post(self, vcon: dict[str, Any]) -> int:
        """The address has its parameters already."""
        text = json.dumps(vcon, indent=1).encode()
        return self.status(
            f"/vcon?ingress_lists={self.lists[0]}", data=text, headers=signed(text, vcon["uuid"])
        )


def signed(text: bytes, key: str) -> dict[str, str]:
    """The headers of a webhook."""
    digest = hmac.new(SECRET, text, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "Idempotency-Key": key,
        "X-Hub-Signature-256": f"sha256={digest}",
    }


class Telephony(Sender):
    """The poster of the telephony adapters: lists joined by a comma in the address, no retries."""

    def post(self, vcon: dict[str, Any]) -> int:
        """The whole address is configured."""
        return self.status(f"/vcon?ingress_lists={','.join(self.lists)}", json=vcon)


class EncodedTelephony(Sender):
    """The same where the HTTP library writes the comma as `%2C`."""

    def post(self, vcon: dict[str, Any]) -> int:
        """Lists in one value."""
        return self.status("/vcon", {"ingress_lists": ",".join(self.lists)}, json=vcon)


class Audio(Sender):
    """The audio adapter: it waits while the list is longer than its limit."""

    most: ClassVar[int] = 2

    def deliver(self, vcon: dict[str, Any]) -> End:
        """The depth is asked for without a token."""
        while self.depth() >= self.most:
            self.pause(1)
        return super().deliver(vcon)

    def depth(self) -> int:
        """The length of the first list."""
        answer = self.send(
            "GET", self.url + "/stats/queue", params={"list_name": self.lists[0]}, timeout=60
        )
        return int(answer.json()["depth"])

    def post(self, vcon: dict[str, Any]) -> int:
        """Lists repeated."""
        return self.status("/vcon", {"ingress_lists": list(self.lists)}, json=vcon)


class Siprec(Sender):
    """The SIPREC adapter: a signed webhook with headers of its own; 4xx are final."""

    tries: ClassVar[int] = 4
    path: ClassVar[str] = "/vcon?ingress_lists="

    def deliver(self, vcon: dict[str, Any]) -> End:
        """5xx and no answer are tried again."""
        for number in range(self.tries):
            if number:
                self.pause(2.0**number)
            status = self.post(vcon)
            if 200 <= status < 300:
                return End.DELIVERED
            if 400 <= status < 500:
                return End.GIVEN_UP
        return End.GIVEN_UP

    def ping(self) -> bool:
        """Its test of an address: any status below 400 is healthy."""
        text = json.dumps({"test": True, "timestamp": "2026-11-21T12:00:00Z"}).encode()
        return 0 < self._posted(text, "ping") < 400

    def post(self, vcon: dict[str, Any]) -> int:
        """The vCon, signed."""
        return self._posted(json.dumps(vcon).encode(), vcon["uuid"])

    def _posted(self, text: bytes, key: str) -> int:
        own = {
            "X-Session-ID": "session-1",
            "X-Call-ID": "call-1@sbc.example",
            "X-Delivery-Timestamp": "2026-11-21T12:00:00Z",
            "X-Tenant": "any header of the configuration",
        }
        path = self.path + self.lists[0]
        return self.status(path, data=text, headers=signed(text, key) | own)


class SiprecPartner(Siprec):
    """The same with a partner's key as its token, and the key's signing secret."""

    path: ClassVar[str] = "/vcon/external-ingress?ingress_list="


class SignalWire(Sender):
    """The SignalWire adapter: anything below 400 is a success, 10 seconds."""

    seconds: ClassVar[float] = 10

    def deliver(self, vcon: dict[str, Any]) -> End:
        """One request."""
        return End.DELIVERED if 0 < self.post(vcon) < 400 else End.FAILED

    def post(self, vcon: dict[str, Any]) -> int:
        """To the configured address."""
        return self.status(f"/api/vcon?ingress_lists={self.lists[0]}", json=vcon)


class Nas(Sender):
    """A transcription pipeline: exactly 201, and documents of version 0.0.1 with files as URLs."""

    def deliver(self, vcon: dict[str, Any]) -> End:
        """One request."""
        return End.DELIVERED if self.post(vcon) == 201 else End.FAILED

    def post(self, vcon: dict[str, Any]) -> int:
        """The vCon in the older form."""
        recording = {
            "type": "recording",
            "start": "2026-11-21T12:00:00+00:00",
            "duration": 12.5,
            "parties": [0],
            "mimetype": "audio/wav",
            "filename": "call.wav",
            "url": "file:///mnt/nas/2026/11/call.wav",
        }
        older = {
            **vcon,
            "vcon": "0.0.1",
            "dialog": [recording],
            "group": [],
            "redacted": {},
            "appended": None,
        }
        return self.status(f"/vcon?ingress_lists={self.lists[0]}", json=older)


class PostToUrl(Sender):
    """The vcon library, exporters and webhooks: JSON to any address with any headers."""

    def post(self, vcon: dict[str, Any]) -> int:
        """Without another header than the configured ones."""
        return self.status(f"/vcon?ingress_lists={self.lists[0]}", json=vcon)


class Prompted(Sender):
    """A client as guides describe it: one list as `ingress_list`."""

    def post(self, vcon: dict[str, Any]) -> int:
        """The list in the address."""
        return self.status("/api/vcon", {"ingress_list": self.lists[0]}, json=vcon)


class PromptedHeader(Sender):
    """A client as other guides describe it: one list in a header."""

    def post(self, vcon: dict[str, Any]) -> int:
        """The list as a header."""
        return self.status("/api/vcon", json=vcon, headers={"ingress_list": self.lists[0]})


class CurlData(Sender):
    """`curl -d` without a content type: curl then names that of a form."""

    def post(self, vcon: dict[str, Any]) -> int:
        """The text of the vCon."""
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        text = json.dumps(vcon).encode()
        return self.status(f"/vcon?ingress_list={self.lists[0]}", data=text, headers=form)


SENDERS: tuple[type[Sender], ...] = (
    Template,
    TemplateWebhook,
    Telephony,
    EncodedTelephony,
    Siprec,
    SignalWire,
    Nas,
    PostToUrl,
    Prompted,
    PromptedHeader,
    CurlData,
)
SEVERAL_LISTS = (Template, Telephony, EncodedTelephony)


@dataclass
class Spool:
    """The sipnab forwarder: a folder of files, sent to external-ingress one after another."""

    url: str
    key: str
    name: str
    send: Send
    pause: Pause
    folder: Path

    def keep(self, vcon: dict[str, Any]) -> None:
        """A file of the folder."""
        (self.folder / f"{vcon['uuid']}.json").write_text(json.dumps(vcon))

    def run(self) -> End:
        """Send all files: 2xx deletes one, 4xx sets it aside, others are tried again."""
        end = End.DELIVERED
        for path in sorted(self.folder.glob("*.json")):
            status = self.post(path.read_bytes())
            while status == NO_ANSWER or status >= 500:
                self.pause(5)
                status = self.post(path.read_bytes())
            if 200 <= status < 300:
                path.unlink()
            elif status in (401, 403, 404):
                return End.STOPPED
            else:
                path.rename(path.with_suffix(".rejected"))
                end = End.GIVEN_UP
        return end

    def post(self, text: bytes) -> int:
        """One file; no prefix in the path."""
        headers = {HEADER: self.key, "Content-Type": "application/json"}
        try:
            return self.send(
                "POST",
                f"{self.url}/vcon/external-ingress",
                params={"ingress_list": self.name},
                data=text,
                headers=headers,
                timeout=30,
            ).status
        except NoAnswerError:
            return NO_ANSWER
