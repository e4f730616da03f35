"""Any sequence of outcomes, over any chain: the plan always comes to a sound end."""

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.parser import Chain, LinkStep, PluginSpec, StorageSpec
from pipeline.runs.plan import (
    Progress,
    RunLink,
    Save,
    Settle,
    after_failure,
    after_link,
    after_save,
    next_move,
)

VCON = "018f3a52-0000-8aaa-8bbb-000000000000"

FEW = settings(max_examples=30, deadline=None)

returned = st.one_of(
    st.just("same"),
    st.uuids().map(str),
    st.sampled_from([None, False, "", True, "abc", 7, b"x"]),
    st.just(ValueError),
)


@st.composite
def chains(draw):
    """A chain of up to five links and four storages."""
    links, storages = draw(st.integers(0, 5)), draw(st.integers(0, 4))
    return Chain(
        "main",
        links=tuple(LinkStep(f"l{n}", PluginSpec(f"l{n}", "m")) for n in range(links)),
        storages=tuple(StorageSpec(f"s{n}", "m") for n in range(storages)),
        max_attempts=draw(st.integers(1, 4)),
    )


@dataclass
class Story:
    """What happened on the way, attempt by attempt."""

    events: list[tuple[str, object]] = field(default_factory=list)
    endings: list[str] = field(default_factory=list)
    progress: Progress = field(default_factory=lambda: Progress(VCON))

    def of(self, kind):
        """What was done of one kind, in order."""
        return [what for each, what in self.events if each == kind]


def live_through(chain, data):
    """Follow the plan with drawn outcomes until it is settled for good."""
    story = Story()
    for _ in range(chain.max_attempts):
        steps = 0
        while not isinstance(move := next_move(chain, story.progress), Settle):
            steps += 1
            assert steps <= len(chain.links) + 1, "the plan does not come to an end"
            story.progress = outcome_of(move, story, data)
        story.endings.append(move.ending)
        if move.ending != "failed":
            break
        # the next attempt goes on with what was done, as the journal has it
        story.progress = replace(story.progress, ended=None, error=None, refused=frozenset())
    if story.endings[-1] == "done":
        story.events.append(("egress", story.progress.vcon))
    return story


def outcome_of(move, story, data):
    """Do one move; what came of it."""
    progress = story.progress
    match move:
        case RunLink(index):
            story.events.append(("link", index))
            result = data.draw(returned)
            if result is ValueError:
                return after_failure(progress, "ValueError")
            after = after_link(progress, progress.vcon if result == "same" else result)
            if after.ended != "failed":
                story.events.append(("link done", index))
            return after
        case Save(names):
            story.events.append(("save", (progress.vcon, names)))
            saved = data.draw(st.sets(st.sampled_from(names)))
            return after_save(progress, frozenset(saved), frozenset(names) - saved)


@FEW
@given(chains(), st.data())
def test_every_story_ends_settled(chain, data):
    """Each run ends in any order plugins fail, and a failure ends it only after all attempts."""
    story = live_through(chain, data)
    assert story.endings[-1] in {"done", "halted", "partial", "failed"}
    assert set(story.endings[:-1]) <= {"failed"}
    if story.endings[-1] == "failed":
        assert len(story.endings) == chain.max_attempts


@FEW
@given(chains(), st.data())
def test_links_are_done_in_order_and_once(chain, data):
    """Each link is done at most once; only one that failed is run again, and none is skipped."""
    story = live_through(chain, data)
    done = story.of("link done")
    assert done == list(range(len(done)))
    tried = story.of("link")
    assert tried == sorted(tried)
    repeated = len(tried) - len(set(tried))
    assert repeated <= len(story.endings) - 1


@FEW
@given(chains(), st.data())
def test_storages_come_after_all_links(chain, data):
    """Nothing is saved before the last link is done, and all storages get the same vCon."""
    story = live_through(chain, data)
    if story.of("save"):
        assert story.of("link done") == list(range(len(chain.links)))
        kinds = [kind for kind, _ in story.events]
        assert "link" not in kinds[kinds.index("save") :]
        [(vcon, names)] = story.of("save")
        assert vcon == story.progress.vcon
        assert names == tuple(storage.name for storage in chain.storages)


@FEW
@given(chains(), st.data())
def test_egress_only_after_every_link_and_every_storage(chain, data):
    """Done means that all links are done and all storages have it; partial, that one has not."""
    story = live_through(chain, data)
    everywhere = frozenset(storage.name for storage in chain.storages)
    ending, progress = story.endings[-1], story.progress
    if ending == "done":
        assert progress.links_done == len(chain.links)
        assert progress.saved == everywhere
        assert not progress.refused
    assert (ending == "partial") == bool(progress.refused)
    assert not progress.saved & progress.refused
    if ending in ("halted", "failed"):
        assert not story.of("egress")


@FEW
@given(chains(), st.data())
def test_a_settled_run_stays_settled(chain, data):
    """Once ended, the plan names no further move, also if steps are left."""
    story = live_through(chain, data)
    for ended in ("halted", "failed", "cancelled"):
        over = replace(story.progress, ended=ended)
        assert next_move(chain, over) == Settle(ended)


@FEW
@given(chains(), st.data())
def test_the_vcon_is_always_a_uuid(chain, data):
    """No odd return value ever becomes the current vCon."""
    story = live_through(chain, data)
    assert len(story.progress.vcon) == 36
