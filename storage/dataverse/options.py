from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from lib.options import vendor_variable
from lib.web.http_retry import HttpRetryOptions
from lib.web.json_api import HttpUrl

LONGEST_MEMO = 1_048_576
"""Characters, counted as UTF-16, that a column "multiple lines of text" can have."""
LONGEST_TEXT = 4000
"""The same for a column "single line of text"; without a choice it has 100."""

Column = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,127}$")]
"""The logical name of a column; it is in lower case, and what requests call it."""


def _without_end(url: str) -> str:
    return url.rstrip("/")


Address = Annotated[HttpUrl, AfterValidator(_without_end)]


class Options(HttpRetryOptions):
    """Options of the storage."""

    url: Address = Field(
        min_length=1, description="the environment's URL, such as `https://org.crm.dynamics.com`"
    )
    api_version: Annotated[str, StringConstraints(pattern=r"^v?\d+(\.\d+)*$")] = Field(
        "9.2", description="the version of the Web API"
    )
    tenant_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]*$")] = Field(
        "", description="the tenant in Microsoft Entra ID; else `AZURE_TENANT_ID`"
    )
    client_id: str = Field(
        "", description="the application, a user of the environment; else `AZURE_CLIENT_ID`"
    )
    client_secret: SecretStr = Field(
        SecretStr(""), description="the application's secret; else `AZURE_CLIENT_SECRET`"
    )
    entity_name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,127}$")] = (
        Field(
            "vcon_storage",
            description="the table by its entity set name, as in URLs of the Web API; Dataverse "
            "makes it the plural of the table's name, such as `vcon_storages`",
        )
    )
    uuid_field: Column = Field("vcon_uuid", description="the column of the uuid, a line of text")
    data_field: Column = Field(
        "vcon_data", description="the column of the vCon's JSON, multiple lines of text"
    )
    subject_field: Column = Field(
        "vcon_subject", description="the column of the subject, a line of text"
    )
    created_at_field: Column = Field(
        "vcon_created_at", description="the column of `created_at`, date and time"
    )
    alternate_key: bool = Field(
        False,
        description="+ whether the table has an active alternate key of `uuid_field` alone; each "
        "call is then one request, and Dataverse itself allows one row for a vCon",
    )
    data_length: int = Field(
        LONGEST_MEMO,
        ge=1,
        le=LONGEST_MEMO,
        description="+ the maximum length of the column `data_field`; a longer vCon is refused",
    )
    subject_length: int = Field(
        100,
        ge=1,
        le=LONGEST_TEXT,
        description="+ the maximum length of the column `subject_field`; a longer subject is cut",
    )
    authority: Address = Field(
        "https://login.microsoftonline.com",
        description="+ where tokens are issued; national clouds have others",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_environment(cls, options: Any) -> Any:
        if not isinstance(options, Mapping):
            return options
        named = ("tenant_id", "client_id", "client_secret")
        return {name: vendor_variable(f"AZURE_{name.upper()}") for name in named} | {
            name: value for name, value in options.items() if name not in named or value
        }

    @model_validator(mode="after")
    def _has_credentials(self) -> Self:
        if not (self.tenant_id and self.client_id and self.client_secret.get_secret_value()):
            raise ValueError(
                "set tenant_id, client_id and client_secret here, or AZURE_TENANT_ID, "
                "AZURE_CLIENT_ID and AZURE_CLIENT_SECRET in the environment"
            )
        return self

    @property
    def table(self) -> str:
        """The URL of the table."""
        return f"{self.url}/api/data/v{self.api_version.removeprefix('v')}/{self.entity_name}"
