"""Records in memory, for tests that ask what was written down."""

from typing import Any

from schemas.service import Service
from schemas.token import Token


class RecordingRecords:
    """The port `core.interfaces.Records`; `written` holds every call in order."""

    def __init__(self) -> None:
        self.written: list[tuple[str, Any]] = []

    def service_seen(self, service: Service) -> None:
        self.written.append(("service_seen", service))

    def service_deleted(self, service: Service) -> None:
        self.written.append(("service_deleted", service))

    def token_seen(self, token: Token) -> None:
        self.written.append(("token_seen", token))

    def token_deleted(self, token: Token) -> None:
        self.written.append(("token_deleted", token))
