"""The institution's side: make a drop, check a bundle's signature, open a bundle. Runs on Windows, without the server.

It writes with plain file calls: `enclave.durable` needs a POSIX system, and what is lost in a crash here is made again.
"""

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID, uuid4

import typer
from pydantic import ValidationError

from enclave.crypto import aes_zip, age, sshsig
from enclave.crypto.aes_zip import Limits
from enclave.crypto.names import is_plain_name
from enclave.crypto.passphrase import read_passphrase
from enclave.crypto.secret import Secret
from enclave.errors import EnclaveError, Refused, explain
from enclave.model.drop import InnerFile, InnerManifest, Manifest, PlainFile

explain(
    "R_CLIENT_FILES",
    "The folder holds no CSV or Excel file, or one whose name a drop may not carry.",
    "Put one file for each form into the folder, named FORM.csv or FORM.xlsx; borrowed data are CSV.",
    nb=(
        "Mappen har ingen CSV- eller Excel-fil, eller en med et filnavn som ikke kan sendes.",
        "Legg én fil for hvert skjema i mappen; lånte data skal være CSV.",
    ),
)
explain(
    "R_CLIENT_SEALING",
    "A drop is sealed either with a passphrase or to a loan's public key, never both or neither.",
    "Give --passphrase-file for an institution's drop, or --recipient for borrowed data.",
    nb=("En innsending forsegles enten med passfrase eller med en låneavtales nøkkel.", "Oppgi nøyaktig én av dem."),
)
explain(
    "R_CLIENT_MANIFEST",
    "The registry, sender, key id or number is not written as it should be.",
    "Copy them from the kit that you were sent.",
    nb=(
        "Register, avsender, nøkkel-id eller nummer er ikke riktig skrevet.",
        "Kopier dem fra oppsettet dere har fått.",
    ),
)
explain(
    "R_CLIENT_OUT",
    "The place to write to is taken.",
    "Name a folder that does not exist yet; nothing was overwritten.",
    nb=("Det finnes allerede noe der resultatet skulle skrives.", "Oppgi en mappe som ikke finnes fra før."),
)
explain(
    "R_CLIENT_READ",
    "A file or folder that was named cannot be read.",
    "Check the path; the signature of FILE is FILE.sig in the same folder.",
    nb=("En fil eller mappe som ble oppgitt, kan ikke leses.", "Kontroller stien; signaturen til FIL heter FIL.sig."),
)

INNER = "innhold.zip"
PADDING = "fyll.bin"
"""The member that hides a bundle's true size; it holds nothing, and nobody needs it on disk."""
BUNDLE = Limits(entries=1, nested=frozenset({INNER}))
CONTENT = Limits(entries=1024, folders=True)

app = typer.Typer(name="client", help="The institution's side.", no_args_is_help=True)


@dataclass(frozen=True)
class Submission:
    """Who sends what to whom; `seq` is the sender's own rising number, where it keeps one."""

    registry: str
    sender: str
    recipient_kid: str
    at: datetime
    seq: int | None = None


def seal(
    folder: Path,
    out: Path,
    submission: Submission,
    *,
    sign_key: Secret,
    passphrase: Secret | None = None,
    recipient: str | None = None,
) -> Path:
    """Make the drop folder `out/DROP_ID` from the files in `folder` and answer its path.

    With `passphrase` the payload is an AES-256 ZIP of every CSV and Excel file; with `recipient` (`age1…`) it is
    borrowed data, every CSV file, sealed with age.
    """
    if (passphrase is None) == (recipient is None):
        raise Refused("R_CLIENT_SEALING")
    drop_id = uuid4()
    files = _form_files(folder, (".csv", ".xlsx") if passphrase is not None else (".csv",))
    members = [PlainFile("manifest.json", _inner_manifest(drop_id, submission, files)), *files]
    if passphrase is not None:
        purpose, name, payload = "drop", "payload.zip", aes_zip.seal_archive(members, passphrase)
    else:
        purpose, name = "loan", "payload.age"
        payload = age.seal(aes_zip.pack_plain(members), [recipient or ""])
    manifest = _outer_manifest(drop_id, submission, payload, "aes-zip" if passphrase is not None else "age")
    signature = sshsig.sign(manifest, sign_key, f"{purpose}@{submission.registry}")
    drop = (PlainFile(name, payload), PlainFile("manifest.json", manifest), PlainFile("manifest.json.sig", signature))
    # A crash while writing leaves a `.part` folder, which no airlock takes.
    part = out / f"{drop_id}.part"
    _write_files(part, drop)
    return part.rename(out / str(drop_id))


def open(bundle: bytes, passphrase: Secret) -> tuple[PlainFile, ...]:  # noqa: A001  # read as `client.open`
    """The files of a bundle without its padding; names are paths with `/`. Rejected if altered or sealed otherwise."""
    (inner,) = aes_zip.open_archive(bundle, passphrase, BUNDLE)
    return tuple(file for file in aes_zip.open_plain(inner.content, CONTENT) if file.name != PADDING)


def verify(content: bytes, signature: bytes, allowed_signers: str, registry: str, at: datetime) -> str:
    """The principal (`enclave@REGISTRY`) that signed a bundle; Rejected for any other signer, purpose or content."""
    signers = sshsig.parse_allowed_signers(allowed_signers)
    signer = sshsig.verify(content, signature, signers, f"enclave@{registry}", f"bundle@{registry}", at)
    return signer.principal


@app.command("seal")
def seal_command(  # Typer reads the command line from the parameters
    folder: Annotated[Path, typer.Argument(help="Folder with one CSV or Excel file for each form.")],
    out: Annotated[Path, typer.Argument(help="Folder to put the drop into.")],
    registry: Annotated[str, typer.Option(help="The registry's id.")],
    sender: Annotated[str, typer.Option(help="Your institution's id.")],
    recipient_kid: Annotated[str, typer.Option(help="Id of the passphrase or public key that it is sealed with.")],
    sign_key: Annotated[Path, typer.Option(help="Your OpenSSH Ed25519 private key, without passphrase.")],
    passphrase_file: Annotated[Path | None, typer.Option(help="File with the inbound passphrase.")] = None,
    recipient: Annotated[str | None, typer.Option(help="Borrowed data: the loan's public key, age1….")] = None,
    seq: Annotated[int | None, typer.Option(help="Your own rising number of this drop.")] = None,
) -> None:
    """Make a drop: a folder to upload as it is."""
    drop = seal(
        folder,
        out,
        Submission(registry, sender, recipient_kid, datetime.now(UTC), seq),
        sign_key=Secret(_read(sign_key)),
        passphrase=read_passphrase(_read(passphrase_file)) if passphrase_file else None,
        recipient=recipient,
    )
    typer.echo(f"Innsending klar til opplasting: {drop}")


@app.command("open")
def open_command(
    bundle: Annotated[Path, typer.Argument(help="The bundle that you received.")],
    out: Annotated[Path, typer.Argument(help="A new folder for its files.")],
    passphrase_file: Annotated[Path, typer.Option(help="File with the outbound passphrase.")],
) -> None:
    """Open a bundle into a new folder. Verify its signature first."""
    files = open(_read(bundle), read_passphrase(_read(passphrase_file)))
    _write_files(out, files)
    typer.echo(f"{len(files)} filer pakket ut i {out}")


@app.command("verify")
def verify_command(
    file: Annotated[Path, typer.Argument(help="The bundle; its signature is FILE.sig beside it.")],
    allowed_signers: Annotated[Path, typer.Option(help="The registry's allowed_signers from the kit.")],
    registry: Annotated[str, typer.Option(help="The registry's id.")],
) -> None:
    """Check that a bundle comes from the registry and was not altered."""
    signature = _read(file.with_name(f"{file.name}.sig"))
    signers = _read(allowed_signers).decode("utf-8", errors="replace")
    principal = verify(_read(file), signature, signers, registry, datetime.now(UTC))
    typer.echo(f"Gyldig signatur fra {principal}")


def main() -> None:
    """Run the client alone: an error is one line in Norwegian and its exit code."""
    try:
        app()
    except EnclaveError as error:
        known = error.explanation
        text = f"{known.text_nb or known.text} {known.remedy_nb or known.remedy}"
        typer.echo(f"{error.code}: {text}", err=True)
        sys.exit(error.exit_code)


def _form_files(folder: Path, endings: tuple[str, ...]) -> list[PlainFile]:
    if not folder.is_dir():
        raise Refused("R_CLIENT_READ")
    paths = sorted(path for path in folder.iterdir() if path.is_file() and path.name.lower().endswith(endings))
    names = {path.name.lower() for path in paths}
    if not paths or len(names) < len(paths) or not all(is_plain_name(path.name) for path in paths):
        raise Refused("R_CLIENT_FILES")
    return [PlainFile(path.name, _read(path)) for path in paths]


def _inner_manifest(drop_id: UUID, submission: Submission, files: Sequence[PlainFile]) -> bytes:
    try:
        manifest = InnerManifest(
            drop_id=drop_id,
            sender=submission.sender,
            recipient_kid=submission.recipient_kid,
            files=tuple(
                InnerFile(name=file.name, sha256=hashlib.sha256(file.content).hexdigest(), size=len(file.content))
                for file in files
            ),
        )
    except ValidationError:
        raise Refused("R_CLIENT_MANIFEST") from None
    return manifest.model_dump_json(indent=2, exclude_none=True).encode()


def _outer_manifest(drop_id: UUID, submission: Submission, payload: bytes, form: str) -> bytes:
    try:
        manifest = Manifest.model_validate(
            {
                "v": 1,
                "registry": submission.registry,
                "drop_id": drop_id,
                "sender": submission.sender,
                "seq": submission.seq,
                "created_at": submission.at,
                "recipient_kid": submission.recipient_kid,
                "format": form,
                "payload_sha256": hashlib.sha256(payload).hexdigest(),
                "payload_size": len(payload),
            }
        )
    except ValidationError:
        raise Refused("R_CLIENT_MANIFEST") from None
    return manifest.model_dump_json(indent=2, exclude_none=True).encode()


def _write_files(folder: Path, files: Sequence[PlainFile]) -> None:
    """Write files into a folder that must be new; names were checked when their container was read."""
    try:
        folder.mkdir(parents=True)
        for file in files:
            path = folder.joinpath(*file.name.split("/"))
            path.parent.mkdir(exist_ok=True, parents=True)
            with path.open("xb") as target:
                target.write(file.content)
                target.flush()
                os.fsync(target.fileno())
    except OSError:
        raise Refused("R_CLIENT_OUT") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise Refused("R_CLIENT_READ") from None


if __name__ == "__main__":
    main()
