"""The generated parts of README: `python -m tests.docs.blocks` writes them; a test compares them.

A block stands between `<!-- block: NAME -->` and `<!-- end -->`.
"""

import re
from collections.abc import Callable
from pathlib import Path

from enclave.flow import ACTS, FIRST_STATES, TRANSITIONS, Act, DropState, LoanState, ReleaseState, RequestState
from enclave.grants import Network
from jobs.schedule import JOBS, ROAD

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"(<!-- block: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
MACHINES = {"drop": DropState, "loan": LoanState, "release": ReleaseState, "request": RequestState}


def road() -> str:
    """The road as a picture: the jobs, what they hand on, and where the network is."""
    lines = ["```mermaid", "flowchart LR", "  out([airlock: SFTP, outside the wall])"]
    for network, title in (
        (Network.AIRLOCK, "reaches the airlock, sees only ciphertext"),
        (Network.DATABASE, "reaches the databases, never the airlock"),
        (Network.NONE, "reaches nothing"),
    ):
        lines.append(f'  subgraph {network.value}["{title}"]')
        lines += [f"    {name}[{name}]" for name, job in JOBS.items() if job.network is network]
        lines.append("  end")
    lines += [f"  {giver} -->|{what}| {taker}" for giver, what, taker in _hand_overs()]
    return "\n".join([*lines, "```", "", f"`enclave run --once` walks: {' → '.join(ROAD)}."])


def _hand_overs() -> list[tuple[str, str, str]]:
    """Who hands what to whom; a folder or database that one job writes and another reads."""
    folders = [
        ("collect", "quarantine", "admit"),
        ("collect", "loans", "link"),
        ("link", "loan_keys", "destroy"),
        ("admit", "drafts", "seal"),
        ("destroy", "drafts", "seal"),
        ("release", "drafts", "seal"),
        ("give_back", "drafts", "seal"),
        ("seal", "outbox", "deliver"),
    ]
    for giver, folder, taker in folders:
        if not all(folder in {which.name.lower() for which in JOBS[name].folders} for name in (giver, taker)):
            raise ValueError(f"{giver} does not hand {folder} to {taker}")
    words = {
        "quarantine": "sealed drops",
        "loans": "borrowed, sealed",
        "loan_keys": "a used loan",
        "drafts": "encrypted drafts",
        "outbox": "sealed packages",
    }
    return [
        ("out", "drops", "collect"),
        *((giver, words[folder], taker) for giver, folder, taker in folders),
        ("admit", "pseudonymous rows", "analyse"),
        ("rights", "withdrawals", "analyse"),
        ("analyse", "result tables", "release"),
        ("admit", "own rows", "give_back"),
        ("link", "finished tables", "release"),
        ("deliver", "bundles, receipts, feedback", "out"),
    ]


def jobs() -> str:
    """The job table: what each takes and gives, and what it may see."""
    rows = ["| job | takes → gives | private keys | databases | network |", "|---|---|---|---|---|"]
    for name, job in JOBS.items():
        held = (("registry", job.registry), ("vault", job.vault))
        databases = ", ".join(f"{what} ({access.value})" for what, access in held if access)
        keys = [f"`{key}`" for key in job.private_keys]
        keys += [f"passphrases of {which.value}" for which in job.passphrases]
        seen = f"{', '.join(keys) or '–'} | {databases or '–'} | {job.network.value}"
        rows.append(f"| `{name}` | {job.takes} → {job.gives} | {seen} |")
    return "\n".join(rows)


def states() -> str:
    """The states of drop, loan, release and request."""
    lines = ["```mermaid", "flowchart LR"]
    for machine, kinds in MACHINES.items():
        lines.append(f"  subgraph {machine}")
        lines += [f"    {machine}_{state}([{state}])" for state in kinds if state in FIRST_STATES]
        lines += [f"    {machine}_{state}[{state}]" for state in kinds if state not in FIRST_STATES]
        lines += [
            f"    {machine}_{state} --> {machine}_{later}" for state in kinds for later in sorted(TRANSITIONS[state])
        ]
        lines.append("  end")
    return "\n".join([*lines, "```"])


def acts() -> str:
    """Every act with its evidence and what a crash leaves."""
    rows = ["| act | done by | did it happen? | a crash leaves |", "|---|---|---|---|"]
    for act in Act:
        rule = ACTS[act]
        rows.append(f"| `{act}` | {', '.join(rule.done_by)} | {rule.evidence} | {rule.a_crash_leaves} |")
    return "\n".join(rows)


BLOCKS: dict[str, Callable[[], str]] = {"road": road, "jobs": jobs, "states": states, "acts": acts}


def with_blocks(text: str) -> str:
    """The text with every block made anew."""
    return BLOCK.sub(lambda match: f"{match[1]}{BLOCKS[match['name']]()}\n{match[3]}", text)


if __name__ == "__main__":
    for path in (README, README.parent / "docs" / "operator.md"):
        path.write_text(with_blocks(path.read_text(encoding="utf-8")), encoding="utf-8")
