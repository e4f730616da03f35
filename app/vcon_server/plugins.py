"""The links, storages and tracers of a configuration: are they here, and what differs?"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from app.vcon_server.findings import Finding, Level
from core.errors import PluginFailedError
from pipeline.config.model import PluginSpec
from pipeline.plugins.importer import to_install
from pipeline.plugins.missing import plugin_meant, shown
from pipeline.plugins.requirement import inexact, read

AREA = "plugins"
TRANSCRIPTIONS = (
    "URLs of recordings at private addresses and `file://` are refused here, unless "
    "ALLOW_PRIVATE_URLS=true for the former"
)
DIFFERENCES: Mapping[str, tuple[str, str]] = {
    "links.analyze": (
        "no temperature is sent unless one is given; vcon-server sends 0",
        "options: temperature: 0",
    ),
    "links.analyze_and_label": (
        "no temperature is sent unless one is given; vcon-server sends 0.2",
        "options: temperature: 0.2",
    ),
    "links.analyze_vcon": (
        "no temperature is sent unless one is given; vcon-server sends 0, and fails with vCons "
        "that have the system prompt in them",
        "options: temperature: 0",
    ),
    "links.check_and_tag": (
        "two of these links with one analysis_type in a chain both ask; there the second does not",
        "",
    ),
    "links.datatrails": (
        "an event that DataTrails has already, of the same vCon, operation, link and hash, is not "
        "recorded again",
        "options: again_if_changed: true to record `vcon_created` of each changed vCon, too",
    ),
    "links.deepgram_link": (TRANSCRIPTIONS, ""),
    "links.detect_engagement": (
        "missing credentials are refused at the start, there every vCon is skipped; an answer "
        "other than true or false is an error, there it is a false; no temperature is sent unless "
        "one is given, there 0.2",
        "options: temperature: 0.2",
    ),
    "links.diet": (
        "a body stays if its upload fails, and a second run uploads nothing; there it is lost. "
        "mediatype and mimetype of attachments count, too",
        "",
    ),
    "links.expire_vcon": (
        "the time begins when the run has ended and nothing needs the vCon, not at the link",
        "",
    ),
    "links.groq_whisper": (
        f"a transcription that fails fails the run; there the chain goes on. {TRANSCRIPTIONS}",
        "",
    ),
    "links.hugging_face_whisper": (
        "a transcription that fails fails the run, and an error is no transcript; there the chain "
        f"goes on. {TRANSCRIPTIONS}",
        "",
    ),
    "links.hugging_llm_link": (
        "the link works, over Hugging Face's router of today, with another default model; there "
        "every vCon fails. A request that fails fails the run",
        "",
    ),
    "links.jq_link": (
        "a filter that fails on a vCon makes a dead letter; there the vCon is dropped",
        "",
    ),
    "links.openai_transcribe": (TRANSCRIPTIONS, ""),
    "links.post_analysis_to_slack": (
        "channel_name is the default channel if default_channel_name is unset, analysis_to_post "
        "has its meaning, and a message is posted once to each channel, also after a failure; a "
        "team's channel that cannot be posted to is a warning, there a failure",
        "",
    ),
    "links.sampler": (
        "a seed is mixed with the uuid, so that vCons differ; there all get one verdict",
        "",
    ),
    "links.scitt": (
        "a statement that the vCon has a receipt for is not registered again, and receipts of a "
        "tree other than RFC 9162's are refused",
        "options: again_if_changed: true to register `vcon_created` for each changed vCon, too",
    ),
    "links.tag": ("a tag that a vCon has already is not added again", ""),
    "links.tag_router": ("a vCon is put into a list once for a run, not once for each tag", ""),
    "links.transcribe": (
        "without `vendor` Whisper transcribes in this process, which needs the extra `whisper`; "
        "there the link fails",
        "",
    ),
    "links.webhook": (
        "an answer other than 2xx fails the run after its retries; there it is a success",
        "",
    ),
    "links.wtf_transcribe": (
        f"a transcription that fails fails the run; there the chain goes on. {TRANSCRIPTIONS}",
        "",
    ),
    "storage.chatgpt_files": (
        "a vCon has one file, and delete deletes it; there null is uploaded with each save",
        "options: replace: false where many files are kept and none is saved twice",
    ),
    "storage.dataverse": (
        "a vCon has one row, which is found again; there each save adds one",
        "options: entity_name: the entity set name, such as vcon_storages",
    ),
    "storage.elasticsearch": (
        "the server's certificate is checked",
        "options: verify_certs: false for one that cannot be checked",
    ),
    "storage.file": (
        "files get the mode 0640 and new folders 0750, not 0644 and 0755",
        "options: file_permissions: 0o644, dir_permissions: 0o755",
    ),
    "storage.milvus": ("a vCon is never read back from here, as the text there is no vCon", ""),
    "storage.sftp": (
        "names of files have the uuid and created_at; the server's key is checked",
        "options: host_key: the server's, or verify_host_key: false",
    ),
    "storage.scitt": (
        "receipts are verified and kept in Redis, and a vCon that has not changed is not "
        "registered again",
        "",
    ),
    "storage.vcon_mcp": (
        "parts that a vCon no longer has are removed there, which takes a second request",
        "options: remove_leftovers: false for one request",
    ),
    "storage.spaceandtime": (
        "options may be given in the configuration, too; a row that is there is updated, and a "
        "failure makes a dead letter of the storage, there it is logged",
        "",
    ),
    "storage.utopia": (
        "the sentences have other words, so the first save of each vCon replaces its document",
        "",
    ),
    "storage.webhook": (
        "an answer other than 2xx makes a dead letter of the storage; there it is a success",
        "",
    ),
    "tracers.jlinc": (
        "dlq_vcon_on_error does what it says; there errors are hidden from it",
        "",
    ),
}
"""What a built-in plugin does otherwise than vcon-server's of the same name, and what to write."""


class PluginUse(NamedTuple):
    """An entry of `links`, `storages`, `tracers` or `imports`, and whether its module is here."""

    section: str
    name: str
    module: str
    pip_name: str | None
    chains: Sequence[str]
    has_options: bool
    is_built_in: bool
    is_importable: bool

    @property
    def path(self) -> str:
        """Its place in the file."""
        return f"{self.section}.{self.name}"


def of_plugins(uses: Sequence[PluginUse], *, exact: bool, installs: bool) -> list[Finding]:
    """A finding for each. `exact`: only exact versions are installed; `installs`: any are."""
    findings = [_of(use, exact=exact, installs=installs) for use in uses]
    without = [use.path for use in uses if use.section == "links" and not use.has_options]
    if without:
        findings.append(
            Finding(
                AREA,
                "note",
                ", ".join(without),
                "no options: the link runs with its defaults; there most links fail without any",
            )
        )
    return findings


def of_load(
    problems: Sequence[str], notes: Sequence[str], uses: Sequence[PluginUse]
) -> list[Finding]:
    """What the loader says of the plugins that are here: missing libraries, refused options."""
    elsewhere = {use.path for use in uses if not (use.is_built_in or use.is_importable)}
    found = [_reported("stop", problem) for problem in problems]
    found += [_reported("note", note) for note in notes]
    return [each for each in found if each.subject not in elsewhere]


def _reported(level: Level, text: str) -> Finding:
    place, _, rest = text.partition(": ")
    return Finding(AREA, level, place, rest)


def _of(use: PluginUse, *, exact: bool, installs: bool) -> Finding:
    if use.is_built_in:
        return _built_in(use)
    if use.is_importable:
        return Finding(AREA, "ok", use.path, f"{use.module} is installed, not built in")
    package = use.pip_name or to_install(PluginSpec(use.name, use.module), _root(use))
    if package:
        return _installed(use, package, exact=exact, installs=installs)
    return _missing(use)


def _root(use: PluginUse) -> str:
    return use.module.partition(".")[0]


def _built_in(use: PluginUse) -> Finding:
    differs, remedy = DIFFERENCES.get(use.module, ("", ""))
    if differs:
        return Finding(AREA, "note", use.path, f"{use.module} is built in; {differs}", remedy)
    return Finding(AREA, "ok", use.path, f"{use.module} is built in, with the same options")


def _installed(use: PluginUse, wanted: str, *, exact: bool, installs: bool) -> Finding:
    package = shown(wanted)
    if not installs:
        text = f"{use.module} is not installed, and DYNAMIC_INSTALL=false installs nothing"
        return Finding(AREA, _severity(use), use.path, text, f"pip install {package!r}")
    try:
        advice = inexact(read(wanted))
    except PluginFailedError as error:
        return Finding(AREA, _severity(use), use.path, str(error), f"{use.path}.pip_name: ...")
    if advice and exact:
        text = f"{package} is refused in production, where only exact versions are installed"
        remedy = f"{use.path}.pip_name: {advice}; or DYNAMIC_INSTALL=any"
        return Finding(AREA, _severity(use), use.path, text, remedy)
    text = f"{package} is installed at the start; there before the first vCon that needs it"
    if advice:
        text += f"; ENVIRONMENT=production refuses it: {advice}"
    return Finding(AREA, "note", use.path, text)


def _missing(use: PluginUse) -> Finding:
    near = plugin_meant(use.module)
    text = f"no module {use.module}; vcon-server installs a package {use.module}, here none is"
    hint = f"did you mean {near}?" if near else f"{use.path}.pip_name: package==1.2.3"
    return Finding(AREA, _severity(use), use.path, text, hint)


def _severity(use: PluginUse) -> Level:
    """A plugin that no enabled chain uses does not keep the service from starting."""
    return "stop" if use.chains or use.section == "imports" else "note"
