"""Who may act at the terminal: members of an OS group who neither lead the project nor audit. Refusals are logged."""

import grp
import os

from enclave.audit.acts import Acts
from enclave.errors import Refused, explain
from enclave.settings import Roles

explain(
    "R_ROLE",
    "This OS user is no data processor of this server, or its project lead or auditor too: one person is not two.",
    "See [roles] in enclave.toml; whoever administers the machine puts people into groups, and this is on record.",
)


def require_data_processor(roles: Roles, acts: Acts) -> None:
    """Refused R_ROLE, after it is noted, for who may not act; without a group in the settings everyone may who can."""
    if not roles.data_processors:
        return
    theirs = _groups()
    if roles.data_processors not in theirs or theirs & {roles.project_leads, roles.auditors}:
        acts.note("role.refused", "role", "data_processor", reason="R_ROLE")
        raise Refused("R_ROLE")


def _groups() -> set[str]:
    """The names of this process's groups; one without a name is nobody's role."""
    names = set()
    for number in {os.getegid(), *os.getgroups()}:
        try:
            names.add(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return names
