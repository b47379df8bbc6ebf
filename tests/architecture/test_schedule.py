"""The job table holds together: every job runs, exists, and sees no more than the laws allow."""

from importlib import import_module
from inspect import signature
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger

from enclave.crypto.keyring import KEY_KINDS, Kind
from enclave.grants import Access, Folder, Job, Network, Passphrases
from jobs.schedule import JOBS, ROAD
from tests.architecture.sources import REPOSITORY

IDENTITY_KEYS = {"vault-db", "vault-index", "vault-data", "quarantine", "intake", "nettskjema", "loans", "rights"}
OPENS_A_DATABASE = {"registry-db": "registry", "vault-db": "vault", "vault-index": "vault", "vault-data": "vault"}

each_job = pytest.mark.parametrize("job", JOBS.values(), ids=list(JOBS))


def test_the_road_holds_every_job() -> None:
    """`run --once` runs all of them, checkpoints first and last, and destroys before anything else."""
    assert set(ROAD) == set(JOBS)
    assert ROAD[0] == ROAD[-1] == "checkpoint"
    assert ROAD[1] == "destroy"
    assert ROAD.index("link") < len(ROAD) - 1 - ROAD[::-1].index("destroy")


@each_job
def test_a_job_has_a_schedule_that_parses(job: Job) -> None:
    """Each default schedule is a crontab line with a next time."""
    assert CronTrigger.from_crontab(job.every, timezone=ZoneInfo("Europe/Oslo"))


@each_job
def test_a_job_is_a_function_of_its_name_that_takes_its_wiring(job: Job) -> None:
    """`jobs.NAME.NAME(wiring)` exists, and walks stages that are rooms of the house."""
    function = getattr(import_module(f"jobs.{job.name}"), job.name)

    assert list(signature(function).parameters) == ["wiring"]
    assert all((REPOSITORY / "enclave" / stage / "__init__.py").is_file() for stage in job.stages)


@each_job
def test_a_row_names_keys_that_exist(job: Job) -> None:
    """Private keys are of a known kind, and public ones of a kind that has a public half; none is named twice."""
    assert {*job.private_keys, *job.public_keys} <= set(KEY_KINDS)
    assert all(KEY_KINDS[name] is not Kind.SYMMETRIC for name in job.public_keys)
    assert len(set(job.private_keys)) == len(job.private_keys)


@each_job
def test_who_reaches_the_airlock_sees_only_ciphertext(job: Job) -> None:
    """A job with an IP network has its login and nothing that opens anything."""
    if job.network is Network.AIRLOCK:
        assert job.private_keys == ("airlock-login",)
        assert (job.registry, job.vault, job.passphrases) == (None, None, ())
    else:
        assert "airlock-login" not in job.private_keys


@each_job
def test_who_sees_an_identity_has_no_network_but_the_database(job: Job) -> None:
    """A key that leads to identities never stands in a row with the airlock."""
    if IDENTITY_KEYS & set(job.private_keys):
        assert job.network is not Network.AIRLOCK


@each_job
def test_a_database_comes_with_its_key_and_its_network(job: Job) -> None:
    """A row has a database's keys exactly if it has the database, and the network `database` exactly if it has one."""
    keys = {what for key, what in OPENS_A_DATABASE.items() if key in job.private_keys}
    databases = {what for what, access in (("registry", job.registry), ("vault", job.vault)) if access}

    assert keys == databases
    assert (job.network is Network.DATABASE) == bool(databases)


def test_keys_that_only_one_may_have() -> None:
    """One job signs the log, one signs bundles, one opens drafts, one drops, one loans; nobody opens viewing copies."""
    holders = {key: [job.name for job in JOBS.values() if key in job.private_keys] for key in KEY_KINDS}
    alone = ("audit-sign", "bundle-sign", "drafts", "quarantine", "intake", "nettskjema", "loans", "rights", "viewing")

    assert {key: holders[key] for key in alone} == {
        "audit-sign": ["checkpoint"],
        "bundle-sign": ["seal"],
        "drafts": ["seal"],
        "quarantine": ["admit"],
        "intake": ["admit"],
        "nettskjema": ["admit"],
        "loans": ["link"],
        "rights": ["rights"],
        "viewing": [],
    }


def test_analysis_and_release_never_see_the_vault() -> None:
    """What makes numbers and reports works on pseudonyms."""
    assert [JOBS[name].vault for name in ("analyse", "release", "seal")] == [None, None, None]


def test_linking_reads_the_vault_and_never_changes_it() -> None:
    """A loan adds nobody to the vault."""
    assert JOBS["link"].vault is Access.READ


def test_only_sealing_knows_how_recipients_open() -> None:
    """Recipients' passphrases are the sealing job's, senders' the opening job's."""
    holders = {which: [job.name for job in JOBS.values() if which in job.passphrases] for which in Passphrases}

    assert holders == {Passphrases.SENDERS: ["admit"], Passphrases.RECIPIENTS: ["seal"]}


def test_every_folder_is_written_by_somebody_and_emptied_by_somebody() -> None:
    """Each hand-over folder is in some row to write; keystores only where keys are made, used or destroyed."""
    writers = {which: {job.name for job in JOBS.values() if job.folders.get(which) is Access.WRITE} for which in Folder}

    assert all(writers.values())
    assert writers[Folder.DROP_KEYS] == {"collect", "destroy"}
    assert writers[Folder.LOAN_KEYS] == {"link", "destroy"}
    assert writers[Folder.OUTBOX] == {"seal"}
