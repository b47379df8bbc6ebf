"""The jobs in road order: what each may see, and when it runs.

The one table that wiring, confinement, the systemd units and README are made from or checked against
(`tests/architecture/test_schedule.py`).
"""

from collections.abc import Mapping
from types import MappingProxyType

from enclave.grants import Access, Folder, Job, Network, Passphrases


def _folders(**access: Access) -> Mapping[Folder, Access]:
    return MappingProxyType({Folder[name.upper()]: how for name, how in access.items()})


_JOBS = (
    Job(
        "checkpoint",
        ("audit",),
        "the head of the audit log",
        "a signed checkpoint for the auditor",
        Network.NONE,
        private_keys=("audit-sign",),
        every="55 * * * *",
    ),
    Job(
        "destroy",
        ("linkage",),
        "a loan used or due; a drop past retention",
        "nothing, and a certificate",
        Network.NONE,
        public_keys=("drafts", "viewing"),
        folders=_folders(
            quarantine=Access.WRITE,
            loans=Access.WRITE,
            drafts=Access.WRITE,
            drop_keys=Access.WRITE,
            loan_keys=Access.WRITE,
            # Ciphertext and finished pages, in which nothing of a loan may be left.
            outbox=Access.READ,
            requests=Access.READ,
            site=Access.READ,
        ),
        every="0 * * * *",
    ),
    Job(
        "collect",
        ("airlock",),
        "files at the airlock",
        "drops in quarantine, each under a key of its own; loan files as they came",
        Network.AIRLOCK,
        private_keys=("airlock-login",),
        public_keys=("quarantine", "nettskjema"),
        folders=_folders(quarantine=Access.WRITE, loans=Access.WRITE, drop_keys=Access.WRITE),
        submissions=True,
        every="*/10 * * * *",
    ),
    Job(
        "admit",
        ("intake", "identity", "store"),
        "drops in quarantine",
        "registry rows; receipts and feedback",
        Network.DATABASE,
        private_keys=("quarantine", "intake", "nettskjema", "registry-db", "vault-db", "vault-index", "vault-data"),
        public_keys=("drafts", "viewing"),
        passphrases=(Passphrases.SENDERS,),
        registry=Access.WRITE,
        vault=Access.WRITE,
        folders=_folders(quarantine=Access.READ, drop_keys=Access.READ, drafts=Access.WRITE),
        every="5-59/10 * * * *",
    ),
    Job(
        "rights",
        ("identity", "store", "release"),
        "requests of people and about people",
        "withdrawals in force; drafts cancelled",
        Network.DATABASE,
        private_keys=("rights", "registry-db", "vault-db", "vault-index", "vault-data"),
        public_keys=("viewing",),
        registry=Access.WRITE,
        vault=Access.WRITE,
        folders=_folders(requests=Access.WRITE),
        every="*/5 * * * *",
    ),
    Job(
        "link",
        ("linkage", "analysis", "disclosure"),
        "an open loan and registry rows",
        "finished tables and a linkage report",
        Network.DATABASE,
        private_keys=("loans", "registry-db", "vault-db", "vault-index", "vault-data"),
        public_keys=("loans", "drafts", "viewing"),
        registry=Access.WRITE,
        vault=Access.READ,
        folders=_folders(loans=Access.READ, loan_keys=Access.WRITE, drafts=Access.WRITE),
        every="20 * * * *",
    ),
    Job(
        "analyse",
        ("analysis",),
        "registry rows, through a reader",
        "result tables",
        Network.DATABASE,
        private_keys=("registry-db",),
        registry=Access.WRITE,
        every="0 3 * * *",
    ),
    Job(
        "release",
        ("disclosure", "report", "release"),
        "result tables and the ledger; registry rows for a signed research extract",
        "drafts for each institution and for the national pages, that wait for approval; sealed extracts",
        Network.DATABASE,
        private_keys=("registry-db",),
        public_keys=("drafts", "viewing"),
        registry=Access.WRITE,
        folders=_folders(drafts=Access.WRITE),
        every="0 4 * * *",
    ),
    Job(
        "give_back",
        ("identity", "release"),
        "an institution's own rows, when asked for; what is due of its courses",
        "drafts under its own references",
        Network.DATABASE,
        private_keys=("registry-db", "vault-db", "vault-index", "vault-data"),
        public_keys=("drafts", "viewing"),
        registry=Access.READ,
        vault=Access.READ,
        folders=_folders(drafts=Access.WRITE),
        every="10-59/15 * * * *",
    ),
    Job(
        "seal",
        ("release",),
        "approved drafts, feedback, receipts",
        "sealed and signed files in the outbox; the national pages",
        Network.NONE,
        private_keys=("drafts", "bundle-sign"),
        public_keys=("bundle-sign",),
        passphrases=(Passphrases.RECIPIENTS,),
        folders=_folders(drafts=Access.WRITE, outbox=Access.WRITE, site=Access.WRITE),
        every="8-59/10 * * * *",
    ),
    Job(
        "deliver",
        ("airlock",),
        "the outbox",
        "files at the airlock, read back",
        Network.AIRLOCK,
        private_keys=("airlock-login",),
        folders=_folders(outbox=Access.READ),
        every="9-59/10 * * * *",
    ),
)

JOBS: Mapping[str, Job] = MappingProxyType({job.name: job for job in _JOBS})

ROAD: tuple[str, ...] = (
    "checkpoint",
    "destroy",
    "collect",
    "admit",
    "rights",
    "link",
    "destroy",
    "analyse",
    "release",
    "give_back",
    "checkpoint",
    "seal",
    "deliver",
    "checkpoint",
)
"""The order of `run --once`: the log is checkpointed first and last; loans past due are destroyed before anything else
runs, and loans that were used as soon as their tables are finished. What is sealed holds the newest checkpoint, and a
certificate the proof under it, so that the log is checkpointed before `seal` too."""
