"""`enclave.toml`, read once into a frozen model. Unknown keys are refused; nothing is taken from the environment."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError, field_validator, model_validator

from enclave.errors import Halt, explain
from enclave.model.drop import Closed, InstitutionId, RegistryId

explain(
    "H_SETTINGS",
    "A setting in enclave.toml is missing, unknown or wrong.",
    "Mend the key that is named here; config/enclave.toml shows every key with its meaning.",
)
explain(
    "H_SETTINGS_FILE",
    "The settings file cannot be read.",
    "Give --config FILE or ENCLAVE_CONFIG; `enclave init DIR` makes a working folder with its enclave.toml.",
)

ServerName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
GroupName = Annotated[str, StringConstraints(pattern=r"^([a-z_][a-z0-9_-]{0,31})?$")]
DATABASE_URL = re.compile(r"postgresql\+psycopg://[^\s]+")


class Airlock(Closed):
    """Where files cross the wall."""

    kind: Literal["sftp", "folder"]
    host: str = ""
    port: Annotated[int, Field(ge=1, le=65535)] = 22
    user: str = ""
    folder: str = "/"
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 30.0
    attempts: Annotated[int, Field(ge=1, le=20)] = 5


class Limits(Closed):
    """What a sender may put at the airlock at most, in one drop, in one turn and in one day."""

    drop_bytes: Annotated[int, Field(ge=1024)] = 64 * 1024 * 1024
    deferred_hours: Annotated[int, Field(ge=1)] = 24
    drops_per_turn: Annotated[int, Field(ge=1)] = 20
    bytes_per_turn: Annotated[int, Field(ge=1024)] = 512 * 1024 * 1024
    drops_per_day: Annotated[int, Field(ge=1)] = 500
    bytes_per_day: Annotated[int, Field(ge=1024)] = 4 * 1024 * 1024 * 1024


FormNumber = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,12}$")]
Question = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.]{1,100}$")]
Column = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
Option = Annotated[str, StringConstraints(pattern=r"^.{1,100}$")]


def _from_list(written: object) -> object:
    """TOML has lists only; a frozen model holds tuples."""
    return tuple(written) if isinstance(written, list) else written


class NettskjemaForm(Closed):
    """How one form at Nettskjema becomes a form of the registry.

    `institution` is the question that names who sends, `institutions` its options. `questions` gives the column of a
    question where their names differ (of a check-box question: the variable), `answers` the code of an option, by
    question; `ignored` questions are not taken at all.
    """

    form: Column
    institution: Question
    institutions: Annotated[dict[Option, InstitutionId], Field(min_length=1)]
    questions: dict[Question, Column] = Field(default_factory=dict)
    answers: dict[Question, dict[Option, str]] = Field(default_factory=dict)
    ignored: Annotated[tuple[Question, ...], BeforeValidator(_from_list)] = ()


class Nettskjema(Closed):
    """The folder that TSD fills with encrypted submissions, read and never written; `forms` by Nettskjema's number."""

    submissions: Annotated[str, StringConstraints(pattern=r"^/.+$")]
    submission_bytes: Annotated[int, Field(ge=1024, le=16 * 1024 * 1024)] = 1024 * 1024
    submissions_per_turn: Annotated[int, Field(ge=1)] = 500
    forms: dict[FormNumber, NettskjemaForm] = Field(default_factory=dict)


class Registry(Closed):
    """One registry of this server. An empty database URL means SQLCipher in the working folder."""

    database: str = ""
    vault_database: str = ""
    airlock: Airlock
    limits: Limits = Limits()
    nettskjema: Nettskjema | None = None

    @field_validator("database", "vault_database")
    @classmethod
    def _is_verified_postgresql(cls, url: str) -> str:
        if not url:
            return url
        if not DATABASE_URL.fullmatch(url):
            raise ValueError("must be postgresql+psycopg://…")
        if "host=/" not in url and "sslmode=verify-full" not in url:
            raise ValueError("must use a local Unix socket (?host=/…) or sslmode=verify-full")
        return url

    @model_validator(mode="after")
    def _keeps_the_vault_apart(self) -> Self:
        if self.vault_database and _place_of(self.vault_database) == _place_of(self.database):
            raise ValueError("vault_database must be another database than database")
        return self


def _place_of(url: str) -> tuple[str, str]:
    """Which database an address means, whoever logs in: its server or socket folder, and its name."""
    parts = urlsplit(url)
    host = parse_qs(parts.query).get("host", [f"{parts.hostname or ''}:{parts.port or 5432}"])[0]
    return host, parts.path


class Roles(Closed):
    """The OS groups of who acts at the terminal, who signs as the second person, and who audits; empty: not told apart.

    Project leads and auditors may look, and change nothing.
    """

    data_processors: GroupName = ""
    project_leads: GroupName = ""
    auditors: GroupName = ""


AgeRecipient = Annotated[str, StringConstraints(pattern=r"^age1[02-9ac-hj-np-z]{58}$")]


class Backup(Closed):
    """Whom backups are sealed to: two public age keys, whose private halves two people hold, each offline."""

    registry: AgeRecipient
    vault: AgeRecipient

    @model_validator(mode="after")
    def _keeps_the_vault_apart(self) -> Self:
        if self.registry == self.vault:
            raise ValueError("vault must be another key than registry, held by somebody else")
        return self


class Settings(Closed):
    """One server. `mode = "test"` admits synthetic national numbers only, `production` real ones only."""

    server: ServerName
    mode: Literal["test", "production"]
    time_zone: str
    project_lead: str
    snapshot_days: Annotated[int, Field(ge=0)] | None = None
    temporary_folder: str = "/dev/shm"  # noqa: S108  shared memory is the point: plaintext never touches a disk
    registries: Annotated[dict[RegistryId, Registry], Field(min_length=1)]
    backup: Backup | None = None
    roles: Roles = Roles()
    schedule: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _shares_no_database(self) -> Self:
        each = [url for one in self.registries.values() for url in (one.database, one.vault_database) if url]
        if len({_place_of(url) for url in each}) < len(each):
            raise ValueError("two registries, or one's vault and another's registry, name the same database")
        return self

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("is not a known time zone") from None
        return name


def read_settings(path: Path) -> Settings:
    """The settings in this file; Halt names file and key of the first mistakes, never a value."""
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise Halt("H_SETTINGS_FILE", place=path.name) from None
    except tomllib.TOMLDecodeError as mistake:
        raise Halt("H_SETTINGS", place=f"{path.name}: {_line_of(mistake)}") from None
    try:
        return Settings.model_validate(written, strict=True)
    except ValidationError as mistakes:
        raise Halt("H_SETTINGS", place=f"{path.name}: {_keys_of(mistakes)}") from None


def _line_of(mistake: tomllib.TOMLDecodeError) -> str:
    found = re.search(r"at line \d+, column \d+|at end of document", str(mistake))
    return found.group() if found else "not TOML"


def _keys_of(mistakes: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in mistake['loc'])} – {mistake['msg']}"
        for mistake in mistakes.errors(include_url=False, include_input=False, include_context=False)
    )
