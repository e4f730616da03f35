from typing import Literal

from pydantic import Field, SecretStr, field_validator

from lib.options import GuestOptions
from storage.postgres.table import statements


class Options(GuestOptions):
    """Which table of which database, and how many connections to it."""

    database: str = Field("vcon_db", description="name of the database")
    user: str = Field("postgres", description="who connects")
    password: SecretStr = Field(SecretStr(""), description="and by which password")
    host: str = Field("localhost", description="where the database is")
    port: int = Field(5432, description="and its port there")
    table_name: str = Field(
        "vcons", description="letters, digits and underscores; + with its schema before a dot"
    )
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = (
        Field(None, description="+ TLS, as libpq names it; unset means `prefer`")
    )
    sslrootcert: str | None = Field(
        None, description="+ file with the certificates to check the server's against, or `system`"
    )
    timeout: float = Field(
        60, gt=0, description="+ seconds for one statement, also one that waits for a lock"
    )
    pool_size: int = Field(4, ge=1, description="+ the most connections that one process keeps")

    @field_validator("table_name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        statements(name)
        return name
