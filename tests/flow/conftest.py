"""The road that `test_flow_sshd.py` walks with stock tools, and that the PostgreSQL road is compared with."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.flow.road import (
    LENDER,
    SENDERS,
    Road,
    arrival_row,
    courses,
    csv_of,
    files_of,
    found_road,
    make_drop,
    upload,
    walk,
)
from tests.servers.sshd import running_sshd

DROP_IDS = {
    "airen": "0f6f0d2e-6c5e-4f43-9f5a-1f6f40d0a001",
    "boren": "0f6f0d2e-6c5e-4f43-9f5a-1f6f40d0a002",
    "ceren": "0f6f0d2e-6c5e-4f43-9f5a-1f6f40d0a003",
    "deren": "0f6f0d2e-6c5e-4f43-9f5a-1f6f40d0a004",
}
CORRECTION_ID = "0f6f0d2e-6c5e-4f43-9f5a-1f6f40d0a005"
WITHDRAWN = courses("boren")[7]
CORRECTED = courses("airen")[2]
CORRECTED_TO = (CORRECTED.work_ability + 3) % 11
REFUSED = courses("ceren")[5]
"""Its arrival is typed with a work ability of 44, so the row is refused, and with it what came after arrival."""


@dataclass(frozen=True)
class Walked:
    """A walked road, and the sealed drop folders that were sent along it, in order."""

    road: Road
    drops: tuple[tuple[str, Path], ...]


def corrected_files() -> dict[str, bytes]:
    """The second drop of `airen`: one arrival, typed anew."""
    return {"arrival.csv": csv_of("arrival", [arrival_row(CORRECTED) | {"work_ability": str(CORRECTED_TO)}])}


def sent_files(institution: str) -> dict[str, bytes]:
    """The first drop of an institution; `ceren` mistypes one row."""
    files = files_of(institution)
    if institution == "ceren":
        rows = [
            arrival_row(course) | ({"work_ability": "44"} if course == REFUSED else {})
            for course in courses(institution)
        ]
        files["arrival.csv"] = csv_of("arrival", rows)
    return files


@pytest.fixture(scope="session")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walked]:
    """The road from drops made by stock tools to delivered bundles, on SQLCipher and sshd."""
    work = tmp_path_factory.mktemp("stock")
    with running_sshd([*SENDERS, LENDER]) as sshd:
        road = found_road(sshd, work)
        drops = [
            (sender, make_drop(road, sender, sent_files(sender), work / "sent", DROP_IDS[sender], 1))
            for sender in SENDERS
        ]
        drops.append(("airen", make_drop(road, "airen", corrected_files(), work / "sent", CORRECTION_ID, 2)))
        for sender, drop in drops:
            upload(road, sender, drop)
        walk(road, work, withdrawn=WITHDRAWN.person_id)
        yield Walked(road, tuple(drops))
