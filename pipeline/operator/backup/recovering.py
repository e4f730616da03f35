"""`recover`: make Redis like custody now, or count what that would change."""

from core.errors import InvalidError
from core.operator_interfaces import Call, Operation
from pipeline.operator.parts import Parts
from pipeline.operator.row import Row
from schemas.operator.recovery import RecoverParameters, RecoverResult

_RECOVER = Operation(
    "recover",
    "Make Redis like custody in Postgres",
    RecoverParameters,
    RecoverResult,
    changes=True,
    remote=False,
)


class Recovering:
    """Answers `recover`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def recover(self, request: RecoverParameters, _call: Call) -> RecoverResult:
        """Recover, also if nothing was lost: what Redis knows stays as it is.

        Raises:
            InvalidError: there is no custody, or other replicas use another Redis.
            UnavailableError: Redis or Postgres cannot be reached.
        """
        watch = self._parts.identity_watch()
        if watch is None:
            raise InvalidError("CUSTODY=redis: Redis alone has what was accepted")
        told = await (watch.forecast() if request.dry_run else watch.recover_now())
        return RecoverResult(dry_run=request.dry_run, **told._asdict())


def _audited(parameters: RecoverParameters) -> tuple[str, dict[str, bool]] | None:
    return None if parameters.dry_run else ("redis", {})


def rows(parts: Parts) -> list[Row]:
    """The operation."""
    return [Row(_RECOVER, Recovering(parts).recover, _audited)]
