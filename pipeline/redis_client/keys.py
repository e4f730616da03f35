"""Every Redis key by name. Keys that begin with `pc:` are private to this service.

The others are shared with other programs of the vCon world, such as vcon-server and its adapters.
"""

from schemas.run import MARKED

RUN_LIST = "run:"
DEAD_LETTERS = "DLQ:"
STORAGE_DEAD_LETTERS = "DLQ:storage:"
WITHHELD = "DLQ:vcon:withheld:"
"""No ingress list begins with `vcon:`, so none has such a dead-letter list."""

WORKERS = "pc:workers"
LOCKS = "pc:locks"
LATER = "pc:later"
HISTORY = "pc:history"
INDEX = "pc:index"
RELEASED = "pc:released"
OWNERS = "pc:owners"
LENDERS = "pc:lenders"
PROBE = "pc:probe"
LISTS = "pc:lists"
EPOCH = "pc:epoch"
TRASH = "pc:trash"
REPLAYS = "pc:replays"
CAUSE_LISTS = "pc:causes"
AWAITED = "pc:awaited"
SESSIONS = "pc:sessions"
OLD_TERMS = "pc:trash:terms:"
STAGED = "pc:staged:"
PROCESSES = "pc:processes"
PAUSED = "pc:paused"
DRAINED = "pc:drained"
MEDIA = "pc:media"
TOMBSTONES = "pc:tombstones"
VERSION_OF = "made:"
"""What fields of `about` begin with that name versions of the vCon for egress."""
LENT = "lent:"
"""What fields of `about` begin with that name egress lists to which a reader's lease has ended."""
SHARED_TYPES = {
    "pc:tokens": "string",
    "pc:expiring": "zset",
    WORKERS: "set",
    LOCKS: "hash",
    LATER: "zset",
    HISTORY: "list",
    INDEX: "list",
    RELEASED: "list",
    OWNERS: "hash",
    LENDERS: "set",
    LISTS: "zset",
    EPOCH: "hash",
    TRASH: "zset",
    PROCESSES: "set",
    PAUSED: "hash",
    DRAINED: "hash",
    CAUSE_LISTS: "set",
    REPLAYS: "zset",
    AWAITED: "set",
    SESSIONS: "zset",
    MEDIA: "zset",
    TOMBSTONES: "string",
}
"""The types of the keys that all chains share."""
_TYPES_BY_PREFIX = {
    "pc:run:": "string",
    "pc:step:": "string",
    "pc:cancel:": "string",
    "pc:death:": "string",
    "pc:stalled:": "string",
    "pc:worker:": "string",
    "pc:inflight:": "hash",
    "pc:attempts:": "hash",
    "pc:suspects:": "list",
    "pc:waiting:": "list",
    "pc:holds:": "set",
    "pc:about:": "hash",
    "pc:signed:": "string",
    "pc:dead:": "hash",
    "pc:causes:": "hash",
    "pc:cause:": "zset",
    "pc:replay:": "hash",
    "pc:unread:": "set",
    "pc:lease:": "zset",
    "pc:again:": "hash",
    "pc:missing:": "hash",
    "pc:unsure:": "set",
    "pc:process:": "hash",
    "pc:minutes:": "hash",
    "pc:session:": "string",
    "pc:destination:": "hash",
    "pc:slots:": "zset",
    "pc:parked:": "zset",
    "pc:media:": "hash",
    "pc:receipts:": "list",
    "pc:asset:": "string",
    "pc:tombstone:": "string",
}
"""The types of the keys that exist once for each run, worker, list or vCon, by prefix."""
FINISHED_CHANNEL = "pc:finished"
CANCEL_CHANNEL = "pc:cancel"

RESERVED_PREFIXES = ("pc:", RUN_LIST, DEAD_LETTERS, "vcon:", "context:", "tel:", "mailto:", "name:")


def own_type(key: str) -> str | None:
    """The Redis type of a key of this service; None for other keys."""
    if known := SHARED_TYPES.get(key):
        return known
    prefix = ":".join([*key.split(":", 2)[:2], ""])
    return _TYPES_BY_PREFIX.get(prefix)


def vcon(uuid: str) -> str:
    """The vCon document."""
    return f"vcon:{uuid}"


def about(vcon_uuid: str) -> str:
    """What the service knows of a vCon in Redis: its digest, owner, search terms, expiry."""
    return f"pc:about:{vcon_uuid}"


def signed(vcon_uuid: str) -> str:
    """The signed original of a vCon that was opened."""
    return f"pc:signed:{vcon_uuid}"


def offered_original(vcon_uuid: str, digest: str) -> str:
    """The same, until its vCon is accepted; `digest` is that of the original."""
    return f"pc:signed:{vcon_uuid}:{digest}"


def media(vcon_uuid: str) -> str:
    """The large bodies of a vCon, with MEDIA_STORE=redis: name -> the body's JSON."""
    return f"{MEDIA}:{vcon_uuid}"


def run(run_id: str) -> str:
    """One live or recent run, as JSON."""
    return f"pc:run:{run_id}"


def step(run_id: str) -> str:
    """The report of the worker that holds the run about its current step."""
    return f"pc:step:{run_id}"


def cancel(run_id: str) -> str:
    """Present while a cancellation of the run is requested."""
    return f"pc:cancel:{run_id}"


def idempotency(key: str) -> str:
    """The run that was requested with this idempotency key: run, chain and vCon, a line each."""
    return f"pc:idem:{key}"


def idempotent_digest(key: str) -> str:
    """The digest of the document that came with this idempotency key; empty without one."""
    return f"pc:idemdigest:{key}"


def request(digest: str) -> str:
    """What an accepted vCon with an idempotency key was; `digest` is that of the key.

    The digests of its document and of its lists, and the time of receipt if that is its
    `created_at`, a line each.
    """
    return f"pc:request:{digest}"


def run_list(chain: str) -> str:
    """The list that RunChain feeds."""
    return f"{RUN_LIST}{chain}"


def worker(worker_id: str) -> str:
    """A worker's lease."""
    return f"pc:worker:{worker_id}"


def stalled(worker_id: str) -> str:
    """Present while a worker makes no progress: a text for the error of its runs."""
    return f"pc:stalled:{worker_id}"


def death(run_id: str) -> str:
    """Why the last worker died that held this run and no other, if that is known."""
    return f"pc:death:{run_id}"


def process(replica_id: str) -> str:
    """What a service or API process has written about itself."""
    return f"pc:process:{replica_id}"


def inflight(worker_id: str) -> str:
    """The vCons that a worker holds: uuid -> token, run, list and element, a line each."""
    return f"pc:inflight:{worker_id}"


def attempts(list_name: str) -> str:
    """The runs of a list that have begun: element -> attempts, run, suspect (0/1), a line each."""
    return f"pc:attempts:{list_name}"


def attempts_made(count: str) -> int:
    """The attempts in a line of `attempts`; 0 if it has none."""
    return int(count) % MARKED if count.isdigit() else 0


def suspects(ingress_list: str) -> str:
    """The elements of a list that a suspect worker has to run."""
    return f"pc:suspects:{ingress_list}"


def dead_letters(ingress_list: str) -> str:
    """The vCons from an ingress list or run list whose run failed for good."""
    return f"{DEAD_LETTERS}{ingress_list}"


def storage_dead_letters(storage: str) -> str:
    """The vCons whose write to a storage failed for good."""
    return f"{STORAGE_DEAD_LETTERS}{storage}"


def withheld(ingress_list: str) -> str:
    """The vCons from an ingress list or run list whose runs are withheld."""
    return f"{WITHHELD}{ingress_list}"


def reasons(dead_letter_list: str) -> str:
    """The reasons of a dead-letter list: uuid -> JSON."""
    return f"pc:dead:{dead_letter_list}"


def causes(dead_letter_list: str) -> str:
    """The causes of a dead-letter list: fingerprint -> JSON."""
    return f"pc:causes:{dead_letter_list}"


def cause(fingerprint: str, dead_letter_list: str) -> str:
    """The dead letters of a list with one cause: uuid, by the time of the failure (ms)."""
    return f"pc:cause:{fingerprint}:{dead_letter_list}"


def replay(replay_id: str) -> str:
    """The record of one replay, and the request to stop it."""
    return f"pc:replay:{replay_id}"


def unread(egress_list: str) -> str:
    """The vCons that this service put into an egress list and no reader has acknowledged."""
    return f"pc:unread:{egress_list}"


def lease(egress_list: str) -> str:
    """The vCons of an egress list that are lent out, by the end of their leases (ms)."""
    return f"pc:lease:{egress_list}"


def waiting(vcon_uuid: str) -> str:
    """Elements that were claimed while another run held the vCon."""
    return f"pc:waiting:{vcon_uuid}"


def holds(vcon_uuid: str) -> str:
    """The lists and runs that need a vCon in Redis."""
    return f"pc:holds:{vcon_uuid}"


def again(egress_list: str) -> str:
    """Further copies of a uuid that this service put into an egress list: uuid -> count."""
    return f"pc:again:{egress_list}"


def missing(name: str) -> str:
    """The uuids that a sweep has not found in a list: uuid -> id of the sweep."""
    return f"pc:missing:{name}"


def minute(number: int) -> str:
    """What was counted in a minute, by its number since 1970."""
    return f"pc:minutes:{number}"


def unsure(dead_letter_list: str) -> str:
    """The uuids that failed again and may be missing in the dead-letter list."""
    return f"pc:unsure:{dead_letter_list}"


def replayer(storage: str) -> str:
    """The replica that replays a storage's dead letters now."""
    return f"pc:replayer:{storage}"


def answers(service_id: int) -> str:
    """Answers that replicas which have left the Plugboard hand over to other replicas."""
    return f"pc:answers:{service_id}"


def replicas(service_id: int) -> str:
    """The replicas that read the list of answers, and those that are leaving."""
    return f"pc:replicas:{service_id}"


def tombstone(vcon_uuid: str) -> str:
    """Present if the vCon was erased: the id of the erasure."""
    return f"pc:tombstone:{vcon_uuid}"


def session(digest: str) -> str:
    """A session of the console; `digest` is that of the secret in its cookie."""
    return f"pc:session:{digest}"


def destination(name: str) -> str:
    """The rate's last start, the mean duration of calls and the breaker of a destination."""
    return f"pc:destination:{name}"


def slots(destination_name: str) -> str:
    """The calls of a destination in flight, by the ends of their leases (ms)."""
    return f"pc:slots:{destination_name}"


def parked(destination_name: str) -> str:
    """The runs that wait for a destination: list and element, by the time of their turn (ms)."""
    return f"pc:parked:{destination_name}"
