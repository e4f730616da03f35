"""Single calls on single vCons."""

from devstack.conformance import documents
from devstack.conformance.kit import Kit
from devstack.conformance.verdict import Verdict, failed, passed


def gone(kit: Kit) -> Verdict:
    """The vCon is not in Redis."""
    document = kit.document()
    kit.proxy.touched.clear()
    ran = kit.main.run(document, put=False)
    if ran.accident:
        return failed(f"it did not expect that: {ran.error}", kit.at(ran))
    if ran.vcon is not None:
        return failed("it made a vCon of that uuid", kit.where())
    if not ran.error and kit.facts.kind == "storage":
        return failed("`save` raised nothing, as if it had stored a vCon", kit.where())
    if not ran.error and ran.goes_on and kit.proxy.touched.is_set():
        return failed(f"it asked its peer and returned {ran.returned}", kit.where())
    return passed(ran.error or f"returned {ran.returned}")


def twice(kit: Kit) -> Verdict:
    """The second run finds the vCon that the first one left."""
    document = kit.document()
    first = kit.main.run(document)
    if first.error:
        return failed(f"the first run: {first.error}", kit.at(first))
    second = kit.main.run(document, put=False)
    if second.error:
        return failed(f"the second run: {second.error}", kit.at(second))
    if not documents.same(first.vcon, second.vcon):
        what = kit.difference(first.vcon, second.vcon)
        return failed(f"the second run changed the vCon: {what}", kit.where())
    if first.saved != second.saved:
        return failed("`get` returns another vCon after the second `save`", kit.where())
    changed = "unchanged" if documents.same(document, first.vcon) else "changed by the first run"
    return passed(f"the same vCon, {changed}")
