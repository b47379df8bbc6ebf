"""From the outbox to an institution's boxes: the signature is there before the file that it is for."""

from collections.abc import Sequence
from dataclasses import dataclass

from enclave.airlock.port import Airlock, Box


@dataclass(frozen=True, repr=False)
class OutgoingFile:
    """One sealed or signed file as it goes out, under a random name."""

    name: str
    content: bytes


def deliver(airlock: Airlock, institution: str, box: Box, files: Sequence[OutgoingFile]) -> dict[str, str]:
    """Place the files of one package, each read back, and answer their SHA-256 (hex) by name.

    The shortest name comes last (`bundle_….zip` after `bundle_….zip.sig` and `.cmd`): who sees the package can check
    it. A crash in between leaves some files; done again, it ends as if there had been none. Errors as `Airlock.put`.
    """
    order = sorted(files, key=lambda file: (-len(file.name), file.name))
    return {file.name: airlock.put(institution, box, file.name, file.content) for file in order}


def is_delivered(airlock: Airlock, institution: str, box: Box, digests: dict[str, str]) -> bool:
    """Whether every file of a package was placed or fetched, with its digest: the evidence of `deliver`."""
    return all(airlock.find_delivered(institution, box, name) == digest for name, digest in digests.items())
