"""The one gate: what may leave, in which kinds, with which files, and nothing that no policy names (DESIGN law 6)."""

import io
import json
import re
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile, ZipFile

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from enclave.errors import Refused, explain
from enclave.model.draft import Draft, DraftFile, Kind
from enclave.model.made_up import MADE_UP_PERSON
from enclave.release.leaks import leaks

explain(
    "R_KIND",
    "A draft is of a kind that has no policy for leaving, or lacks or has files that its policy does not name.",
    "Nothing was released. Make the draft again with this version of the server.",
)
explain(
    "R_RECIPIENT",
    "A draft is for someone else than the package, or for nobody that the registry knows.",
    "Nothing was released. Compare the recipient with `enclave institution list`.",
)
explain(
    "R_LEAK",
    "A draft holds what must not leave: a national number, a pseudonym, or a number that was withheld.",
    "Nothing was released. Find out where it comes from; a sender may have used national numbers as references.",
)
explain(
    "R_FORM",
    "A file of a draft is not what its name says, or holds a formula, a macro or a link.",
    "Nothing was released. Make the draft again with this version of the server.",
)

PUBLIC = ""
ZIP_SIGNATURE = b"PK"
AGE_HEADER = b"age-encryption.org/v1\n-> X25519 "


class Box(StrEnum):
    """The folder below `out/` at the airlock that a kind is put into."""

    RECEIPTS = "receipts"
    FEEDBACK = "feedback"
    BUNDLES = "bundles"


@dataclass(frozen=True)
class Policy:
    """What a kind may look like: its box, whether a person decides first, and the names that its files may have."""

    box: Box
    needs_person: bool
    names_people: bool
    required: tuple[str, ...]
    also: str = ""
    """a pattern of the further names allowed"""
    may_be_public: bool = False
    public_required: tuple[str, ...] = ()
    """the names that must be there instead where it is for everyone"""
    public_also: str = ""
    made_up_number: str = ""
    """the one synthetic national number that its files may hold"""
    from_rows: bool = False
    """whether it is made of people's rows, so that a withdrawal cancels it while it is not sealed"""
    needs_agreement: bool = True
    """whether it is sealed only while an agreement with its recipient is in force"""


POLICIES: Mapping[Kind, Policy] = MappingProxyType(
    {
        Kind.RELEASABLE_TABLE: Policy(
            box=Box.BUNDLES,
            needs_person=True,
            names_people=False,
            required=("rapport.html", "resultater.xlsx"),
            also=r"csv/[a-z][a-z0-9_]{0,47}\.csv",
            may_be_public=True,
            public_required=("index.html", "nyheter.html", "koblinger.html", "bli-med.html"),
            public_also=r"resultater-[0-9]{4}\.html",
            from_rows=True,
        ),
        Kind.OWN_RECORDS: Policy(
            box=Box.BUNDLES,
            needs_person=True,
            names_people=False,
            required=("egne_rader.xlsx",),
            also=r"csv/[a-z][a-z0-9_]{0,47}\.csv",
            from_rows=True,
        ),
        Kind.LOAN_ORDER: Policy(
            box=Box.BUNDLES,
            # Two people decided already: the project lead signed the request, and the job checked the signature.
            needs_person=False,
            # The list inside is ciphertext to the lender alone, so that in clear it could not pass here at all.
            names_people=False,
            required=("bestilling.age", "bestilling.txt"),
            from_rows=True,
        ),
        Kind.EXTRACT: Policy(
            box=Box.BUNDLES,
            # Two people decided already: the project lead signed the request, and the job checked the signature.
            needs_person=False,
            # The rows inside are ciphertext to the project alone.
            names_people=False,
            required=("uttrekk.age", "uttrekk.txt", "variabler.csv"),
            from_rows=True,
        ),
        Kind.KIT: Policy(
            box=Box.BUNDLES,
            needs_person=False,
            names_people=False,
            required=(
                "LES_MEG_FORST.txt",
                "veiledning.html",
                "allowed_signers",
                "fingeravtrykk.txt",
                "lag-innsending.cmd",
                "verifiser.cmd",
                "kontroller-passord.cmd",
                "maler/manifest-inne.json",
                "maler/manifest-ute.json",
                "nokler/age.txt",
                "nokler/openpgp.asc",
            ),
            also=r"skjema/[a-z][a-z0-9_]{0,47}\.(csv|xlsx)",
            made_up_number=MADE_UP_PERSON,
        ),
        Kind.FEEDBACK: Policy(
            box=Box.FEEDBACK,
            needs_person=False,
            names_people=False,
            required=("tilbakemelding.csv", "tilbakemelding.xlsx"),
        ),
        Kind.RECEIPT: Policy(
            box=Box.RECEIPTS,
            needs_person=False,
            names_people=False,
            required=("kvittering.json", "kvittering.txt"),
            needs_agreement=False,
        ),
        Kind.CERTIFICATE: Policy(
            box=Box.BUNDLES,
            needs_person=False,
            names_people=False,
            required=("sertifikat.json", "sertifikat.txt"),
            # Added by `seal`, once a checkpoint covers the destruction: the proof that it is in the log.
            also=r"bevis\.tlog-proof|vkey|verify\.py",
            needs_agreement=False,
        ),
        Kind.CHECKPOINT: Policy(
            box=Box.BUNDLES,
            needs_person=False,
            names_people=False,
            required=("sjekkpunkt.txt",),
            needs_agreement=False,
            may_be_public=True,
        ),
        Kind.NOTICE: Policy(
            box=Box.BUNDLES,
            needs_person=False,
            names_people=False,
            required=("melding.txt",),
            also=r"oppfolging\.(csv|xlsx)",
        ),
    }
)
"""A kind that is not here does not leave."""


def admit(
    draft: Draft, *, recipient: str, institutions: Collection[str], withheld_texts: Collection[str] = frozenset()
) -> Draft:
    """The same draft, if it may leave to `recipient`; Refused R_KIND, R_RECIPIENT, R_FORM or R_LEAK otherwise.

    `institutions` are those that the registry agrees with; `withheld_texts` comes from `disclosure.withheld_texts`.
    """
    policy = policy_of(draft.kind)
    known = draft.recipient in institutions or (policy.may_be_public and draft.recipient == PUBLIC)
    if draft.recipient != recipient or not known:
        raise Refused("R_RECIPIENT", place=draft.kind)
    _check_names(draft, policy)
    for file in draft.files:
        if not _is_what_it_says(file) or (draft.recipient == PUBLIC and not _reaches_nothing(file.content)):
            raise Refused("R_FORM", place=f"{draft.kind}: {file.name}")
        if leaks(
            file.name,
            file.content,
            names_people=policy.names_people,
            withheld_texts=withheld_texts,
            made_up_number=policy.made_up_number,
        ):
            raise Refused("R_LEAK", place=f"{draft.kind}: {file.name}")
    return draft


def policy_of(kind: Kind) -> Policy:
    """The policy of a kind; Refused R_KIND where there is none."""
    if kind not in POLICIES:
        raise Refused("R_KIND", place=kind)
    return POLICIES[kind]


def _check_names(draft: Draft, policy: Policy) -> None:
    names = [file.name for file in draft.files]
    public = draft.recipient == PUBLIC and bool(policy.public_required)
    required, also = (policy.public_required, policy.public_also) if public else (policy.required, policy.also)
    complete = set(required) <= set(names) and len(set(names)) == len(names)
    allowed = all(re.fullmatch(also, name) for name in names if name not in required)
    tables_fit = bool(draft.tables) == (draft.kind is Kind.RELEASABLE_TABLE)
    if not (complete and allowed and tables_fit):
        raise Refused("R_KIND", place=draft.kind)


_REACHING = re.compile(
    rb"<\s*(script|iframe|object|embed|form|base|link|img|image|video|audio|source|input|foreignobject)\b|\son[a-z]+\s*="
    rb"|\b(href|src|action|srcset|data|poster|background)\s*=\s*[\"']?\s*([a-z][a-z0-9+.-]*:|/)"
    rb"|url\(\s*[\"']?[^#\"'\s)]|@import|http-equiv\s*=\s*[\"']?refresh",
    re.IGNORECASE,
)


def _reaches_nothing(content: bytes) -> bool:
    """Whether what everyone may open runs no program and fetches nothing; it may link to its own pages."""
    return _REACHING.search(content) is None


def _is_what_it_says(file: DraftFile) -> bool:  # noqa: PLR0911  one answer for each kind of file
    try:
        match file.name.rsplit(".", 1)[-1]:
            case "json":
                return isinstance(json.loads(file.content), dict)
            case "csv":
                return file.content.startswith(b"\xef\xbb\xbf") and _is_text(file.content)
            case "xlsx":
                return _is_plain_workbook(file.content)
            case "age":
                return file.content.startswith(AGE_HEADER)
            case "html":
                return _is_text(file.content) and b"<script" not in file.content.lower()
            case _:
                return _is_text(file.content)
    except (ValueError, RuntimeError, EOFError, zlib.error, BadZipFile, ParseError, DefusedXmlException):
        # What zipfile raises for a part that is damaged, encrypted or compressed in another way, and what XML raises.
        return False


def _is_text(content: bytes) -> bool:
    return "\x00" not in content.decode("utf-8") and not content.startswith(ZIP_SIGNATURE)


_PARTS = re.compile(
    r"\[Content_Types\]\.xml|_rels/\.rels|docProps/(app|core)\.xml|xl/(workbook|styles|sharedStrings)\.xml"
    r"|xl/_rels/workbook\.xml\.rels|xl/theme/theme1\.xml|xl/worksheets/sheet\d+\.xml"
)


def _is_plain_workbook(content: bytes) -> bool:
    """Whether a workbook consists of sheets, styles and texts only, all visible, without a formula."""
    with ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        if not all(_PARTS.fullmatch(name) for name in names) or len(set(names)) != len(names):
            return False
        for name in names:
            root = fromstring(archive.read(name))
            tags = {element.tag.rsplit("}", 1)[-1] for element in root.iter()}
            sheets = [element for element in root.iter() if element.tag.endswith("}sheet")]
            if "f" in tags or any(sheet.get("state", "visible") != "visible" for sheet in sheets):
                return False
    return True
