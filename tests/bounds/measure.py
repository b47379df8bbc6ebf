"""What each hostile file costs: `python -m tests.bounds.measure [NAME …] [--write]`, each in a process of its own.

`--write` puts the table into docs/hostile-input.md.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from enclave.control.drops import find_drop
from enclave.crypto import aes_zip, age, openpgp, sshsig
from enclave.crypto.keyring import public
from enclave.crypto.secret import Secret
from enclave.model.draft import Kind
from enclave.model.drop import PlainFile
from tests.bounds.files import HOSTILE, Hostile
from tests.docs.blocks import BLOCK
from tests.faults.site import ATTACKER, REGISTRY, Making, Site, new_site
from tests.flow.road import read_csv

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "hostile-input.md"
MOST_MIB, MOST_SECONDS = 400, 60
HEADER = "| hostile file | CPU seconds | MiB above idle | ends as |\n|---|---|---|---|"


@dataclass(frozen=True)
class Cost:
    """What one hostile drop cost and how it ended: its code, or the rules that its feedback names."""

    name: str
    cpu: float
    mib: int
    reason: str
    rules: frozenset[str]

    @property
    def within(self) -> bool:
        """Whether memory and time stayed within what is promised."""
        return self.mib < MOST_MIB and self.cpu < MOST_SECONDS

    @property
    def ended_rightly(self) -> bool:
        """Whether the drop was rejected with its code, or admitted with its rule told."""
        hostile = HOSTILE[self.name]
        return self.reason == hostile.reason and (not hostile.rule or hostile.rule in self.rules)

    def row(self) -> str:
        """A line of the table."""
        ended = f"`{self.reason}`" if self.reason else f"fault `{HOSTILE[self.name].rule}`"
        return f"| {self.name} | {self.cpu:.1f} | {self.mib} | {ended} |"


def measure(site: Site, name: str) -> Cost:
    """Send one hostile drop, take it in a process of its own, and answer what it cost."""
    first = site.make(Making(site.planter.file(rows=1)))
    second = made(site, HOSTILE[name])
    command = [sys.executable, "-m", "tests.bounds.child", str(site.folder.settings), str(site.incoming()),
               str(first), str(second)]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    drop = find_drop(site.control, told["drop"])
    assert drop is not None
    assert list(site.incoming().iterdir()) == []
    lines = [] if drop.reason else read_csv(site.answer(drop, Kind.FEEDBACK)["tilbakemelding.csv"])
    return Cost(name, told["cpu"], told["mib"], drop.reason, frozenset(line["Regel"] for line in lines))


def made(site: Site, hostile: Hostile) -> Path:
    """The drop's folder, outside the airlock but on its disk."""
    drop_id = uuid4()
    files = hostile.members() or site.planter.file(rows=1)
    key_id, seal = _envelope(site, hostile.envelope)
    making = Making(files, drop_id=drop_id, inner={"recipient_kid": key_id})
    inner = json.dumps(site.inner(making)).encode() if hostile.inner is None else hostile.inner()
    members = [PlainFile("manifest.json", inner), *(PlainFile(name, content) for name, content in files.items())]
    payload = seal(members) if hostile.payload is None else hostile.payload()
    stated = {
        "v": 1, "registry": REGISTRY, "drop_id": str(drop_id), "sender": ATTACKER, "format": hostile.envelope,
        "created_at": "2026-02-01T08:00:00Z", "recipient_kid": key_id,
        "payload_sha256": hashlib.sha256(payload).hexdigest(), "payload_size": len(payload),
    }  # fmt: skip
    manifest = hostile.manifest(json.dumps(stated).encode())
    signature = sshsig.sign(manifest, Secret(site.keys[ATTACKER].read_bytes()), f"drop@{REGISTRY}")
    folder = site.root / "made" / str(drop_id)
    folder.mkdir(parents=True)
    parts = {"payload.zip": payload, "manifest.json": manifest, "manifest.json.sig": hostile.signature(signature)}
    for name, content in parts.items():
        (folder / name).write_bytes(content)
    return folder


def _envelope(site: Site, form: str) -> tuple[str, Callable[[Sequence[PlainFile]], bytes]]:
    """The key id of an envelope and what seals files in it."""
    letter, keys = site.letters[ATTACKER], site.folder.registry(REGISTRY).keys
    recipient, certificate = public(keys, "intake"), public(keys, "nettskjema")
    envelopes: dict[str, tuple[str, Callable[[Sequence[PlainFile]], bytes]]] = {
        "aes-zip": (letter.inbound_key_id, lambda files: aes_zip.seal_archive(files, letter.inbound)),
        "age": (recipient, lambda files: age.seal(aes_zip.pack_plain(files), [recipient])),
        "openpgp": (
            openpgp.key_id(certificate),
            lambda files: openpgp.seal(aes_zip.pack_plain(files), certificate),
        ),
    }
    return envelopes[form]


def costs(names: Sequence[str]) -> Iterator[Cost]:
    """What each costs, one after another, on one server."""
    with tempfile.TemporaryDirectory() as folder:
        site = new_site(Path(folder))
        for name in names:
            yield measure(site, name)


def main(arguments: Sequence[str]) -> int:
    """Print the table; answers 1 where something costs too much or ends otherwise than it must."""
    found = []
    print(HEADER, flush=True)
    for cost in costs([name for name in arguments if name != "--write"] or list(HOSTILE)):
        remark = "" if cost.within and cost.ended_rightly else f" NOT AS IT MUST BE {cost.reason} {set(cost.rules)}"
        print(cost.row() + remark, flush=True)
        found.append(cost)
    if "--write" in arguments:
        table = "\n".join([HEADER, *(cost.row() for cost in found)])
        text = PAGE.read_text(encoding="utf-8")
        changed = BLOCK.sub(lambda m: f"{m[1]}{table}\n{m[3]}" if m["name"] == "bounds" else m[0], text)
        PAGE.write_text(changed, encoding="utf-8")
    return 0 if all(cost.within and cost.ended_rightly for cost in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
