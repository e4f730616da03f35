from typing import Any, Self

from pydantic import Field, SecretStr, model_validator

from lib.web.http_retry import RETRIES, HttpRetryOptions
from storage.elasticsearch.parts import MAX_INDEXES


class Options(HttpRetryOptions):
    """Options of the storage."""

    cloud_id: str = Field("", description="the id of a deployment in Elastic Cloud")
    api_key: SecretStr = Field(SecretStr(""), description="the API key")
    url: str = Field("", description="the server's URL, without `cloud_id`")
    username: str = Field("", description="the user, without `api_key`")
    password: SecretStr = Field(SecretStr(""), description="the user's password")
    ca_certs: str = Field("", description="a file with the trusted CA certificates")
    index_prefix: str = Field("", description="the prefix of all indexes' names")
    index: str = Field("vcon_index", description="not used, as with vcon-server")
    index_names: list[str] | None = Field(
        None,
        description="+ the roles, purposes and types with an index of their own; the parts of all "
        "others share `..._other`; unset: the first `max_indexes`",
    )
    max_indexes: int = Field(
        MAX_INDEXES, ge=1, description="+ the maximum of such indexes per server and prefix"
    )
    verify_certs: bool = Field(
        True,
        description="+ whether to verify the server's certificate, which vcon-server does not",
    )
    timeout: float = Field(30, gt=0, description="+ seconds for one attempt")
    retries: int = Field(3, ge=0, description=RETRIES)

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        if not (self.cloud_id or self.url):
            raise ValueError("set cloud_id with api_key, or url")
        return self

    def access(self) -> dict[str, Any]:
        """The client's arguments."""
        given: dict[str, Any] = {"api_key": self.api_key.get_secret_value() or None}
        given |= {"cloud_id": self.cloud_id} if self.cloud_id else {"hosts": self.url}
        if self.username and not given["api_key"]:
            given["basic_auth"] = (self.username, self.password.get_secret_value())
        if self.url.startswith("https"):
            given |= {"verify_certs": self.verify_certs, "ca_certs": self.ca_certs or None}
        return {name: value for name, value in given.items() if value is not None}
