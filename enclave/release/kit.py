"""The kit of an institution: everything it needs that is no secret, made from the definition in force."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from enclave.crypto import openpgp
from enclave.crypto.allowed_signers import AllowedSigner, fingerprint, format_allowed_signers
from enclave.crypto.passphrase import GROUP, LENGTH, check_sign
from enclave.model.draft import Draft, DraftFile, Kind
from enclave.registry.definition import Kind as Variable
from enclave.registry.definition import Variable as Question
from enclave.registry.load import LoadedDefinition
from enclave.registry.sample import SampleForm, sample_forms
from enclave.release import kit_scripts
from enclave.release.guide import Whose, guide
from enclave.release.readme import WHAT
from enclave.spreadsheet import csv_bytes, workbook_bytes, write_text

KINDS: Mapping[Variable, str] = {
    Variable.CODE: "en av kodene",
    Variable.MULTI: "ja eller nei",
    Variable.BOOLEAN: "ja eller nei",
    Variable.INTEGER: "helt tall",
    Variable.DECIMAL: "tall, desimalkomma",
    Variable.DATE: "dato, 2024-03-01 eller 01.03.2024",
    Variable.TEXT: "tekst uten navn eller fødselsnummer",
}
EXPLAINED = (
    *("Kolonne", "Spørsmål", "Må fylles ut", "Svar", "Minst", "Mest"),
    *("Kode", "Koden betyr", "Gjelder fra", "Gjelder til"),
)
PASSPHRASE_GROUPS = -(-LENGTH // GROUP)


@dataclass(frozen=True)
class KitFor:
    """Whom a kit is for, and the public halves of the keys by which it knows the registry and seals to it.

    Packages are signed with `bundle_key`, before long with `next_bundle_key` if there is one, and long ago with the
    earlier ones.
    """

    registry: str
    institution_id: str
    name: str
    inbound_key_id: str
    bundle_key: str
    age_recipient: str
    openpgp_certificate: str
    next_bundle_key: str = ""
    earlier_bundle_keys: tuple[str, ...] = ()


def kit(whom: KitFor, loaded: LoadedDefinition, today: date) -> Draft:
    """The kit as a draft for the gate; the same definition, institution and year give the same bytes."""
    definition = loaded.definition
    samples = sample_forms(definition, today)
    labels = tuple((f"{sample.form.id}.csv", sample.form.label.nb) for sample in samples)
    sealing = (whom.inbound_key_id, whom.age_recipient, openpgp.key_id(whom.openpgp_certificate))
    whose = Whose(whom.institution_id, whom.name, *sealing, whom.registry, definition.name.nb, labels)
    files = {
        "LES_MEG_FORST.txt": _readme(whom, definition.name.nb),
        "veiledning.html": guide(whose),
        "allowed_signers": _signers(whom),
        "fingeravtrykk.txt": _fingerprint(whom),
        "lag-innsending.cmd": kit_scripts.make_drop(
            whom.registry, whom.institution_id, whom.inbound_key_id, [sample.form.id for sample in samples]
        ),
        "verifiser.cmd": kit_scripts.verify(whom.registry),
        "kontroller-passord.cmd": kit_scripts.check_passphrase(PASSPHRASE_GROUPS, check_sign("ABCDE", 1)),
        "maler/manifest-inne.json": _json(_inner_template(whom, samples)),
        "maler/manifest-ute.json": _json(_outer_template(whom)),
        "nokler/age.txt": _key(whom.age_recipient),
        "nokler/openpgp.asc": _key(whom.openpgp_certificate),
    }
    for sample in samples:
        files[f"skjema/{sample.form.id}.csv"] = csv_bytes(sample.header, [sample.row])
        files[f"skjema/{sample.form.id}.xlsx"] = _workbook(sample)
    return Draft(
        kind=Kind.KIT,
        registry=whom.registry,
        recipient=whom.institution_id,
        state=0,
        definition=loaded.sha256,
        files=tuple(DraftFile(name, content) for name, content in sorted(files.items())),
    )


def _readme(whom: KitFor, registry_name: str) -> bytes:
    return _text(
        f"Startpakke for {whom.name}",
        f"Register: {registry_name}",
        "",
        *WHAT[Kind.KIT],
    )


def _signers(whom: KitFor) -> bytes:
    keys = [key for key in (whom.bundle_key, whom.next_bundle_key, *whom.earlier_bundle_keys) if key]
    signers = [AllowedSigner(f"enclave@{whom.registry}", key, (f"bundle@{whom.registry}",)) for key in keys]
    return format_allowed_signers(signers).encode("ascii")


def _fingerprint(whom: KitFor) -> bytes:
    following = (
        (
            "",
            "Nøkkelen skal byttes. Den neste står også i allowed_signers, og har fingeravtrykket:",
            "",
            fingerprint(whom.next_bundle_key),
            "",
            "Det står ikke i passordbrevet. Ring registeret, og la dem lese det opp.",
        )
        if whom.next_bundle_key
        else ()
    )
    return _text(
        "Fingeravtrykket til nøkkelen som registeret signerer pakker med:",
        "",
        fingerprint(whom.bundle_key),
        "",
        "Det skal være helt likt det som står i passordbrevet. Er det ulikt, ring registeret.",
        *following,
    )


def _key(public: str) -> bytes:
    return f"{public.strip()}\n".encode("ascii")


def _inner_template(whom: KitFor, samples: tuple[SampleForm, ...]) -> dict[str, object]:
    listed = [{"name": f"{sample.form.id}.csv", "sha256": "KONTROLLSUM", "size": 0} for sample in samples]
    return {
        "drop_id": "ID-FRA-PUNKT-1",
        "sender": whom.institution_id,
        "recipient_kid": whom.inbound_key_id,
        "files": listed,
    }


def _outer_template(whom: KitFor) -> dict[str, object]:
    return {
        "v": 1,
        "registry": whom.registry,
        "drop_id": "ID-FRA-PUNKT-1",
        "sender": whom.institution_id,
        "created_at": "2024-03-01T12:00:00+01:00",
        "recipient_kid": whom.inbound_key_id,
        "format": "aes-zip",
        "payload_sha256": "KONTROLLSUM-FRA-PUNKT-5",
        "payload_size": 0,
    }


def _workbook(sample: SampleForm) -> bytes:
    """A form as a workbook: the sheet to fill in, and a sheet that explains every column and code."""
    from openpyxl import Workbook  # noqa: PLC0415 – heavy, and only a kit needs it here
    from openpyxl.styles import Font  # noqa: PLC0415
    from openpyxl.utils import get_column_letter  # noqa: PLC0415

    book = Workbook()
    form, explained = book.worksheets[0], book.create_sheet("Forklaring")
    form.title = sample.form.id[:31]
    for column, (name, value) in enumerate(zip(sample.header, sample.row, strict=True), start=1):
        write_text(form.cell(1, column), name)
        cell = form.cell(2, column)
        if isinstance(value, bool):
            write_text(cell, "ja" if value else "nei")
        elif isinstance(value, date):
            write_text(cell, value.isoformat())
        elif isinstance(value, str):
            write_text(cell, value)
            cell.number_format = "@"
        else:
            cell.value = value
        form.column_dimensions[get_column_letter(column)].width = max(12, len(name) + 3)
    for row, line in enumerate([EXPLAINED, *_explanations(sample)], start=1):
        for column, text in enumerate(line, start=1):
            write_text(explained.cell(row, column), text)
    for letter, width in zip("ABCDEFGHIJ", (30, 60, 13, 32, 8, 8, 22, 48, 12, 12), strict=True):
        explained.column_dimensions[letter].width = width
    for sheet in book.worksheets:
        sheet.freeze_panes = "A2"
        for cell in sheet[1]:
            cell.font = Font(name="Calibri", size=11, bold=True)
    return workbook_bytes(book)


def _explanations(sample: SampleForm) -> list[tuple[str, ...]]:
    form = sample.form
    identities = {form.person_id: "Fødselsnummer eller D-nummer", form.reference: "Deres eget nummer på forløpet"}
    rows: list[tuple[str, ...]] = [
        (column, identities[column], "ja", "11 siffer" if column == form.person_id else "tekst", *[""] * 6)
        for column in sample.header
        if column in identities
    ]
    for question in form.variables:
        rows += _explained(question, required=question.required or question.name in {form.dated_by, form.consent})
    return rows


def _explained(question: Question, *, required: bool) -> list[tuple[str, ...]]:
    kind, valid = KINDS[question.kind], _valid(question.valid_from, question.valid_to)
    if question.kind is Variable.MULTI:
        return [
            (column, f"{question.label.nb}: {code.label.nb}", "nei", kind, "", "", "", "",
             *_valid(code.valid_from or question.valid_from, code.valid_to or question.valid_to))
            for code, column in zip(question.codes, question.columns(), strict=True)
        ]  # fmt: skip
    must = "ja" if required else "nei"
    least, most = (_number(bound) for bound in (question.minimum, question.maximum))
    first = (question.name, question.label.nb, must, kind, least, most, "", "", *valid)
    codes = [
        ("", "", "", "", "", "", code.value, code.label.nb, *_valid(code.valid_from, code.valid_to))
        for code in question.codes
    ]
    return [first, *codes]


def _valid(first: date | None, last: date | None) -> tuple[str, str]:
    return (first.isoformat() if first else "", last.isoformat() if last else "")


def _number(bound: float | None) -> str:
    return "" if bound is None else f"{bound:g}".replace(".", ",")


def _json(content: dict[str, object]) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=True) + "\n").replace("\n", "\r\n").encode("ascii")


def _text(*lines: str) -> bytes:
    return "".join(line + "\r\n" for line in lines).encode("utf-8-sig")
