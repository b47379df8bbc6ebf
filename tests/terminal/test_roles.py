"""Acts at the terminal are for the data processors' group, and for nobody who signs as second person or audits."""

import grp
import os
from pathlib import Path

import pytest

from enclave.control.requests import requests_of
from enclave.crypto.secret import Secret
from enclave.errors import Refused
from enclave.folders import WorkingFolder
from enclave.settings import Roles, read_settings
from enclave.terminal.desk import Desk
from enclave.wiring import open_log
from tests.jobs.working import REGISTRY, founded

OURS = grp.getgrgid(os.getegid()).gr_name
SOMEBODY_ELSES = "no-such-group"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> WorkingFolder:
    """A founded server."""
    return founded(tmp_path_factory.mktemp("roles") / "working")


def desk(folder: WorkingFolder, **roles: str) -> Desk:
    """The terminal of a server with these groups."""
    settings = read_settings(folder.settings).model_copy(update={"roles": Roles(**roles)})
    return Desk(folder, settings, REGISTRY)


@pytest.mark.parametrize("roles", [{}, {"data_processors": OURS}, {"data_processors": OURS, "project_leads": "x"}])
def test_a_data_processor_acts(folder: WorkingFolder, roles: dict[str, str]) -> None:
    """In the group, or where no group is set, a request is filed."""
    request_id = desk(folder, **roles).withdraw(Secret(b"0"), "2026/1")
    assert request_id in {one.request_id for one in requests_of(desk(folder).control, REGISTRY)}


@pytest.mark.parametrize(
    "roles",
    [
        {"data_processors": SOMEBODY_ELSES},
        {"data_processors": OURS, "project_leads": OURS},
        {"data_processors": OURS, "auditors": OURS},
    ],
)
def test_anybody_else_is_refused_and_the_refusal_logged(folder: WorkingFolder, roles: dict[str, str]) -> None:
    """Outside the group, or in both, nothing is filed; the log says who tried."""
    before = requests_of(desk(folder).control, REGISTRY)
    with pytest.raises(Refused, match="R_ROLE"):
        desk(folder, **roles).withdraw(Secret(b"0"), "2026/2")
    assert requests_of(desk(folder).control, REGISTRY) == before
    *_, last = open_log(folder).lines()
    assert b'"act":"role.refused"' in last
    assert b'"reason":"R_ROLE"' in last
    assert b'"actor":"person:' in last


def test_the_shipped_settings_name_no_group(folder: WorkingFolder, tmp_path: Path) -> None:
    """A new server tells nobody apart until its groups are named."""
    assert read_settings(folder.settings).roles == Roles()
