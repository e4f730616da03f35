import re
from collections.abc import Sequence
from typing import Annotated, NamedTuple, Self
from urllib.parse import unquote, urlsplit

import asyncssh
from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from lib.options import PluginOptions

MIB = 1024 * 1024
FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
"""A host key's fingerprint, as `ssh-keygen -l` prints it."""


class Server(NamedTuple):
    """Where files are."""

    host: str
    port: int
    folder: str


def _as_lines(value: object) -> object:
    if not isinstance(value, str):
        return value
    return [line for line in map(str.strip, value.splitlines()) if line]


class Options(PluginOptions):
    """Options of the storage."""

    url: str = Field(
        "sftp://localhost",
        description="the server: a host name, or `sftp://host:port/folder`; `/~/` begins a folder "
        "relative to the login's own",
    )
    port: int = Field(22, ge=1, le=65_535, description="the port, if `url` has none")
    username: str = Field(min_length=1, description="the name to log in with")
    password: SecretStr = Field(SecretStr(""), description="the password, unless a key is used")
    path: str = Field(
        ".", min_length=1, description="an existing folder, relative to the one in `url`"
    )
    add_timestamp_to_filename: bool = Field(
        True,
        description="whether the name ends with the vCon's `created_at`, in UTC; vcon-server has "
        "the time of the save there, so that each repetition makes another file",
    )
    filename: str = Field("vcon", max_length=100, description="how names of files begin")
    extension: str = Field(
        "json", min_length=1, max_length=50, description="how names of files end"
    )
    private_key: SecretStr = Field(
        SecretStr(""), description="+ a private key, as text in OpenSSH's form or as PEM"
    )
    private_key_file: str = Field("", description="+ a file with a private key")
    passphrase: SecretStr = Field(SecretStr(""), description="+ the passphrase of that key")
    host_key: Annotated[tuple[str, ...], BeforeValidator(_as_lines)] = Field(
        (),
        description="+ the server's public key (`ssh-ed25519 AAAA...`) or its fingerprint "
        "(`SHA256:...`), or several; then `known_hosts` is not read",
    )
    known_hosts: str = Field(
        "~/.ssh/known_hosts",
        description="+ a file with the keys of servers, in OpenSSH's form",
    )
    verify_host_key: bool = Field(
        True,
        description="+ whether the server's key is checked; without that, any server on the way "
        "can take the vCons and the password",
    )
    timeout: float = Field(30, gt=0, description="+ seconds for one call, with its connection")
    max_file_size: int = Field(
        100 * MIB, gt=0, description="+ the maximum bytes of a file; a larger vCon is refused"
    )

    @field_validator("filename", "extension")
    @classmethod
    def _in_the_folder(cls, name: str) -> str:
        if set(name) & set("/\\\0\n\r"):
            raise ValueError("has a separator of folders or lines; set the folder with `path`")
        return name

    @field_validator("host_key")
    @classmethod
    def _keys(cls, keys: Sequence[str]) -> Sequence[str]:
        for key in keys:
            if not FINGERPRINT.fullmatch(key):
                _public_key(key)
        return keys

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.private_key.get_secret_value() and self.private_key_file:
            raise ValueError("private_key, private_key_file: set one of them")
        if not (self.password.get_secret_value() or self.has_key):
            raise ValueError("set password, private_key or private_key_file")
        self.server()
        self.keys()
        return self

    @property
    def has_key(self) -> bool:
        """Whether the login uses a key."""
        return bool(self.private_key.get_secret_value() or self.private_key_file)

    def keys(self) -> list[asyncssh.SSHKey]:
        """The private key of `private_key`.

        Raises:
            ValueError: it cannot be read.
        """
        text, word = self.private_key.get_secret_value(), self.passphrase.get_secret_value() or None
        try:
            return [asyncssh.import_private_key(text, word)] if text else []
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
            raise ValueError(f"private_key: {error}") from None

    def server(self) -> Server:
        """The server and the folder of `url`, `port` and `path`.

        Raises:
            ValueError: `url` is not of one of its forms.
        """
        url = urlsplit(self.url if "://" in self.url else f"sftp://{self.url}")
        if url.scheme != "sftp" or not url.hostname or url.query or url.fragment:
            raise ValueError("url: must be a host name, or sftp://host:port/folder")
        if url.username is not None:
            raise ValueError("url: set the login with username and password, not in the URL")
        if url.port and "port" in self.model_fields_set and url.port != self.port:
            raise ValueError(f"url has port {url.port}, and port is {self.port}: set one of them")
        return Server(url.hostname, url.port or self.port, _folder(unquote(url.path), self.path))


def _folder(in_url: str, path: str) -> str:
    """The folder; `/` alone in a URL means nothing."""
    start = in_url.removeprefix("/~/") if in_url.startswith("/~/") else in_url.rstrip("/")
    if path.startswith("/") or not start:
        return path.rstrip("/") or "/"
    return start if path == "." else f"{start}/{path}".rstrip("/")


def _public_key(text: str) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_public_key(text)
    except asyncssh.KeyImportError:
        raise ValueError("must be `ssh-ed25519 AAAA...` or `SHA256:...`") from None


def trusted(keys: Sequence[str]) -> list[asyncssh.SSHKey]:
    """Those of `host_key` that are public keys."""
    return [_public_key(key) for key in keys if not FINGERPRINT.fullmatch(key)]
