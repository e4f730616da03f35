from typing import Any, Self

from pydantic import Field, SecretStr, model_validator

from lib.web.http_retry import RETRIES, PatientOptions
from storage.elasticsearch.parts import MOST_INDEXES


class Options(PatientOptions):
    """Where the server is, who asks, and what the indexes are called."""

    cloud_id: str = Field("", description="a deployment in Elastic's cloud")
    api_key: SecretStr = Field(SecretStr(""), description="and its key")
    url: str = Field("", description="or else where your own server is")
    username: str = Field("", description="who asks there")
    password: SecretStr = Field(SecretStr(""), description="and by which password")
    ca_certs: str = Field("", description="a file with the certificates to trust")
    index_prefix: str = Field("", description="what the names of all indexes begin with")
    index: str = Field("vcon_index", description="not used, as with vcon-server")
    index_names: list[str] | None = Field(
        None,
        description="+ the roles, purposes and types that have an index of their own, the parts "
        "of all others share `..._other`; unset: any, up to `max_indexes`",
    )
    max_indexes: int = Field(
        MOST_INDEXES, ge=1, description="+ the most such indexes of one server and prefix"
    )
    verify_certs: bool = Field(
        True, description="+ whether the server's certificate is checked; vcon-server does not"
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
