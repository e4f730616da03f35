"""Builds the service process: its pipeline, and the connection to the Plugboard.

With API_PORT it serves the HTTP API, too.
"""

import logging
from functools import partial
from typing import Any

from app.pipeline_host import PipelineHost, RequestSource, connection_backoff
from app.published_actions import offered_actions, published_actions
from app.signals import LINGER, StopSignals, end_within
from core.action_registry import ActionRegistry
from core.concurrency.thread_pool import BlockingPool, in_own_thread
from core.db.database import database
from core.db.registrations import Records
from core.observability import metrics
from core.observability.logs import keep_names
from core.phoenix.channel import Channel
from core.plugboard.client import TOPIC, PlugboardClient
from core.plugboard.handshake import check_request_line, fingerprint, handshake_url
from core.plugboard.session import Limits
from core.rpc.concurrency_limiter import ConcurrencyLimiter
from core.rpc.dispatcher import dispatcher
from core.rpc.request_handler import RequestLimits, reply_format
from core.secrets.credentials import Credentials
from core.settings import Settings
from pipeline.live_config import until_still
from pipeline.operator.register import HostFacts
from pipeline.runs.factories import config_path

log = logging.getLogger(__name__)

EXIT_STOPPED, EXIT_RETIRED = 0, 3


async def serve(settings: Settings) -> int:
    """Run the service until SIGTERM or SIGINT, and return the exit code.

    The process ends `LINGER` s later even if a plugin's thread still runs.

    Raises:
        ConfigurationError: when it cannot start as configured.
    """
    if settings.has_pipeline:
        await until_still(config_path(settings))
    exit_code = await Service(settings).run(StopSignals())
    end_within(LINGER, exit_code)
    return exit_code


class Service:
    """The parts of one service process."""

    def __init__(self, settings: Settings) -> None:
        """Build all parts without connecting to anything.

        Raises:
            ConfigurationError: with all problems.
        """
        self._settings = settings
        self._host = PipelineHost(settings, settings.conserver_workers)
        self._records = Records(database)
        self._threads = BlockingPool(settings.blocking_threads)
        actions = offered_actions(settings)
        metrics.REQUESTS.offer(actions)
        keep_names(name for action in actions.values() for name in action.secret_names())
        self._limiter = _limiter(settings)
        shown = published_actions(settings, actions)
        self._client = self._build_client(actions, shown)
        self._sources = [RequestSource(self._client.run, self._client.leave)]
        if settings.api_port is not None:
            from app.bootstrap_api import api_source  # noqa: PLC0415 -- not needed otherwise

            self._sources.append(api_source(settings, self._host))
        self._host.listen(
            joined=lambda: self._client.joined,
            token=self._token_is_good if settings.strict_token else None,
            about=partial(self._facts, fingerprint(shown)),
        )
        self._bind_gauges()

    def _token_is_good(self) -> bool:
        return not self._client.credentials.current.deleted

    def _facts(self, actions: str) -> HostFacts:
        """For the register of replicas; `actions` is the fingerprint of those published."""
        expiry = self._client.credentials.current.expires_at
        return HostFacts(
            "serve", joined=self._client.joined, token_expires_at=expiry, actions=actions
        )

    def _bind_gauges(self) -> None:
        """Let the gauges be read at the time of each request for `/metrics`."""
        metrics.JOINED.set_function(lambda: self._client.joined)
        metrics.IN_FLIGHT.set_function(lambda: self._limiter.running)
        metrics.WAITING.set_function(lambda: self._limiter.waiting)
        metrics.GIVING_WAY.set_function(lambda: self._limiter.suspended)
        metrics.STUCK_THREADS.set_function(lambda: self._threads.stuck)

    def _build_client(self, actions: ActionRegistry, shown: dict[str, Any]) -> PlugboardClient:
        settings, pipeline = self._settings, self._host.pipeline
        url_for = partial(
            handshake_url,
            settings.websocket_url,
            actions=shown,
            vsn=settings.plugboard_vsn,
        )
        url = url_for(settings.token.get_secret_value())
        size = check_request_line(url, settings.request_line_limit)
        log.info("offering actions", extra={"actions": list(shown), "count": size})
        helper, backoff = self._host.helper, connection_backoff(settings)
        return PlugboardClient(
            url_for=url_for,
            credentials=Credentials(settings.token),
            channel=Channel(
                TOPIC,
                vsn=settings.plugboard_vsn,
                heartbeat_interval=settings.heartbeat_interval,
                heartbeat_timeout=settings.heartbeat_timeout,
                join_timeout=settings.join_timeout,
                rejoin=backoff,
            ),
            dispatcher=dispatcher(actions, run_blocking=self._threads.run, offload=helper),
            limiter=self._limiter,
            events=ActionRegistry.discover("events"),
            reply_format=reply_format(settings.reply_format, settings.reply_twice_bytes),
            reconnect=backoff,
            records=self._records,
            pipeline=pipeline.service if pipeline else None,
            relay=pipeline.answers if pipeline else None,
            limits=_limits(settings),
            offload=helper,
            request_limits=RequestLimits(settings.action_timeout, settings.max_vcon_bytes),
        )

    async def run(self, signals: StopSignals) -> int:
        """Serve until a stop signal or the deletion of the service; return the exit code."""
        try:
            await self._host.run(signals, self._sources, self._records.start)
        finally:
            await in_own_thread(self._records.close, 5.0)
            self._threads.close()
            await self._host.close()
        return EXIT_RETIRED if self._client.retired else EXIT_STOPPED


def _limiter(settings: Settings) -> ConcurrencyLimiter:
    return ConcurrencyLimiter(
        max_running=settings.max_concurrency,
        max_waiting=settings.max_queue,
        max_bytes=settings.max_request_memory,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        settings.request_line_limit,
        settings.max_frame_bytes,
        settings.max_unread_bytes,
        settings.max_handover_bytes,
    )
