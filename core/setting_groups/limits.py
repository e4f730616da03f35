"""The settings that bound what clients can use of the service process."""

from pydantic import BaseModel, Field


class LimitSettings(BaseModel, defer_build=True):
    """Limits on what clients can use of the service process."""

    health_max_connections: int = Field(
        64,
        ge=1,
        description="Connections to the health port; one more takes the longest idle one's place.",
    )
    health_header_timeout: float = Field(
        5.0, gt=0, description="Seconds for a request's head there, and for taking its answer."
    )
    health_header_bytes: int = Field(
        16_384, ge=256, le=1_048_576, description="Longest head of a request there."
    )
    reply_twice_bytes: int = Field(
        65_536,
        ge=0,
        description="With REPLY_FORMAT `auto`: bytes of a result of RunTask or RunFlow that is "
        "sent as the message and as the fields; a larger one is sent once, as the message.",
    )
    max_request_memory: int = Field(
        256 * 1024 * 1024,
        ge=1024 * 1024,
        description="Bytes of memory, once parsed, of requests that run or wait; beyond, 503.",
    )
    large_document_seconds: float = Field(
        20.0, gt=0, description="Seconds that reading one large vCon may take; then 413."
    )
    large_document_memory: int = Field(
        4 * 1024 * 1024 * 1024,
        ge=512 * 1024 * 1024,
        description="Address space of the process that reads large vCons, bytes; then 413 or 503.",
    )
    max_unread_bytes: int = Field(
        64 * 1024 * 1024,
        ge=1024 * 1024,
        description="Bytes of answers that the Plugboard does not read, or that wait for a join.",
    )
    max_handover_bytes: int = Field(
        64 * 1024 * 1024,
        ge=1024 * 1024,
        description="Bytes of answers that a leaving replica keeps for its peers; beyond, 503.",
    )
