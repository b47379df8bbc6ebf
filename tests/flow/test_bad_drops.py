"""One bad drop never stops the server: it is rejected with its code and answered, and the next is admitted."""

import json
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from enclave.control.drops import Drop
from enclave.flow import DropState
from enclave.model.draft import Kind
from tests.flow.bad import (
    BAD_DROPS,
    FAULTY_FILES,
    Making,
    Planter,
    place_bad_drops,
    place_faulty_files,
    smaller_limit,
)
from tests.flow.road import LENDER, SENDERS, Road, found_road, read_csv
from tests.servers.sshd import running_sshd

GOOD_SEQ = 7


@dataclass(frozen=True)
class Scene:
    """A road on which every bad drop was sent, with a good one of each sender behind them, in one run."""

    road: Road
    bad: dict[str, tuple[str, str, frozenset[str]]]
    faulty: dict[str, str]
    good: dict[str, Path]
    planter: Planter


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Bad drops, then a good one of each sender; collected, settled, sealed and delivered in one run."""
    work = tmp_path_factory.mktemp("bad")
    with running_sshd([*SENDERS, LENDER]) as sshd:
        road = found_road(sshd, work, settings=smaller_limit)
        planter = Planter(1)
        bad = place_bad_drops(road, planter, work)
        faulty = place_faulty_files(road, planter, work)
        good = {}
        for sender in SENDERS:
            # The last in the order of settling: a rising number, so that nothing behind the bad ones is spared.
            good[sender] = Making(road, sender, planter.file(), outer={"seq": GOOD_SEQ}).write(work / "good")
            road.place(sender, good[sender])
        road.jobs("checkpoint", "collect", "admit", "seal", "deliver")
        yield Scene(road, bad, faulty, good, planter)


def receipt_of(road: Road, drop: Drop) -> dict[str, object]:
    """The receipt of a drop, as its sender opens it."""
    (release,) = [one for one in road.releases() if one.subject == drop.drop_uuid and one.kind == Kind.RECEIPT]
    package = road.sshd.root / drop.sender / "out" / "receipts" / f"bundle_{release.package}.zip"
    receipt: dict[str, object] = json.loads(road.opened(drop.sender, package)["kvittering.json"])
    return receipt


@pytest.mark.parametrize("what", BAD_DROPS)
def test_a_bad_drop_is_rejected_with_its_code_and_answered(what: str, scene: Scene) -> None:
    """The drop is rejected with its own code, and its sender opens a receipt that says that code."""
    sender, code, digests = scene.bad[what]
    if digests and code not in {"E_DROP_SIZE", "E_DROP_CONTENT", "E_DROP_NAME", "E_DROP_KIND"}:
        (drop,) = [one for one in scene.road.drops() if one.content_digest in digests]
        assert (drop.state, drop.reason) == (DropState.REJECTED, code)
    else:
        # What is refused at the airlock is not read, so it has no digest of its own.
        drop = next(one for one in scene.road.drops() if (one.sender, one.reason) == (sender, code))
        assert drop.state == DropState.REJECTED
    assert drop.sender == sender
    assert receipt_of(scene.road, drop)["reason"] is not None
    assert code in json.dumps(receipt_of(scene.road, drop))


def test_as_many_are_rejected_as_are_bad(scene: Scene) -> None:
    """No bad drop is lost and none counts twice; nothing of them is left at the airlock."""
    rejected = sorted((one.sender, one.reason) for one in scene.road.drops() if one.state == DropState.REJECTED)
    assert rejected == sorted((sender, code) for sender, code, _ in scene.bad.values())
    for sender in SENDERS:
        assert not list((scene.road.sshd.root / sender / "in").iterdir())


@pytest.mark.parametrize("sender", SENDERS)
def test_the_good_drop_behind_them_is_admitted(sender: str, scene: Scene) -> None:
    """In the same run the good drop of each sender is admitted, with all its rows."""
    (drop,) = [one for one in scene.road.drops() if one.sender == sender and one.stated_seq == GOOD_SEQ]
    assert drop.state == DropState.ADMITTED
    receipt = receipt_of(scene.road, drop)
    assert receipt["drop_id"] == scene.good[sender].name
    assert "admitted" in json.dumps(receipt)


@pytest.mark.parametrize("what", FAULTY_FILES)
def test_a_faulty_file_is_answered_with_its_faults(what: str, scene: Scene) -> None:
    """A sound drop with a faulty file is admitted, and its feedback lists faults without a value."""
    (digest,) = [digest for digest, named in scene.faulty.items() if named == what]
    (drop,) = [one for one in scene.road.drops() if one.content_digest == digest]
    assert drop.state == DropState.ADMITTED
    (release,) = [one for one in scene.road.releases() if one.subject == drop.drop_uuid and one.kind == Kind.FEEDBACK]
    package = scene.road.sshd.root / "deren" / "out" / "feedback" / f"bundle_{release.package}.zip"
    opened = scene.road.opened("deren", package)
    faults = read_csv(opened["tilbakemelding.csv"])
    assert faults, "each of these files has a fault"
    told = b"".join(opened.values()).decode("utf-8", "replace")
    for person in scene.planter.planted:
        # The sender's own reference is what the answer is for; numbers, names and texts never come back.
        assert person.person_id not in told
        assert person.name not in told
        assert person.text not in told


def test_every_rule_of_a_row_is_met(scene: Scene) -> None:
    """The table of faulty rows breaks at least twenty rules, so that it tests what it says."""
    rules = rules_met(scene, "every rule of a row")
    assert len(rules) >= 20, sorted(rules)


def test_every_rule_between_forms_is_met(scene: Scene) -> None:
    """What follows on no arrival or a refused one, comes before it or is out of order, is answered by its rule."""
    rules = rules_met(scene, "every rule between forms")
    assert rules >= {
        "above_maximum", "discharge.arrival_known", "discharge.end_after_arrival", "discharge.course_length",
        "discharge.completed_was_attended", "follow_up_12.arrival_known", "follow_up_12.response_after_arrival",
        "follow_up_12.response_after_discharge", "follow_up_12.response_after_six_months",
    }, sorted(rules)  # fmt: skip


def rules_met(scene: Scene, what: str) -> set[str]:
    """The rules that the feedback on a faulty file names."""
    (digest,) = [digest for digest, named in scene.faulty.items() if named == what]
    (drop,) = [one for one in scene.road.drops() if one.content_digest == digest]
    (release,) = [one for one in scene.road.releases() if one.subject == drop.drop_uuid and one.kind == Kind.FEEDBACK]
    package = scene.road.sshd.root / "deren" / "out" / "feedback" / f"bundle_{release.package}.zip"
    return {row["Regel"] for row in read_csv(scene.road.opened("deren", package)["tilbakemelding.csv"])}


def test_replays_reused_ids_and_old_numbers_are_told_apart(scene: Scene, tmp_path: Path) -> None:
    """A later run answers an exact replay without storing it, and rejects a reused drop_id and a number not above."""
    road, good = scene.road, scene.good["airen"]
    before = settled_rows(road)
    road.place("airen", good, "the-same-again")
    planter = Planter(2)
    reused = Making(road, "airen", planter.file(), drop_id=UUID(good.name), outer={"seq": GOOD_SEQ + 1})
    road.place("airen", reused.write(tmp_path / "reused"), "reused")
    backwards = Making(road, "airen", planter.file(), outer={"seq": GOOD_SEQ - 1}).write(tmp_path / "back")
    road.place("airen", backwards)
    equal = Making(road, "airen", planter.file(), outer={"seq": GOOD_SEQ}).write(tmp_path / "equal")
    road.place("airen", equal)
    onwards = Making(road, "airen", planter.file(), outer={"seq": GOOD_SEQ + 2}).write(tmp_path / "on")
    road.place("airen", onwards)
    known = {one.drop_uuid for one in road.drops()}
    road.jobs("collect", "admit", "checkpoint", "seal", "deliver")
    new: defaultdict[int | None, list[Drop]] = defaultdict(list)
    for one in road.drops():
        if one.drop_uuid not in known:
            new[one.stated_seq].append(one)
    assert sorted((one.state, one.reason) for one in new[GOOD_SEQ]) == [
        (DropState.REJECTED, "E_SEQ"), (DropState.REPLAYED, "E_REPLAY"),
    ]  # fmt: skip
    assert [(one.state, one.reason) for one in new[GOOD_SEQ + 1]] == [(DropState.REJECTED, "E_DROP_ID_REUSED")]
    assert [(one.state, one.reason) for one in new[GOOD_SEQ - 1]] == [(DropState.REJECTED, "E_SEQ")]
    assert [(one.state, one.reason) for one in new[GOOD_SEQ + 2]] == [(DropState.ADMITTED, "")]
    for drops in new.values():
        for drop in drops:
            assert (drop.reason or "admitted") in json.dumps(receipt_of(road, drop))
    assert settled_rows(road) == before + 2, "two rows of the one admitted drop"


def settled_rows(road: Road) -> int:
    """How many rows were ever accepted, as the audit log counts them; a failed settling counts nothing."""
    entries = json.loads(road.enclave("audit", "show", "--last", "100000", "--json").out)
    return sum(
        one["counts"].get("accepted", 0) for one in entries if (one["act"], one["phase"]) == ("drop.settle", "done")
    )


def test_a_drop_that_grows_is_waited_for(scene: Scene, tmp_path: Path) -> None:
    """An upload under its temporary name, and a payload shorter than stated, stay where they are, for now."""
    road, planter = scene.road, Planter(3)
    uploading = road.place("boren", Making(road, "boren", planter.file()).write(tmp_path / "a"), "drop-1.part")
    growing = road.place("boren", Making(road, "boren", planter.file()).write(tmp_path / "b"), "drop-2")
    payload = growing / "payload.zip"
    payload.write_bytes(payload.read_bytes()[:-10])
    known = len(road.drops())
    road.jobs("collect")
    assert len(road.drops()) == known
    assert uploading.is_dir()
    assert growing.is_dir()
    shutil.rmtree(uploading)
    shutil.rmtree(growing)
