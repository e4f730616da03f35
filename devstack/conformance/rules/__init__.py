"""The rules, quick ones first; the first one loads the plugin."""

from collections.abc import Sequence

from devstack.conformance.cases import CaseError
from devstack.conformance.kit import Rule
from devstack.conformance.rules import calls, contract, declared, peers, processes, vcons

RULES: tuple[Rule, ...] = (
    Rule(
        "contract", "its module has the functions of its kind, with their arguments", contract.holds
    ),
    Rule(
        "options missing", "without options it is refused at the start, or works", contract.missing
    ),
    Rule("options wrong", "a wrong option is refused at the start, by its name", contract.wrong),
    Rule("vCon gone", "a vCon that is not in Redis ends the run, or is an error", calls.gone),
    Rule("run twice", "a second run leaves the same vCon", calls.twice),
    Rule("5 MB vCon", "a large vCon is processed or refused in time", vcons.large),
    Rule("samples", "every sample of every version is processed, or refused", vcons.samples),
    Rule("Unicode", "texts of all scripts stay as they are", vcons.scripts),
    Rule("half surrogates", "texts that no UTF-8 has are no accident", vcons.half_surrogates),
    Rule("secrets", "secret options are in no vCon, log line or error", declared.secrets),
    Rule("effect", "the declared `effect` is true", declared.effect),
    Rule("slow peer", "late replies change nothing", peers.slow),
    Rule("failing peer", "a failure of the peer is an error, and is over with it", peers.failing),
    Rule(
        "timeout",
        "a peer that never answers is not waited for without end",
        peers.timeout,
        quick=False,
    ),
    Rule(
        "forked", "it works in a process forked after it was loaded", processes.forked, quick=False
    ),
    Rule(
        "killed",
        "killed at any point and run again, the result is the same",
        processes.killed,
        quick=False,
    ),
    Rule("no files", "it leaves no files but where its options say", processes.files, quick=False),
    Rule(
        "closes",
        "it leaves no threads, processes, connections, warnings or changes of its process",
        processes.closes,
        quick=False,
    ),
    Rule("memory", "memory is flat over a thousand runs", processes.memory, quick=False),
    Rule(
        "threads",
        "the number of threads and processes is flat over a thousand runs",
        processes.threads,
        quick=False,
    ),
)
"""What `python -m devstack.conformance` tries, in this order."""


def chosen(names: Sequence[str] | None = None) -> tuple[Rule, ...]:
    """The rules of these names, after the first one, which loads the plugin; None: all.

    Raises:
        CaseError: there is none of a name.
    """
    known = {rule.name: rule for rule in RULES}
    if unknown := set(names or ()) - known.keys():
        raise CaseError(f"no rule {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    wanted = {RULES[0].name, *(known if names is None else names)}
    return tuple(rule for rule in RULES if rule.name in wanted)
