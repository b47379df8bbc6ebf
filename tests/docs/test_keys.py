"""The life of the keys, as keys/README tells it: typed from top to bottom on a server of its own."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from enclave.crypto.key_register import registered
from enclave.crypto.keyring import KEY_KINDS, Keyring, Kind
from enclave.terminal.escrow import ESCROWED
from tests.jobs.working import REGISTRY, founded

ROOT = Path(__file__).parents[2]
LIFE = re.findall(r"(?m)^ +\$ (.+)$", (ROOT / "keys" / "README").read_text(encoding="utf-8"))
PAIRS = {name for name, kind in KEY_KINDS.items() if kind is not Kind.SYMMETRIC}
TWO_PEOPLE = "cat papers/share-3.txt papers/share-1.txt"


def test_the_life_of_the_keys_can_be_walked(tmp_path: Path) -> None:
    """Every line runs, and every pair is rotated; two papers open the newest escrow, which holds the keys in use."""
    folder = founded(tmp_path / "working")
    keys = folder.registry(REGISTRY).keys
    first = Keyring(keys, frozenset(ESCROWED)).get("vault-data")
    for line in LIFE:
        command = re.sub(
            r"\benclave ", f"{shlex.quote(sys.executable)} -m enclave ", line.replace("SHARES", TWO_PEOPLE)
        )
        environment = {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "ENCLAVE_CONFIG": str(folder.settings),
        }
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"

    now, restored = (Keyring(place, frozenset(ESCROWED)) for place in (keys, tmp_path / "restored"))
    assert len(LIFE) == 34
    assert {line.split()[-1] for line in LIFE if " key retire " in line} == {"vault-data", *PAIRS}
    versions = {**registered(keys), **registered(folder.keys)}
    assert all(versions[name].version == 2 for name in ("vault-data", *PAIRS))
    assert not list(folder.keys.rglob("*.next.*"))
    assert all(now.get(name) == restored.get(name) for name in ESCROWED)
    assert now.get("vault-data") != first
