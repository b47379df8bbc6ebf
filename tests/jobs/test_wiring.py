"""The wiring gives a job what its row of the job table names, and halts for everything else."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from enclave.audit.acts import Acts
from enclave.control.database import Control
from enclave.crypto.keyring import KEY_KINDS, Kind
from enclave.crypto.passphrase import new_passphrase
from enclave.errors import Halt
from enclave.folders import WorkingFolder
from enclave.grants import Access, Folder, Job, Network, Passphrases
from enclave.settings import read_settings
from enclave.wiring import SERVER_KEYS, Wiring, open_log, utc_now
from jobs.schedule import JOBS
from tests.jobs.working import REGISTRY, founded

INSTITUTION = "bergen"
Thing = tuple[Callable[[Wiring], object], Callable[[Job], bool], str]
"""How a job asks for a thing, whether its row names it, and the code of the refusal."""


def everything() -> dict[str, Thing]:
    """All that a job could ask its wiring for, by name."""
    things: dict[str, Thing] = {
        "registry to write": (lambda w: w.registry_writer, lambda job: job.registry is Access.WRITE, "H_OUTSIDE_ROW"),
        "registry to read": (lambda w: w.registry_reader, lambda job: job.registry is not None, "H_OUTSIDE_ROW"),
        "vault": (lambda w: w.vault, lambda job: job.vault is Access.WRITE, "H_OUTSIDE_ROW"),
        "vault to read": (lambda w: w.vault_reader, lambda job: job.vault is not None, "H_OUTSIDE_ROW"),
        "airlock": (lambda w: w.airlock, lambda job: job.network is Network.AIRLOCK, "H_OUTSIDE_ROW"),
    }
    for name, kind in KEY_KINDS.items():
        things[f"{name}.key"] = private_key(name)
        if kind is not Kind.SYMMETRIC:
            things[f"{name}.pub"] = public_key(name)
    for which in Folder:
        for access in Access:
            things[f"{which} to {access}"] = folder(which, access)
    for direction in Passphrases:
        things[f"passphrases of {direction}"] = passphrase(direction)
    return things


def private_key(name: str) -> Thing:
    """A private key, asked for in the keyring where it would be."""

    def ask(wiring: Wiring) -> object:
        return (wiring.server_keys if name in SERVER_KEYS else wiring.keys).get(name)

    return ask, lambda job: name in job.private_keys, "H_KEY_OUTSIDE_ROW"


def public_key(name: str) -> Thing:
    """A public half."""
    return (
        lambda wiring: wiring.public_key(name),
        lambda job: name in {*job.private_keys, *job.public_keys},
        "H_OUTSIDE_ROW",
    )


def folder(which: Folder, access: Access) -> Thing:
    """A folder that jobs hand things over in."""

    def granted(job: Job) -> bool:
        return job.folders.get(which) is Access.WRITE or (access is Access.READ and which in job.folders)

    return lambda wiring: (wiring.path(which, access), wiring.keystore(which, access)), granted, "H_OUTSIDE_ROW"


def passphrase(which: Passphrases) -> Thing:
    """The passphrase of one institution in one direction."""
    return lambda wiring: wiring.passphrase(which, INSTITUTION), lambda job: which in job.passphrases, "H_OUTSIDE_ROW"


THINGS = everything()


@pytest.fixture(scope="module")
def working(tmp_path_factory: pytest.TempPathFactory) -> WorkingFolder:
    """A founded server that knows a passphrase in each direction."""
    made = founded(tmp_path_factory.mktemp("server") / "working")
    for which in Passphrases:
        path = made.registry(REGISTRY).passphrases(which) / f"{INSTITUTION}.passphrase"
        path.write_bytes(new_passphrase().reveal())
    return made


def wiring_of(job: Job, working: WorkingFolder) -> Wiring:
    """The wiring of one run of a job."""
    log = open_log(working)
    acts = Acts(log, job=job.name, registry=REGISTRY, run=str(uuid4()), actor=f"job:{job.name}")
    settings = read_settings(working.settings)
    return Wiring(job, working, settings, REGISTRY, Control(working.control), acts, log, utc_now())


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_given_its_row_and_halts_outside_it(working: WorkingFolder, name: str) -> None:
    """Over everything there is to ask for, what a job gets is exactly what its row names."""
    wiring = wiring_of(JOBS[name], working)
    expected = {thing: "given" if granted(JOBS[name]) else code for thing, (_, granted, code) in THINGS.items()}

    assert {thing: answer(ask, wiring) for thing, (ask, _, _) in THINGS.items()} == expected


def answer(ask: Callable[[Wiring], object], wiring: Wiring) -> str:
    """`given`, or the code of the halt."""
    try:
        ask(wiring)
    except Halt as halt:
        return halt.code
    return "given"


def test_every_thing_is_inside_some_row_and_outside_another() -> None:
    """The table asks both questions of everything, except for the two keys that no job may have."""
    for thing, (_, granted, _) in THINGS.items():
        inside = {granted(job) for job in JOBS.values()}
        assert inside == ({False} if thing in NO_JOBS else {True, False}), thing


NO_JOBS = {"viewing.key"}
"""The viewing key is the data processor's, at the terminal."""


def test_a_row_that_reads_the_registry_cannot_write_it(working: WorkingFolder) -> None:
    """A job whose row says `read` is refused a writing engine, also where its keys would open one."""
    wiring = wiring_of(replace(JOBS["analyse"], registry=Access.READ), working)

    assert answer(lambda w: w.registry_reader, wiring) == "given"
    assert answer(lambda w: w.registry_writer, wiring) == "H_OUTSIDE_ROW"


def test_an_offline_row_is_given_no_database(working: WorkingFolder) -> None:
    """Without the network `database` a row's databases and keys open nothing."""
    wiring = wiring_of(replace(JOBS["admit"], network=Network.NONE), working)

    assert [answer(lambda w: w.registry_reader, wiring), answer(lambda w: w.vault, wiring)] == ["H_OUTSIDE_ROW"] * 2


def test_private_keys_are_read_from_credentials_alone(working: WorkingFolder, tmp_path: Path) -> None:
    """Where systemd hands over credentials, a key that is not among them is missing, though a file of it is there."""
    credentials = tmp_path / "credentials"
    credentials.mkdir(mode=0o700)
    private = working.registry(REGISTRY).keys / "drafts.key"
    (credentials / "drafts.key").write_bytes(private.read_bytes())
    (credentials / "drafts.key").chmod(0o400)
    row = replace(JOBS["seal"], private_keys=("drafts",))

    given = wiring_of(row, WorkingFolder(working.root, credentials)).keys.get("drafts")
    missing = answer(lambda w: w.keys, wiring_of(JOBS["seal"], WorkingFolder(working.root, credentials)))

    assert given == wiring_of(row, working).keys.get("drafts")
    assert missing == "H_KEY_MISSING"


@pytest.mark.parametrize("other", ["vault-db", "vault-index", "vault-data"])
def test_the_registrys_key_is_none_of_the_vaults(working: WorkingFolder, tmp_path: Path, other: str) -> None:
    """A job whose keys are one key opens neither database: apart means that each is lost alone."""
    keys = tmp_path / "keys"
    shutil.copytree(working.registry(REGISTRY).keys, keys)
    (keys / f"{other}.key").write_bytes((keys / "registry-db.key").read_bytes())
    copied = WorkingFolder(working.root, keys)

    assert answer(lambda w: w.registry_writer, wiring_of(JOBS["admit"], copied)) == "H_NOT_APART"
    assert answer(lambda w: w.vault, wiring_of(JOBS["rights"], copied)) == "H_NOT_APART"
