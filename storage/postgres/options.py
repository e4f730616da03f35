from typing import Literal

from pydantic import Field, SecretStr, field_validator

from lib.options import PluginOptions
from storage.postgres.table import statements


class Options(PluginOptions):
    """Options of the storage."""

    database: str = Field("vcon_db", description="name of the database")
    user: str = Field("postgres", description="the user")
    password: SecretStr = Field(SecretStr(""), description="the user's password")
    host: str = Field("localhost", description="the server's host")
    port: int = Field(5432, description="the server's port")
    table_name: str = Field(
        "vcons", description="letters, digits and underscores; + with its schema before a dot"
    )
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = (
        Field(None, description="+ TLS, as libpq names it; unset means `prefer`")
    )
    sslrootcert: str | None = Field(
        None, description="+ a file with the CA certificates that verify the server's, or `system`"
    )
    timeout: float = Field(
        60,
        gt=0,
        description="+ seconds for one statement, including waits for locks, and for a connection, "
        "for which there are 10 at most",
    )
    pool_size: int = Field(4, ge=1, description="+ the maximum connections of one process")

    @field_validator("table_name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        statements(name)
        return name
