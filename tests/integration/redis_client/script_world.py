"""A Redis in which every script has something to do, and what the scripts are called with there.

`World` puts that Redis back in one round trip, with a key of another type in one place, and tells
where each vCon stands afterwards.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from pipeline.redis_client.script_texts import script_texts
from tests.integration.custody.approval import server_of

RUN = {"run_id": "", "chain": "main", "vcon_in": "", "status": "queued", "finished_at": None}
UUIDS = ("first", "second", "held", "held2", "dead", "dead2", "letter", "read", "lent", "late")
REASON = {"error": "no", "run_id": "run-failed", "list_name": "in", "fingerprint": "c1"}
DAY = 86400
DOCUMENTS = ('{"uuid":"held"}', 'patch:1~S,9,6,-1~$["uuid"]"held"')


def journal(run: str, uuid: str, **changes: Any) -> str:
    """A run as it stands in Redis."""
    told = RUN | {"run_id": run, "vcon_in": uuid, "vcon_out": uuid, "steps": []} | changes
    return json.dumps(told, separators=(",", ":"))


CALLS: dict[str, list[str]] = {
    "ack_egress": ["out 60 lent read"],
    "adopt": ["free"],
    "approve": ["SERVER mark name 2 30"],
    "backup_page": ["in 0 -1", "out -10 -1", "run:main 0 5"],
    "backup_vcon": [f"{name} vcons" for name in ("first", "held", "letter", "read", "absent")],
    "begin_recovery": ["SERVER new"],
    "as_it_is": ["first vcons"],
    "cancel": [f"run-{name} 2026-01-01 60 60 - - -" for name in ("first", "second", "held")],
    "causes": ["DLQ:in"],
    "claim": [
        f"alive 16 {suspects} 1 r1 {custody} 1,2,1,-1,-2 4:1:0:1,0:0:1:2 2 in~:main~out "
        "run:main~:main~out " + " ".join(f"new{n}" for n in range(16))
        for suspects, custody in ((0, 0), (1, 0), (0, 1))
    ],
    "change_rows": ["1 first in 1.1:1 letter DLQ:in 2.2:1 free out 3.3:1"],
    "count_minute": ['me 1 4000 60 run~done~us~["main"] 7', 'me 1 0 60 new["main"] 7'],
    "delete": [
        "first vcons 2026-01-01 60 1 4 in run:main out DLQ:in in first -1"
        " run:main first|run-first -",
        "first vcons 2026-01-01 60 0 0 in first -1 run:main first|run-first -",
    ],
    "depths": ["3 in out DLQ:in zset pc:later"],
    "enter_destination": [
        "there call in~first - 30000 1000 0 0 1",
        "there call in~late - 30000 1000 2 100 1",
        "there call in~new - 30000 1000 1 0 0",
    ],
    "keep_slots": ["there - 30000 held"],
    "leave_destination": [
        "there held in~first - ok 20 2 0 5 1000 9000 - now",
        "there held in~first - failed 20 0 100 1 1000 9000 error now",
        "there probe in~first - ok 20 0 0 5 1000 9000 - now",
        "there probe in~first - neither 20 0 0 5 1000 9000 - now",
    ],
    "law_parts": ["first", "held", "absent"],
    "repeat_call": ["there - 100 1000"],
    "show_destinations": ["- there other"],
    "try_destination": ["there -"],
    "drain_history": ["pc:history 1 {}", "pc:index 1 note"],
    "due_media": ["10 900"],
    "due_trash": ["10"],
    "entry": ["pc:paused idle was new 10", "pc:drained r2 - {} 10", "pc:paused idle was - 10"],
    "enqueue": ['in 100 ec {"trace":1} 1 read absent'],
    "enqueue_run": [
        f'read run-new main {{}} {{"trace":1}} pc:idem:k pc:idemdigest:k 1000 {row}'
        for row in ("-", "1.1:1")
    ],
    "end_recovery": ["mark"],
    "ended_rows": ["first in free out"],
    "expire": ["first 60", "free 60"],
    "fence": ["2"],
    "file_causes": ['DLQ:in first 7 {} {"fingerprint":"c3"}', "DLQ:in gone 7 {} {}"],
    "forget_media": ["first 7 -", "first 7 9", "gone 1 -"],
    "forget_causes": ["DLQ:in c1 letter absent"],
    "ingest": [
        'first {"uuid":"first"} 7 other vcons 100 {"trace":1} - new pc:idemdigest:k'
        f" pc:request:k lists - {row} 2 in more tel:1 name:new"
        for row in ("-", "1.1:1")
    ]
    + [f"first {{}} 7 digest~~~a1~{stays} vcons 100 - - new - - - - - 0" for stays in "*-"],
    "find": ["in -1 10 first second"],
    "held": ["alive held 7"],
    "hold_up": ["mark 1 idle was r9 {}"],
    "journal": [f"alive held 7 {{}} held {given} 60 5" for given in DOCUMENTS],
    "keep_original": ["first a1 *", "first a1 a2", "free a1 -"],
    "keep_queued": ["in - 0 -1", "DLQ:in pc:dead:DLQ:in 0 -1", "out pc:unread:out 0 -1"],
    "lay_tombstones": ["3 first 0193-1 absent 0193-1", "- held 0193-1"],
    "lease_egress": ["out 1 60 10"],
    "look": ["run-held"],
    "members": ["pc:unread:out 0 10", "pc:dead:DLQ:in 0 10"],
    "oldest": ["pc:history 2 100", "pc:index 2 100"],
    "own": ["pc:replayer:shelf me 1000"],
    "page": ["vcons +inf -inf 0 10", "vcons +inf -inf 0 10 all"],
    "place": ['free {"uuid":"free"} 60', 'absent {"uuid":"absent"} 60'],
    "present": ["vcon:first vcon:absent"],
    "seal": ["first seal", "absent look"],
    "probe": ["pc:probe"],
    "queue_again": [
        'mark 1.5:1 absent {"uuid":"absent"} 7 vcons digest - 1 - ["tel:1"] 17 - more new more'
        ' absent - - - out egress out absent - - - DLQ:in dead DLQ:in absent - {"run_id":1} {}',
        "mark 1.5:1 second {} 7 vcons other - 0 - [] 17 a1 run:main|run-x list run:main"
        " second|run-x 0~run-x {} - - none - - - - -",
    ],
    "rate": ["key 5 60000"],
    "reap": ["vcons 10 absent"],
    "reindex": ['first vcons 5 1 .uuid "first" tel:1 name:a'],
    "register": ['r1 15000 kind "serve"', "r1 0"],
    "release": ["out pc:unread:out 60 60 1 s gone", "DLQ:in pc:dead:DLQ:in 60 60 0 s gone"],
    "renew": ["alive 1000"],
    "replay": [
        '60 {"trace":1} 1 letter letter in letter run-new {} - 2 DLQ:in -1 DLQ:storage:shelf - 9 2'
    ],
    "remember": ["mark pc:idem:new run 60"],
    "restored": [
        f"mark {where} 0 10"
        for where in ("list in", "waiting held", "later -", "lease out", "inflight alive")
    ],
    "rescue": ["dying"],
    "unlock": ["0 100 60"],
    "restore": ['absent {"uuid":"absent"} 60'],
    "saved": ["free 60 {}"],
    "search": ["0 100 tel:1 name:a"],
    "settle": [
        'alive held 7 finish {} 60 0 60 made {"uuid":"made"} {"trace":1} 1 1 out'
        ' 1 DLQ:storage:shelf {"fingerprint":"c2"} {} {} {} 1 held in 1.1:1 made out 2.2:1',
        'alive held2 8 later {} 60 1000 60 held2 - {"trace":1}',
        "alive held2 8 aside {} 60 1000 60 held2 - -",
        "alive held2 8 return {} 60 0 60 held2 - -",
        "alive held 7 return - 60 0 60 held - -",
    ],
    "see_server": [""],
    "session": ["d {} 60 3600 1"],
    "sessions_end": ["d", ""],
    "show_replica": ["pc:replicas:1 r1 serving 10"],
    "stage": ['pc:staged:fresh~[] {"uuid":"fresh"} 60'],
    "suspects": ["r1 in~:main run:main~:main"],
    "take_out": [
        "mark list in 60 60 -3 in first - 1 -2 in second run-second 0",
        "mark list DLQ:in 60 60 -1 DLQ:in letter - 1",
        "mark waiting held 60 60 0 in held - 0",
        "mark later - 60 60 0 in late - 1",
        "mark lease out 60 60 0 out lent - 1",
        "mark inflight alive 60 60 0 in held run-held 1",
    ],
    "take_unread": ["out read -1", "out late -1", "out absent -1"],
    "under_way": ["10"],
    "unheard": ["1 0 first in free out"],
    "unnamed": ["first 1.1:1 free 2.2:1"],
    "unstored": ["free {}"],
    "unindex": ["first tel:1 name:a"],
}
"""Each script's arguments, once for every way through it: `-` is empty, `~` a line break."""


def words(call: str) -> list[str]:
    """The arguments of a call."""
    return ["" if word == "-" else word.replace("~", "\n") for word in call.split(" ")]


KINDS: dict[str, str] = {
    "in|more|out|absent|run:.*|DLQ:.*|context:.*|pc:(suspects|waiting):.*": "list",
    "pc:(history|index|released)": "list",
    "tel:.*|name:.*|pc:(causes|awaited|workers|processes|lenders|(holds|unread|unsure):.*)": "set",
    "vcons|pc:(sessions|later|expiring|trash|media|lease:.*|replicas:.*|rate:key)": "zset",
    "pc:(locks|owners|about:.*|attempts:.*|dead:.*|inflight:.*|again:.*|missing:.*)": "hash",
    "pc:(epoch|paused|drained|process:.*|destination:.*)|pc:(minutes|causes):.*": "hash",
    "pc:(cause|slots|parked):.*": "zset",
    "pc:(run|cancel|idem|idemdigest|request|worker|rate|replayer):.*|pc:(tokens|probe)": "string",
    "pc:(step|stalled|death|session|tombstone|signed):.*|pc:tombstones": "string",
    "vcon:.*|pc:staged:.*": "ReJSON-RL",
}
"""What type each key has, by a pattern for its name."""

FOREIGN: dict[str, Callable[[Any, str], Any]] = {
    "string": lambda at, key: at.set(key, "another program's"),
    "list": lambda at, key: at.rpush(key, "another program's"),
    "hash": lambda at, key: at.hset(key, "another", "program's"),
    "set": lambda at, key: at.sadd(key, "another program's"),
    "zset": lambda at, key: at.zadd(key, {"another program's": 1}),
    "stream": lambda at, key: at.xadd(key, {"another": "program's"}),
    "ReJSON-RL": lambda at, key: at.json().set(key, ".", {"another": "program's"}),
}

_RESTORE = """
redis.call('FLUSHDB')
for i = 1, #ARGV, 3 do
  redis.call('RESTORE', ARGV[i], ARGV[i + 1], ARGV[i + 2])
end
"""
_LOOK = """
local dumps, keys, places = {}, redis.call('KEYS', '*'), {}
local function add(elements)
  for _, element in ipairs(elements) do places[#places + 1] = element end
end
for i, key in ipairs(keys) do
  dumps[i] = redis.sha1hex(redis.call('DUMP', key)) .. (redis.call('TTL', key) < 0 and '' or ' ttl')
  local kind = redis.call('TYPE', key)['ok']
  local is_outbox = key == 'pc:history' or key == 'pc:index' or key == 'pc:released'
  if kind == 'list' and not string.find(key, '^context:') and not is_outbox then
    add(redis.call('LRANGE', key, 0, -1))
  elseif kind == 'zset' and (key == 'pc:later' or string.find(key, '^pc:lease:')) then
    add(redis.call('ZRANGE', key, 0, -1))
  elseif kind == 'hash' and string.find(key, '^pc:inflight:') then
    add(redis.call('HKEYS', key))
  end
end
return {keys, dumps, places}
"""
_TRACED = """
local actual = redis
local function traced(command, key, ...)
  if command ~= 'PUBLISH' and command ~= 'TIME' and command ~= 'INFO' then
    actual.call('SADD', 'test:touched', key)
  end
end
local redis = setmetatable({
  call = function(...) traced(...) return actual.call(...) end,
  pcall = function(...) traced(...) return actual.pcall(...) end,
}, {__index = actual})
"""


@dataclass(frozen=True)
class Look:
    """Every key with a digest of what it holds, and in how many places each vCon stands.

    The places are where it is queued, delayed, waiting, in flight, lent or a dead letter.
    """

    keys: dict[str, str]
    places: Counter[str]


class World:
    """That Redis, and every script in it."""

    def __init__(self, client: Redis) -> None:
        self.client = client
        self.texts = script_texts()
        client.flushdb()
        _build(client)
        self._dumps = _dumps(client)

    def restore(self, key: str | None = None, kind: str = "") -> None:
        """As it was, but for this key, which is another program's."""
        self.client.eval(_RESTORE, 0, *self._dumps)
        if key is not None:
            self.client.delete(key)
            FOREIGN[kind](self.client, key)

    def touched(self, name: str, arguments: list[str]) -> list[str]:
        """The keys that a script looks at or changes when all is as it should be."""
        self.restore()
        shebang, body = self.texts[name].partition("\n")[::2]
        if not shebang.startswith("#!"):
            shebang, body = "", self.texts[name]
        self.client.eval(f"{shebang}\n{_TRACED}\n{body}".lstrip(), 0, *self._words(arguments))
        return sorted(set(self.client.smembers("test:touched")) - {"test:touched"})

    def _words(self, arguments: list[str]) -> list[str]:
        """With the name of this server."""
        return [server_of(self.client) if word == "SERVER" else word for word in arguments]

    def run(self, name: str, arguments: list[str]) -> str | None:
        """What a script is refused with, if it is."""
        try:
            self.client.eval(self.texts[name], 0, *self._words(arguments))
        except ResponseError as error:
            return str(error)
        return None

    def look(self) -> Look:
        """What there is now."""
        names, digests, elements = self.client.eval(_LOOK, 0)
        digests_of = dict(zip(names, digests, strict=True))
        digests_of.pop("test:touched", None)
        return Look(digests_of, Counter(map(_uuid, elements)))


def kind_of(key: str) -> str:
    """The type that this service keeps under a name."""
    return next(kind for names, kind in KINDS.items() if re.fullmatch(names, key))


def _uuid(element: str) -> str:
    return element.rpartition("\n")[2].partition("|")[0]


def _dumps(client: Redis) -> list[Any]:
    plain = Redis(
        host=client.connection_pool.connection_kwargs["host"],
        port=client.connection_pool.connection_kwargs["port"],
    )
    with plain:
        found = [(key, max(plain.pttl(key), 0), plain.dump(key)) for key in {*plain.scan_iter()}]
    return [word for row in found for word in row]


def _build(client: Redis) -> None:
    for uuid in (*UUIDS, "free"):
        client.json().set(f"vcon:{uuid}", ".", {"uuid": uuid})
        about = {"digest": "digest", "index": '["tel:1"]', "owner": "", "saved": 1}
        client.hset(f"pc:about:{uuid}", mapping=about)
        client.zadd("vcons", {uuid: 5})
        client.sadd("tel:1", uuid)
        client.sadd("name:a", uuid)
    epoch = {"server": server_of(client), "generation": 1, "recovering": "mark"}
    client.hset("pc:epoch", mapping=epoch)
    _queues(client)
    _workers(client)
    _ends(client)


def _queues(client: Redis) -> None:
    client.rpush("in", "first", "second", "third")
    client.rpush("run:main", "first|run-first")
    client.hset("pc:attempts:in", mapping={"second": "1\nrun-second\n0"})
    client.hset("pc:attempts:in", mapping={"third": "1\nrun-third\n1", "moved": "0\nrun-moved\n1"})
    client.rpush("pc:suspects:in", "moved")
    client.set("pc:run:run-first", journal("run-first", "first"))
    client.set("pc:run:run-second", journal("run-second", "second", ingress_list="in"))
    client.sadd("pc:holds:first", "in", "run:main|run-first", "DLQ:in")
    client.sadd("pc:holds:second", "in")
    client.zadd("pc:later", {"in\nlate": 5, "run:main\nlate|run-late": 6})
    client.rpush("context:in:first", '{"trace":0}')
    client.set("pc:run:run-late", journal("run-late", "late"))
    client.expire("vcon:second", DAY)


def _workers(client: Redis) -> None:
    client.set("pc:worker:alive", 1, px=DAY * 1000)
    client.sadd("pc:workers", "alive", "dying")
    texts = {"pc:tokens": 20, "pc:step:run-held": "7\ntag", "pc:stalled:dying": "stood still"}
    client.mset(texts)
    held = {"held": "7\nrun-held\nin\nheld", "held2": "8\nrun-held2\nrun:main\nheld2|run-held2"}
    client.hset("pc:inflight:alive", mapping=held)
    dying = {"dead": "9\nrun-dead\nin\ndead", "dead2": "10\nrun-dead2\nrun:main\ndead2|run-dead2"}
    client.hset("pc:inflight:dying", mapping=dying)
    client.hset("pc:locks", mapping=dict.fromkeys(("held", "held2"), "alive"))
    client.hset("pc:locks", mapping=dict.fromkeys(("dead", "dead2"), "dying"))
    client.hset("pc:locks", "read", "long gone")
    client.rpush("pc:waiting:read", "in\nread")
    client.rpush("pc:waiting:held", "in\nheld", "run:main\nheld|run-waiting")
    client.rpush("pc:waiting:dead", "in\ndead")
    client.set("pc:run:run-held", journal("run-held", "held", status="running"))
    client.set("pc:run:run-held2", journal("run-held2", "held2", status="running"))
    client.hset("pc:paused", "idle", "was")
    client.hset("pc:drained", "r9", '{"until":5}')
    assert all(client.expire(f"vcon:{uuid}", DAY) for uuid in ("held", "dead"))


def _ends(client: Redis) -> None:
    for letters in ("DLQ:in", "DLQ:storage:shelf"):
        client.rpush(letters, "letter")
        client.hset(f"pc:dead:{letters}", mapping={"letter": json.dumps(REASON), "gone": "{}"})
    for name in ("out", "DLQ:in"):
        client.hset(f"pc:missing:{name}", "gone", "s")
    client.hset("pc:again:out", "lent", 1)
    client.sadd("pc:holds:letter", "DLQ:in", "DLQ:storage:shelf")
    client.hset("pc:dead:DLQ:in", "first", json.dumps(REASON))
    for letters, uuids in {"DLQ:in": ("letter", "first"), "DLQ:storage:shelf": ("letter",)}.items():
        client.sadd("pc:causes", letters)
        client.hset(f"pc:causes:{letters}", "c1", "{}")
        client.zadd(f"pc:cause:c1:{letters}", dict.fromkeys(uuids, 5))
    client.sadd("pc:awaited", "run-held")
    client.set("pc:run:run-failed", journal("run-failed", "letter", status="failed"))
    client.rpush("out", "read", "first")
    client.sadd("pc:unread:out", "read", "lent", "gone", "first")
    client.sadd("pc:holds:read", "out")
    client.zadd("pc:lease:out", {"lent": 5})
    client.sadd("pc:lenders", "out")
    originals = {f"pc:signed:{each}": "{}" for each in ("first", "first:a1", "second:a1")}
    client.mset({**originals, "pc:rate:key:n": 1})
    client.rpush("pc:history", "{}")
    client.rpush("pc:index", "note")
    client.zadd("pc:media", {"first": 7, "gone": 1})
    client.hset("pc:owners", "first", "")
    client.zadd("pc:expiring", {"absent": 5, "first": 6})
    client.hset("pc:about:absent", "index", '["tel:1"]')
    client.zadd("pc:replicas:1", {"serving:r2": 9e9})
    client.zadd("pc:rate:key", {"1": 9e15})
    client.hset("pc:destination:there", mapping={"open": 5, "probe": "probe", "times": 1})
    client.zadd("pc:slots:there", {"held": 9e15, "probe": 9e15})
    client.zadd("pc:parked:there", {"in\nlate": 9e15, "in\nabsent": 9e15})
