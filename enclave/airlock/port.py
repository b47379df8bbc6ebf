"""The airlock as the stage sees it: per institution `in/`, `out/{receipts,feedback,bundles}/` and `fetched/`.

Everything at an airlock belongs to somebody else: names, kinds, sizes and times are claims, and may change between
two calls. Names of senders may hold identities, so no type here shows one in its repr.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from enclave.errors import explain

explain(
    "E_DROP_GONE",
    "The drop was no longer at the airlock when it was to be taken.",
    "Send it again, and leave it there until the receipt has come.",
    nb=(
        "Innsendingen lå ikke lenger i slusen da den skulle hentes.",
        "Send den på nytt, og la den ligge til kvitteringen er kommet.",
    ),
)
explain(
    "E_DROP_CHANGED",
    "A file of the drop changed while it was read.",
    "Upload under a name that ends in .part, rename the folder when all is sent, and leave it alone from then on.",
    nb=(
        "En fil i innsendingen ble endret mens den ble lest.",
        "Last opp under et navn som slutter på .part, gi mappen nytt navn når alt er sendt, og la den så være i fred.",
    ),
)
explain(
    "E_DROP_UNREADABLE",
    "The airlock does not let the server read a file of the drop.",
    "Send it again without restricting who may read the files.",
    nb=(
        "Slusen lar ikke serveren lese en fil i innsendingen.",
        "Send den på nytt uten å begrense hvem som kan lese filene.",
    ),
)
explain(
    "R_AIRLOCK_AWAY",
    "The airlock was not reached, or the connection broke, also when tried again.",
    "The next run tries again. If this lasts, ask whoever runs the airlock.",
)
explain(
    "R_AIRLOCK_FOLDER",
    "An institution's folder at the airlock is missing, is not a folder, or is closed to the server.",
    "Ask whoever runs the airlock to make in/, out/receipts/, out/feedback/, out/bundles/ and fetched/ for it.",
)
explain(
    "R_AIRLOCK_ANSWER",
    "The airlock did not do what was asked of it.",
    "The next run tries again. If this lasts, ask whoever runs the airlock for its log of this time.",
)
explain(
    "R_DELIVERED_DIFFERS",
    "Under the name of a delivered file the airlock holds something else.",
    "Nothing was overwritten. Find out with the institution and the airlock who put it there.",
)


class Box(StrEnum):
    """The three places where an institution finds what is for it."""

    RECEIPTS = "receipts"
    FEEDBACK = "feedback"
    BUNDLES = "bundles"


class EntryKind(StrEnum):
    """What a name at the airlock stands for; OTHER is a device, a pipe, or a file with a second name."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    OTHER = "other"


@dataclass(frozen=True, repr=False)
class Entry:
    """One name in a folder at the airlock; `size` in bytes, `modified` in seconds since 1970 by the airlock's clock."""

    name: str
    kind: EntryKind
    size: int
    modified: int


@dataclass(frozen=True, repr=False)
class Incoming:
    """One name in an institution's `in/`; `files` is what lies in it, where it is a folder (at most MOST_FILES + 1).

    `size` and `modified` are those of the name itself, as `Entry` has them.
    """

    name: str
    kind: EntryKind
    files: tuple[Entry, ...]
    size: int = 0
    modified: int = 0


MOST_INCOMING = 1000  # names listed in one institution's `in/` in one call; the rest waits for the next
MOST_DELIVERED = 1024 * 1024 * 1024  # bytes of a delivered file that is read back
MOST_LEVELS = 32  # folders within folders that a removal goes down
MOST_FILES = 16  # names listed in one drop folder; a drop has three


class Airlock(Protocol):
    """What the stage needs of an airlock. Every call may be repeated: after a crash it finds its own work done.

    Errors: Refused R_AIRLOCK_AWAY (not reached, after retries), R_AIRLOCK_FOLDER (an institution's folder is missing
    or is not a folder), R_AIRLOCK_ANSWER (the airlock would not do it). They concern one call; the next institution
    can be tried.
    """

    def list_incoming(self, institution: str) -> tuple[Incoming, ...]:
        """What lies in an institution's `in/`, sorted by name; never follows a link; at most MOST_INCOMING names."""
        ...

    def claim(self, institution: str, name: str, as_name: str) -> None:
        """Rename `in/NAME` to `in/AS_NAME`, so that what is sent later under the old name is never taken for it.

        Must answer normally if it was done before; Rejected E_DROP_GONE if neither name is there.
        """
        ...

    def look(self, institution: str, name: str) -> Incoming | None:
        """What `in/NAME` is, None if there is no such name; the evidence of a claim and of a removal."""
        ...

    def read(self, institution: str, name: str, file: str, limit: int) -> bytes:
        """The content of `in/NAME/FILE`, a regular file with one name that did not change while it was read.

        Rejected E_DROP_KIND, E_DROP_SIZE (above `limit` bytes), E_DROP_CHANGED, E_DROP_CONTENT (not there),
        E_DROP_UNREADABLE.
        """
        ...

    def read_loose(self, institution: str, name: str, limit: int) -> bytes:
        """The content of `in/NAME` itself, read and refused as `read` does a file of a drop."""
        ...

    def remove(self, institution: str, name: str) -> None:
        """Remove the claimed `in/NAME` with all that is in it, following no link; nothing there is success.

        A name that is not a claimed one is a mistake of ours (ValueError).
        """
        ...

    def put(self, institution: str, box: Box, name: str, content: bytes) -> str:
        """Place a file in `out/BOX/` by temporary name and rename, read it back, and answer its SHA-256 (hex).

        Must be durable once it returns, where the airlock can. An equal file already there, or already fetched, is
        success; an unequal one is Refused R_DELIVERED_DIFFERS.
        """
        ...

    def find_delivered(self, institution: str, box: Box, name: str) -> str | None:
        """The SHA-256 (hex) of a delivered file, in `out/BOX/` or moved to `fetched/`; None if in neither."""
        ...

    def find_fetched(self, institution: str, names: Collection[str]) -> frozenset[str]:
        """Those of these names that lie as files in `fetched/`: the institution has moved them there to tell us."""
        ...
