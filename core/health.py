"""GET /live and /ready for health checks and /metrics for Prometheus, in a thread of their own."""

import http.server
import json
import socketserver
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, override

from core.errors import ConfigurationError
from core.settings import Settings

type Checks = Callable[[], Mapping[str, bool]]
type Warnings = Callable[[], Sequence[str]]
"""What `/ready` says beside the checks; it does not count."""
type Metrics = Callable[[str], tuple[bytes, str]]
"""Given an Accept header: the page, and its content type."""


def health_server(
    settings: Settings, checks: Checks, metrics: Metrics, warnings: Warnings = tuple
) -> "HealthServer | None":
    """The server that the settings ask for, if any.

    Raises:
        ConfigurationError: when its port is taken.
    """
    port = settings.health_port
    if port is None:
        return None
    try:
        return HealthServer(settings.health_host, port, checks, metrics, warnings)
    except OSError as error:
        msg = f"HEALTH_PORT: cannot listen on {port}: {error.strerror}"
        raise ConfigurationError(msg) from None


class HealthServer:
    """Answers `/live` with 200 while the process runs, `/ready` with 200 or 503 and the checks.

    `/metrics` is what the service counts.
    """

    def __init__(
        self,
        host: str,
        port: int,
        checks: Checks,
        metrics: Metrics,
        warnings: Warnings = tuple,
    ) -> None:
        """`checks` is called in another thread for every request; it must not block.

        Raises:
            OSError: when the port is taken.
        """
        sources: dict[str, object] = {"checks": staticmethod(checks)}
        sources |= {"metrics": staticmethod(metrics), "warnings": staticmethod(warnings)}
        handler = type("Handler", (_Handler,), sources)
        self._server = _Server((host, port), handler)
        self._thread = threading.Thread(target=self._serve, name="health", daemon=True)

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=0.1)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    """Unlike `http.server.HTTPServer` it does not look its own name up in DNS before it listens."""

    allow_reuse_address = True
    daemon_threads = True


class _Handler(http.server.BaseHTTPRequestHandler):
    checks: Checks
    metrics: Metrics
    warnings: Warnings
    protocol_version = "HTTP/1.1"
    timeout = 10  # seconds that a silent connection keeps its thread

    def do_GET(self) -> None:
        if self.path == "/live":
            self._answer(200, {"live": True})
        elif self.path == "/ready":
            checks, warnings = dict(self.checks()), list(self.warnings())
            told = {"warnings": warnings} if warnings else {}
            self._answer(200 if all(checks.values()) else 503, checks | told)
        elif self.path.partition("?")[0] == "/metrics":
            self._send(200, *self.metrics(self.headers.get("Accept", "")))
        else:
            self._answer(404, {"error": "there are /live, /ready and /metrics"})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        self._send(status, json.dumps(body).encode(), "application/json")

    def _send(self, status: int, content: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """A health check every few seconds is no news."""
