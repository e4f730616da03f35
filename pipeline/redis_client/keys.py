"""Every Redis key by name. Ours begin with `pc:`; the others are shared with the vCon world."""

RUN_LIST = "run:"
DEAD_LETTERS = "DLQ:"
STORAGE_DEAD_LETTERS = "DLQ:storage:"

WORKERS = "pc:workers"
LOCKS = "pc:locks"
LATER = "pc:later"
HISTORY = "pc:history"
OWNERS = "pc:owners"
LENDERS = "pc:lenders"
PROBE = "pc:probe"
LISTS = "pc:lists"
EPOCH = "pc:epoch"
TRASH = "pc:trash"
OLD_TERMS = "pc:trash:terms:"
STAGED = "pc:staged:"
SHARED_TYPES = {
    "pc:tokens": "string",
    "pc:expiring": "zset",
    WORKERS: "set",
    LOCKS: "hash",
    LATER: "zset",
    HISTORY: "list",
    OWNERS: "hash",
    LENDERS: "set",
    LISTS: "zset",
    EPOCH: "hash",
    TRASH: "zset",
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
    "pc:dead:": "hash",
    "pc:unread:": "set",
    "pc:lease:": "zset",
    "pc:again:": "hash",
    "pc:missing:": "hash",
    "pc:unsure:": "set",
}
"""The types of the keys that there is one of for each run, worker, list or vCon."""
FINISHED_CHANNEL = "pc:finished"
CANCEL_CHANNEL = "pc:cancel"

RESERVED_PREFIXES = ("pc:", RUN_LIST, DEAD_LETTERS, "vcon:", "context:", "tel:", "mailto:", "name:")


def own_type(key: str) -> str | None:
    """The Redis type that this service keeps under a name; None for names that are not its own."""
    if known := SHARED_TYPES.get(key):
        return known
    prefix = ":".join([*key.split(":", 2)[:2], ""])
    return _TYPES_BY_PREFIX.get(prefix)


def vcon(uuid: str) -> str:
    """The vCon document."""
    return f"vcon:{uuid}"


def run(run_id: str) -> str:
    """One live or recent run, as JSON."""
    return f"pc:run:{run_id}"


def step(run_id: str) -> str:
    """What the worker that holds the run says of its present step."""
    return f"pc:step:{run_id}"


def cancel(run_id: str) -> str:
    """Somebody wants this run to end before its next link."""
    return f"pc:cancel:{run_id}"


def idempotency(key: str) -> str:
    """The run that was requested with this key, with its chain and vCon, a line each."""
    return f"pc:idem:{key}"


def idempotent_digest(key: str) -> str:
    """The digest of the document that was given with this key; empty when it had none."""
    return f"pc:idemdigest:{key}"


def run_list(chain: str) -> str:
    """The list that RunChain feeds."""
    return f"{RUN_LIST}{chain}"


def worker(worker_id: str) -> str:
    """A worker's sign of life."""
    return f"pc:worker:{worker_id}"


def stalled(worker_id: str) -> str:
    """That a worker makes no progress, in words."""
    return f"pc:stalled:{worker_id}"


def death(run_id: str) -> str:
    """What the last worker that died with this run alone died of, if that is known."""
    return f"pc:death:{run_id}"


def inflight(worker_id: str) -> str:
    """What a worker holds: uuid -> element, list and run, one per line."""
    return f"pc:inflight:{worker_id}"


def suspects(ingress_list: str) -> str:
    """What was moved out of a list to run in a process of its own."""
    return f"pc:suspects:{ingress_list}"


def dead_letters(ingress_list: str) -> str:
    """The uuids that failed on their way out of an ingress list."""
    return f"{DEAD_LETTERS}{ingress_list}"


def storage_dead_letters(storage: str) -> str:
    """The uuids that one storage would not take."""
    return f"{STORAGE_DEAD_LETTERS}{storage}"


def reasons(dead_letter_list: str) -> str:
    """Why each uuid is in a dead-letter list: uuid -> JSON."""
    return f"pc:dead:{dead_letter_list}"


def unread(egress_list: str) -> str:
    """What we put into an egress list and nobody has acknowledged."""
    return f"pc:unread:{egress_list}"


def waiting(vcon_uuid: str) -> str:
    """What waits for the run that is at work on a vCon."""
    return f"pc:waiting:{vcon_uuid}"


def holds(vcon_uuid: str) -> str:
    """What needs a vCon."""
    return f"pc:holds:{vcon_uuid}"


def again(egress_list: str) -> str:
    """How many further copies of a uuid we put into an egress list: uuid -> count."""
    return f"pc:again:{egress_list}"


def missing(name: str) -> str:
    """What a sweep has not found in a list: uuid -> the sweep."""
    return f"pc:missing:{name}"


def unsure(dead_letter_list: str) -> str:
    """Uuids that failed again, and may or may not stand in the list."""
    return f"pc:unsure:{dead_letter_list}"


def replayer(storage: str) -> str:
    """Says that some replica is trying this storage again just now."""
    return f"pc:replayer:{storage}"


def answers(service_id: int) -> str:
    """Answers that replicas which have left the Plugboard hand over to their peers."""
    return f"pc:answers:{service_id}"


def replicas(service_id: int) -> str:
    """Which replicas serve the list of answers, and which are leaving."""
    return f"pc:replicas:{service_id}"
