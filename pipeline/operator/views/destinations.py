"""Destinations: what each is doing, and a try while its breaker is open."""

from datetime import datetime
from typing import Literal

from core.errors import UnknownNameError
from core.operator_interfaces import Call, Operation
from pipeline.config.model import Destination, PipelineConfig
from pipeline.destinations.states import State, states_of
from pipeline.operator.parts import Parts
from pipeline.operator.row import Row, about
from schemas.operator.steps import (
    BreakerClosed,
    CloseBreakerRequest,
    Destinations,
    DestinationsQuery,
    DestinationState,
)

SHOWN_NAMES = 20
DESTINATIONS = Operation(
    "destinations",
    "The servers that steps call: limits, breakers, and what waits",
    DestinationsQuery,
    Destinations,
)
CLOSE_BREAKER = Operation(
    "close_breaker",
    "Let one run try a destination whose breaker is open at once",
    CloseBreakerRequest,
    BreakerClosed,
    changes=True,
)


class DestinationView:
    """The operations."""

    def __init__(self, parts: Parts) -> None:
        """Only destinations of the configuration are shown."""
        self._redis = parts.redis
        self._configuration = parts.configuration

    async def show(self, _query: DestinationsQuery, _call: Call) -> Destinations:
        """All destinations, with the steps that call each."""
        config = self._configuration.config
        known = config.destinations
        states = await states_of(self._redis, list(known))
        return Destinations(
            destinations=[_shown(config, known[name], state) for name, state in states.items()]
        )

    async def close(self, request: CloseBreakerRequest, _call: Call) -> BreakerClosed:
        """End the time for which a breaker is open; the first run that waits tries.

        Raises:
            UnknownNameError: the configuration has no such destination.
        """
        name, known = request.destination, self._configuration.config.destinations
        if name not in known:
            raise UnknownNameError("destination", name, list(known)[:SHOWN_NAMES])
        left, waiting = await self._redis.script("try_destination", name, "")
        open_for = None if int(left) < 0 else int(left) / 1000
        return BreakerClosed(destination=name, open_for=open_for, waiting=int(waiting))


def rows(parts: Parts) -> list[Row]:
    """Both operations."""
    view = DestinationView(parts)
    return [Row(DESTINATIONS, view.show), Row(CLOSE_BREAKER, view.close, about("destination"))]


def _shown(config: PipelineConfig, to: Destination, state: State) -> DestinationState:
    return DestinationState(
        name=to.name,
        state=_word(to, state),
        in_flight=state.in_flight,
        max_in_flight=to.max_in_flight,
        requests_per_minute=to.requests_per_minute,
        waiting=state.waiting,
        next_in=state.next_in,
        open_for=state.open_for,
        failures=state.failures,
        since=_moment(state.since),
        error=state.unusable or state.error or None,
        failed_at=_moment(state.failed_at),
        mean=state.mean,
        steps=_steps(config, to.name),
    )


def _word(
    to: Destination, state: State
) -> Literal["closed", "open", "half-open", "no breaker", "unusable"]:
    if state.unusable:
        return "unusable"
    if to.breaker is None or not to.breaker.failures:
        return "no breaker"
    if state.open_for is None:
        return "closed"
    return "open" if state.open_for > 0 else "half-open"


def _steps(config: PipelineConfig, name: str) -> list[str]:
    links = [f"link {key}" for key, each in config.links.items() if _calls(each.destination, name)]
    found = config.storages.items()
    return links + [f"storage {key}" for key, each in found if _calls(each.destination, name)]


def _calls(to: Destination | None, name: str) -> bool:
    return to is not None and to.name == name


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
