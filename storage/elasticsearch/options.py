from typing import Any, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from lib.web.http_retry import RETRIES, HttpRetryOptions
from storage.elasticsearch.parts import MAX_INDEXES

MOST_HOSTS = 50


class Options(HttpRetryOptions):
    """Options of the storage."""

    cloud_id: str = Field("", description="the id of a deployment in Elastic Cloud")
    api_key: SecretStr = Field(SecretStr(""), description="the API key")
    url: str = Field("", description="the server's URL, without `cloud_id`")
    hosts: list[str] = Field(
        [], max_length=MOST_HOSTS, description="+ the URLs of several servers, instead of `url`"
    )
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
        if not (self.cloud_id or self.url or self.hosts):
            raise ValueError("set cloud_id with api_key, or url, or hosts")
        if len({each.startswith("https://") for each in self.servers}) > 1:
            raise ValueError("hosts: either all or none begin with https://")
        return self

    @field_validator("hosts", mode="before")
    @classmethod
    def _as_urls(cls, hosts: object) -> object:
        """One host as a list, and `host:port` with the scheme that the client needs."""
        given = [hosts] if isinstance(hosts, str) else hosts
        if not isinstance(given, list):
            return given
        return [f"http://{h}" if isinstance(h, str) and "://" not in h else h for h in given]

    @property
    def servers(self) -> list[str]:
        """The URLs of the servers."""
        return self.hosts or [self.url]

    def access(self) -> dict[str, Any]:
        """The client's arguments."""
        given: dict[str, Any] = {"api_key": self.api_key.get_secret_value() or None}
        given |= {"cloud_id": self.cloud_id} if self.cloud_id else {"hosts": tuple(self.servers)}
        if self.username and not given["api_key"]:
            given["basic_auth"] = (self.username, self.password.get_secret_value())
        if self.servers[0].startswith("https"):
            given |= {"verify_certs": self.verify_certs, "ca_certs": self.ca_certs or None}
        return {name: value for name, value in given.items() if value is not None}
