"""What the content and the settings of Redis mean for the move."""

import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from app.vcon_server.findings import Finding, Level
from app.vcon_server.redis_facts import CONTEXT, DOCUMENTS, ListFacts, RedisFacts
from pipeline.redis_client import keys

AREA = "redis"
STORAGE_LETTERS = keys.STORAGE_DEAD_LETTERS
OWN = "pc:*"


@dataclass(frozen=True, slots=True)
class UsedLists:
    """The lists of config.yml, and its storages."""

    ingress: Collection[str]
    egress: Collection[str]
    storages: Collection[str]


def of_redis(facts: RedisFacts, used: UsedLists, sorted_set: str) -> list[Finding]:
    """A finding for each thing in Redis that an operator should know before the move."""
    if facts.error:
        remedy = "see that it runs, and that REDIS_URL has its address, user and password"
        return [Finding(AREA, "stop", "REDIS_URL", facts.error, remedy)]
    return [
        *_server(facts),
        *_documents(facts),
        *_index(facts, sorted_set),
        *_lists(facts, used),
        *_others(facts),
    ]


def _server(facts: RedisFacts) -> Iterator[Finding]:
    if facts.has_json:
        yield Finding(AREA, "ok", "JSON", "the server has the JSON commands")
    else:
        text = "the server has no JSON commands, which this service needs"
        yield Finding(
            AREA, "stop", "JSON", text, "Redis 8, or the JSON module of Redis 7 or Valkey"
        )
    for name, value, safe in facts.losses:
        text = f"{value}: vCons that were acknowledged may be lost"
        remedy = f"{name} {safe} (CONFIG SET, or in redis.conf)"
        yield Finding(AREA, "warn", name, text, remedy)
    if facts.is_partial:
        text = f"{facts.seen:,} of {facts.total:,} keys were read; the counts are too low"
        yield Finding(AREA, "note", "keys", text, "check --vcon-server --keys 0 reads all")


def _documents(facts: RedisFacts) -> Iterator[Finding]:
    documents = sum(facts.types[kind] for kind in DOCUMENTS)
    yield Finding(AREA, "ok", "vCons", f"JSON documents, read as they are: {documents:,}")
    if strings := facts.types["string"]:
        text = (
            f"plain strings, as vcon-server writes them since September 2026: {strings:,}; each "
            "becomes a JSON document when it is first read here, and that vcon-server cannot read "
            "it any more"
        )
        remedy = "stop vcon-server's workers before the first worker here, see the page on moving"
        yield Finding(AREA, "warn", "vCons", text, remedy)


def _index(facts: RedisFacts, sorted_set: str) -> Iterator[Finding]:
    if sorted_set in facts.wrong_types:
        return
    members = facts.members
    text = f"members with `vcon:`: {members['prefixed']:,}, without: {members['bare']:,}"
    if members["prefixed"] and members["bare"]:
        text += "; GET /vcon works with both, in vcon-server it fails"
    yield Finding(AREA, "ok", sorted_set, text)
    if expired := members["expired"]:
        text = f"members without a vCon in Redis: {expired:,}; the service removes them with time"
        yield Finding(AREA, "note", sorted_set, text)
    if other := members["other"]:
        yield Finding(AREA, "note", sorted_set, f"members that are no uuids: {other:,}; not listed")
    if facts.index_expiring:
        text = (
            f"keys that expire within VCON_INDEX_EXPIRY: {facts.index_expiring:,} of "
            f"{facts.index:,}; their vCons are found until then"
        )
        remedy = "GET /index_vcons once the producers use this service, to index what is there"
        yield Finding(AREA, "note", "search index", text, remedy)


def _lists(facts: RedisFacts, used: UsedLists) -> Iterator[Finding]:
    for name, each in sorted(facts.lists.items()):
        if name not in facts.wrong_types:
            yield from _list(name, each, used)
    if facts.more_lists:
        text = f"further lists, not looked at: {facts.more_lists:,}"
        yield Finding(AREA, "warn", "lists", text)


def _list(name: str, each: ListFacts, used: UsedLists) -> Iterator[Finding]:
    known = {*used.ingress, *used.egress}
    if name.startswith(keys.RUN_LIST):
        text = f"runs that RunChain requested: {each.length:,}; vcon-server does not read them"
        yield Finding(AREA, "note", name, text)
    elif name.startswith(STORAGE_LETTERS):
        yield _storage_letters(name, each, used.storages)
    elif name.startswith(keys.DEAD_LETTERS):
        yield _letters(name, each, used.ingress)
    elif name in known:
        yield from _read(name, each, is_ingress=name in used.ingress)
    elif each.sampled > each.no_uuid:
        yield _unread(name, each, known)


def _storage_letters(name: str, each: ListFacts, storages: Collection[str]) -> Finding:
    storage = name.removeprefix(STORAGE_LETTERS)
    text = f"failed writes to a storage: {each.length:,}"
    if storage in storages:
        text += "; they are repeated here, and then their uuids go to the egress lists of the chain"
        return Finding(AREA, "note", name, text)
    remedy = f"storages.{storage} in config.yml, or redis-cli DEL {shlex.quote(name)}"
    return Finding(AREA, "warn", name, f"{text}; config.yml has no storage {storage}", remedy)


def _letters(name: str, each: ListFacts, ingress: Collection[str]) -> Finding:
    origin = name.removeprefix(keys.DEAD_LETTERS)
    without = _of_sample(each.without_vcon, each)
    text = f"dead letters: {each.length:,}, without a vCon: {without}"
    if origin in ingress:
        remedy = f"POST /dlq/reprocess?ingress_list={origin}, here as in vcon-server"
        return Finding(
            AREA, "note", name, f"{text}; vcon-server leaves no cause with its own", remedy
        )
    remedy = f"a chain that reads {origin}, or redis-cli DEL {shlex.quote(name)}"
    return Finding(AREA, "warn", name, f"{text}; no chain reads {origin}", remedy)


def _read(name: str, each: ListFacts, *, is_ingress: bool) -> Iterator[Finding]:
    what = "wait for a worker" if is_ingress else "wait for a reader"
    yield Finding(
        AREA, "ok", name, f"uuids that {what}: {each.length:,}; either server may take them"
    )
    if is_ingress and each.without_vcon:
        text = (
            f"without a vCon in Redis: {_of_sample(each.without_vcon, each)}; the run of one that "
            "no storage has either ends without a result (halted, or a dead letter)"
        )
        remedy = "start workers before vCons expire (VCON_REDIS_EXPIRY of vcon-server)"
        yield Finding(AREA, "warn", name, text, remedy)
    if is_ingress and each.no_uuid:
        text = f"no uuids: {_of_sample(each.no_uuid, each)}; they become dead letters"
        yield Finding(AREA, "warn", name, text)


def _of_sample(count: int, each: ListFacts) -> str:
    return f"{count:,}" if each.sampled == each.length else f"{count:,} of the first {each.sampled}"


def _unread(name: str, each: ListFacts, known: Collection[str]) -> Finding:
    text = f"uuids in a list of no chain: {each.length:,}; no worker reads it, here or there"
    parts = [part.strip() for part in name.split(",")]
    if len(parts) > 1 and set(parts) <= set(known):
        text += "; POST /vcon?ingress_lists=a,b is two lists here, in vcon-server it made this one"
        return Finding(AREA, "warn", name, text, _moved(name, parts))
    remedy = f"a chain with ingress_lists: [{name}], or leave it if another program reads it"
    return Finding(AREA, "warn", name, text, remedy)


def _moved(name: str, parts: list[str]) -> str:
    """A command that puts the elements of a list into others, and deletes it."""
    into = " ".join(map(shlex.quote, parts))
    read = f"redis-cli --raw LRANGE {shlex.quote(name)} 0 -1"
    push = f'for list in {into}; do {read} | xargs redis-cli RPUSH "$list"; done'
    return f"{push}; redis-cli DEL {shlex.quote(name)}"


def _others(facts: RedisFacts) -> Iterator[Finding]:
    for name, (kind, wanted) in sorted(facts.wrong_types.items()):
        level: Level = "warn" if name.startswith(keys.vcon("")) else "stop"
        text = f"a {kind}, and must be a {wanted}: what needs it waits or fails"
        yield Finding(AREA, level, name, text, f"redis-cli RENAME {shlex.quote(name)} ...")
    if facts.contexts:
        text = (
            f"trace contexts: {facts.contexts:,}; taken up where traces are sent, else they expire"
        )
        yield Finding(AREA, "note", f"{CONTEXT}*", text)
    if facts.own:
        yield _own(facts)


def _own(facts: RedisFacts) -> Finding:
    text = f"keys of this service: {facts.own:,}"
    held = ", ".join(f"{where} {count:,}" for where, count in facts.held.items() if count)
    if not held:
        return Finding(AREA, "note", OWN, f"{text}; no runs in progress")
    remedy = "leave them to its workers, or see the way back on the page on moving"
    return Finding(AREA, "warn", OWN, f"{text}; runs in progress: {held}", remedy)
