"""`python -m devstack.plugboard`: runs a development Plugboard with a service and tokens."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from devstack.plugboard.board.directory import AccountToken, Service, Token
from devstack.plugboard.server import DevelopmentPlugboard
from devstack.plugboard.settings import PlugboardSettings, Variant

new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
with contextlib.suppress(ImportError):
    import uvloop

    new_event_loop = uvloop.new_event_loop


@dataclass(frozen=True, slots=True)
class Furnished:
    """A running board with one service and its tokens."""

    board: DevelopmentPlugboard
    service: Service
    token: Token
    account: AccountToken

    def as_json(self) -> str:
        """The URLs and tokens as one line of JSON, for programs."""
        return json.dumps(
            {
                "http_url": self.board.http_url,
                "websocket_url": self.board.websocket_url,
                "admin_url": self.board.admin_url,
                "service_id": self.service.id,
                "token": self.token.value,
                "account_token": self.account.value,
            }
        )

    def as_text(self) -> str:
        """The URLs and tokens as text, with an example request."""
        body = json.dumps({"service_id": self.service.id, "action": "ListChains", "fields": {}})
        return f"""\
Development Plugboard, variant {self.board.settings.variant}: a tool, not the real Plugboard.

  WEBSOCKET_URL={self.board.websocket_url}
  TOKEN={self.token.value}

  curl {self.board.http_url} -H 'Authorization: Bearer {self.account.value}' \\
    -H 'Content-Type: application/json' -d '{body}'

Admin door, from this machine only: curl {self.board.admin_url}
Stop with Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a board until SIGTERM or SIGINT; raises SystemExit on bad arguments or a taken port."""
    options = _parser().parse_args(arguments)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        try:
            runner.run(serve(options))
        except OSError as error:
            sys.exit(f"cannot listen on {options.host}:{options.port}: {error}")


async def serve(options: argparse.Namespace) -> None:
    """Start, print the URLs and tokens, and stop gracefully on a signal."""
    board = DevelopmentPlugboard(_settings(options))
    await board.start()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    ready = _furnish(board, options)
    print(ready.as_json() if options.json else ready.as_text(), flush=True)
    await stopping.wait()
    await board.stop()


def _furnish(board: DevelopmentPlugboard, options: argparse.Namespace) -> Furnished:
    service = board.create_service(options.service)
    return Furnished(
        board,
        service,
        board.create_token(service, options.token),
        board.create_account_token(value=options.account_token),
    )


def _settings(options: argparse.Namespace) -> PlugboardSettings:
    return PlugboardSettings(
        host=options.host,
        port=options.port,
        variant=Variant(options.variant),
        answer_timeout=options.answer_timeout,
        idle_timeout=options.idle_timeout,
        drain_timeout=options.drain_timeout,
        losses=not options.no_losses,
        recorded_frames=0,
    )


def _parser() -> argparse.ArgumentParser:
    known = PlugboardSettings()
    parser = argparse.ArgumentParser(prog="python -m devstack.plugboard", description=__doc__)
    parser.add_argument("--host", default=known.host)
    parser.add_argument("--port", type=int, default=4000, help="0 takes a free one")
    parser.add_argument("--variant", choices=list(Variant), default=known.variant)
    parser.add_argument("--service", default="development", help="name of the service")
    parser.add_argument(
        "--token", default=_variable("TOKEN"), help="the service's token; else $TOKEN, or made up"
    )
    parser.add_argument(
        "--account-token",
        default=_variable("ACCOUNT_TOKEN"),
        help="the callers' token; else $ACCOUNT_TOKEN, or made up",
    )
    parser.add_argument("--answer-timeout", type=float, default=known.answer_timeout)
    parser.add_argument("--idle-timeout", type=float, default=known.idle_timeout)
    parser.add_argument("--drain-timeout", type=float, default=known.drain_timeout)
    parser.add_argument("--no-losses", action="store_true", help="lose no request (docs say which)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead")
    return parser


def _variable(name: str) -> str | None:
    """A variable of the environment: other users can read the arguments of a process."""
    return os.environ.get(name) or None


if __name__ == "__main__":
    main()
