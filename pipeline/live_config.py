"""The configuration in force, and putting a changed file into force without a restart.

The service process watches the file (`ConfigurationWatch`). A file that has not changed for
`STILL_SECONDS` is read, its plugins are loaded, and only if all of that succeeds it replaces the
configuration in force; a file with problems changes nothing and is logged once. A change that may
come from a partly written file is held back (`pipeline.config.changes`). Workers read the service's
copy of the last valid file (`Snapshot`), so a worker also starts while the file is invalid.
"""

import asyncio
import contextlib
import logging
import math
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from core.concurrency.aio import until_beat
from core.concurrency.thread_pool import in_own_thread
from core.environment import give_back, withheld
from core.errors import ConfigurationError, TooLateError
from core.observability.redaction import KNOWN
from core.observability.tracing import installed
from pipeline.config import yaml_file
from pipeline.config.broken import disabled
from pipeline.config.changes import ChangeGuard, HeldBackError, losses
from pipeline.config.environment import secret_values, variables_named_in, variables_of_flows
from pipeline.config.model import REFUSE, Lenience, OnBroken
from pipeline.config.parser import PipelineConfig
from pipeline.config.reports import log_broken, log_notes
from pipeline.config.sections import Findings
from pipeline.plugins import loader
from pipeline.plugins.installer import Installer
from pipeline.plugins.loader import Plugins
from pipeline.runs.spans import with_spans

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""Interval of the checks whether the file has changed."""
STILL_SECONDS = 1.0
"""How long a file must be unchanged before it is read; until then it may be partly written."""
TAKEN_SECONDS = 30.0
"""The longest wait for a file to come into force that a caller has replaced."""
NOT_TAKEN = "the file is replaced, but was not in force after {:g} s; the log says why"

type Confirm = Callable[[PipelineConfig, bytes], None]
"""Takes a valid configuration and the bytes it was read from; raises to keep it out of force."""


@dataclass(slots=True)
class Configuration:
    """The configuration in force: `config` and the `plugins` it names, both from the same file."""

    config: PipelineConfig
    plugins: Plugins

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks for the operator that are not errors."""
        return (*self.config.notes, *self.plugins.notes)

    def adopt(self, other: "Configuration") -> None:
        """Put another configuration into force. Runs keep the one they started with."""
        self.config, self.plugins = other.config, other.plugins


def load(
    path: Path,
    environ: Mapping[str, str],
    installer: Installer = loader.NOTHING,
    strict: bool = False,
    weak_keys: bool = False,
    on_broken: OnBroken = REFUSE,
) -> Configuration:
    """Read a file and load its plugins; blocks during imports and installations.

    `strict`: an unknown key is an error. `weak_keys`: ingress keys may be short. `on_broken`: that
    of chains which do not say otherwise.

    Raises:
        ConfigurationError: with all problems of the file, else of its plugins.
    """
    how: Lenience = {"strict": strict, "weak_keys": weak_keys, "on_broken": on_broken}
    config = yaml_file.read(path, environ, **how)
    return prepared(config, installer)


def prepared(config: PipelineConfig, installer: Installer) -> Configuration:
    """Load the plugins of a configuration and check its connections, as a start and `check` do.

    Raises:
        ConfigurationError: with all problems of the plugins, else of the connections.
    """
    keep_secrets(config)
    with yaml_file.loading(config):
        plugins = loader.load(config, installer)
    if plugins.broken:
        config = disabled(config, plugins.broken)
    for loaded in (plugins.links, plugins.storages, plugins.tracers):
        for each in loaded.values():
            KNOWN.learn_from(each.options)
    found = _connection_findings(config)
    if found.problems:
        raise ConfigurationError(found.problems)
    plugins = replace(plugins, notes=(*plugins.notes, *found.notes))
    if (spans := installed()) is not None:
        plugins = with_spans(plugins, spans)
    chains = [chain.name for chain in config.chains.values() if not chain.broken]
    log.info("configuration loaded", extra={"hash": config.hash, "chains": chains})
    return Configuration(config, plugins)


def _connection_findings(config: PipelineConfig) -> Findings:
    """Unknown types, keys and tasks of connections."""
    if not config.connections and not config.connection_plugins:
        return Findings()
    # flowlang's engine takes 0.1 s to import, which only a configuration with connections needs
    from pipeline.connections.flows import findings_of  # noqa: PLC0415

    return findings_of(config)


async def until_still(path: Path, seconds: float = STILL_SECONDS) -> None:
    """Return when a file is absent or unchanged for `seconds`, at the latest after ten checks."""
    for _ in range(10):
        if not 0 <= (age := _age(path)) < seconds:
            return
        await asyncio.sleep(seconds - age)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return math.inf


def keep_secrets(config: PipelineConfig) -> None:
    """Redact the configuration's secrets from every log line from now on."""
    steps = [link for chain in config.chains.values() for link in chain.links]
    plugins = [step.plugin for step in (*config.links.values(), *steps)]
    for plugin in (*plugins, *config.storages.values(), *config.tracers.values()):
        KNOWN.learn_from(plugin.options)
    for connection in config.connections.values():
        KNOWN.learn_from(connection.filled)
    for secret in secret_values(config.filled):
        KNOWN.learn_value(secret)
    for keys in config.ingress_auth.values():
        KNOWN.learn(keys)
    details = config.ingress_keys.values()
    KNOWN.learn(each.signing_secret for each in details if each.signing_secret)


class Snapshot:
    """A copy of the last valid file, which the workers read."""

    def __init__(
        self,
        original: Path,
        environ: Mapping[str, str],
        installer: Installer = loader.NOTHING,
        *,
        strict: bool = False,
        weak_keys: bool = False,
        on_broken: OnBroken = REFUSE,
        still_seconds: float = STILL_SECONDS,
    ) -> None:
        """Read and copy nothing before `load`.

        `strict`, `weak_keys`, `on_broken`: as in `load`.
        """
        self._still_seconds = still_seconds
        self._original = original
        self._how: Lenience = {"strict": strict, "weak_keys": weak_keys, "on_broken": on_broken}
        self._installer = installer
        self._environ = environ
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._content = b""
        self._seen: object = None
        self._changing: tuple[object, float] = (None, 0.0)

    @property
    def path(self) -> Path:
        """The path of the copy, once a file has been loaded."""
        assert self._folder is not None
        return Path(self._folder.name) / self._original.name

    @property
    def content(self) -> bytes:
        """The bytes of the last valid file."""
        return self._content

    @property
    def original(self) -> Path:
        """The file itself."""
        return self._original

    @property
    def outdated(self) -> bool:
        """Whether the file has changed since it was last read, valid or not."""
        return self._state() != self._seen

    def settled(self, now: float) -> bool:
        """Whether the file has changed since it was last read, but not for `still_seconds`.

        `now` is a monotonic time in seconds. A change is noticed at the first call after it.
        """
        state = self._state()
        if state != self._changing[0]:
            self._changing = (state, now)
        return state != self._seen and now - self._changing[1] >= self._still_seconds

    def load(self, confirm: Confirm = lambda config, content: None) -> Configuration:
        """Read the file and copy it if it is valid; blocks during imports and installations.

        Raises:
            ConfigurationError: with all problems, or from `confirm`; the copy is unchanged.
        """
        while True:
            self._seen = self._state()
            content = self._read()
            self._expose(variables_named_in(content or b""))
            loaded = self.check(self._original)
            self._expose(variables_of_flows(Path(loaded.config.flows.folder)))
            if content is not None and content == self._read():  # else it changed meanwhile
                confirm(loaded.config, content)
                self._copy(content)
                yaml_file.put_into_force(loaded.config)
                log_broken(loaded.config)
                log_notes(loaded.notes)
                return loaded

    def check(self, path: Path) -> Configuration:
        """Read another file as `load` reads the original; nothing comes into force.

        Raises:
            ConfigurationError: with all problems.
        """
        return load(path, self._environ, self._installer, **self._how)

    def check_change(self, path: Path) -> Configuration:
        """`check` for a file that is to replace the original while workers run.

        Raises:
            ConfigurationError: also for a variable that the workers were started without.
        """
        self._refuse(variables_named_in(path.read_bytes()) & withheld())
        loaded = self.check(path)
        self._refuse(variables_of_flows(Path(loaded.config.flows.folder)) & withheld())
        return loaded

    def _refuse(self, withheld_names: Set[str]) -> None:
        if withheld_names:
            advice = "the workers were started without it; restart the service"
            raise ConfigurationError(
                [f"{name} was not named before: {advice}" for name in sorted(withheld_names)]
            )

    def _expose(self, names: Set[str]) -> None:
        """Put the service's own secrets among these variables into the workers' environment.

        Raises:
            ConfigurationError: workers are already running, without them.
        """
        wanted = names & withheld()
        if self._folder is not None:
            self._refuse(wanted)
        give_back(wanted)

    def restore(self) -> None:
        """Write the copy again if it was deleted, for example by a cleanup of /tmp."""
        if self.path.exists():
            return
        try:
            self._copy(self._content)
        except ConfigurationError as error:
            log.error("workers cannot be started", extra={"error": str(error)})  # noqa: TRY400 -- the problems say it all

    def close(self) -> None:
        """Remove the copy."""
        if self._folder is not None:
            self._folder.cleanup()

    def _read(self) -> bytes | None:
        try:
            return self._original.read_bytes()
        except OSError:
            return None

    def _copy(self, content: bytes) -> None:
        """Replace the copy atomically; it and its folder are readable by this user only."""
        self._content = content
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="patchcord-")
        try:
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            draft = self.path.with_suffix(".draft")
            draft.touch(mode=0o600)
            draft.write_bytes(content)
            draft.replace(self.path)
        except OSError as error:
            msg = f"{self._original} cannot be copied for the workers: {error}"
            raise ConfigurationError(msg) from error

    def _state(self) -> tuple[int, int, int] | None:
        try:
            status = self._original.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


class ConfigurationWatch:
    """Puts a changed file into force; a file with problems is logged once and changes nothing."""

    def __init__(
        self,
        snapshot: Snapshot,
        configuration: Configuration,
        changed: Callable[[], Awaitable[None]],
        *,
        guard: ChangeGuard | None = None,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """`changed` is awaited after a changed file has come into force."""
        self._look_seconds = look_seconds
        self._snapshot = snapshot
        self._configuration = configuration
        self._changed = changed
        self._asked = asyncio.Event()
        self._read = asyncio.Event()
        self._guard = guard or ChangeGuard()

    def ask(self) -> None:
        """Read the file now, even if unchanged, and hold no change back (SIGHUP)."""
        self._asked.set()

    async def taken(self) -> None:
        """`ask`, and return when the file is in force, or invalid; may raise TooLateError."""
        read = self._read
        self.ask()
        try:
            await asyncio.wait_for(read.wait(), TAKEN_SECONDS)
        except TimeoutError:
            raise TooLateError(NOT_TAKEN.format(TAKEN_SECONDS)) from None

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            while True:
                await self._look()
        finally:
            self._read.set()

    async def _look(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(until_beat(self._look_seconds)):
                await self._asked.wait()
        if self._asked.is_set():
            self._asked.clear()
            self._guard.forget()
            read, self._read = self._read, asyncio.Event()
            try:
                await self._reload(self._log_losses)
            finally:
                read.set()
        elif self._snapshot.settled(time.monotonic()) or self._guard.due:
            await self._reload(self._confirm)

    async def _reload(self, confirm: Confirm) -> None:
        try:
            loaded = await in_own_thread(self._snapshot.load, confirm)
        except HeldBackError as error:
            text = f"{'; '.join(error.problems)}; {_HINT}"
            log.warning("configuration change held back", extra={"error": text})
            return
        except ConfigurationError as error:
            self._guard.forget()
            log.error("configuration not changed", extra={"error": str(error)})  # noqa: TRY400 -- the problems say it all
            return
        self._configuration.adopt(loaded)
        await self._changed()

    def _confirm(self, config: PipelineConfig, content: bytes) -> None:
        _log_losses(self._guard.confirm(self._configuration.config, config, content))

    def _log_losses(self, config: PipelineConfig, content: bytes) -> None:
        _log_losses(losses(self._configuration.config, config))


_HINT = "save it again, send SIGHUP, or leave it as it is for a minute"


def _log_losses(lost: Sequence[str]) -> None:
    if lost:
        log.warning("configuration change removes much", extra={"error": "; ".join(lost)})
