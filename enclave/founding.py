"""Making a working folder: keys, log, databases, the first definition; `enclave.toml` comes last.

A crash leaves a folder without `enclave.toml`, in which no command starts; delete it and begin again.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from enclave import durable
from enclave.audit.acts import Acts
from enclave.audit.log import create as create_log
from enclave.audit.record import Position
from enclave.control.database import Control, create_control
from enclave.control.runs import apply_definition
from enclave.crypto import keyring
from enclave.crypto.key_register import Registered, register
from enclave.crypto.keyring import Keyring
from enclave.errors import Refused, explain
from enclave.flow import COMMAND_LINE, Act
from enclave.folders import RegistryFolder, WorkingFolder
from enclave.grants import Folder, Passphrases
from enclave.identity import vault
from enclave.identity.vault_keys import VaultKeys
from enclave.registry.load import LoadedDefinition, keep, load
from enclave.settings import read_settings
from enclave.store import tables
from enclave.store.engines import postgres_engine, sqlcipher_engine
from enclave.wiring import SERVER_KEYS, utc_now

explain(
    "R_FOLDER_EXISTS",
    "The folder for a new server exists already and is not empty.",
    "Choose another folder; nothing that exists is ever overwritten.",
)

CONFIG = Path(__file__).parent.parent / "config"
"""The commented settings and the definitions that ship with the program."""


@dataclass(frozen=True)
class Founding:
    """What a new server is to be. `values` replace lines of the shipped enclave.toml, by key."""

    root: Path
    registry: str
    definition: Path
    values: dict[str, str | int | float]
    actor: str


def found(founding: Founding) -> WorkingFolder:
    """Make the working folder; Refused where something is there already."""
    folder = WorkingFolder(founding.root.resolve())
    if folder.root.exists() and any(folder.root.iterdir()):
        raise Refused("R_FOLDER_EXISTS")
    lies = folder.registry(founding.registry)
    loaded = load(founding.definition)
    make_folders(folder, lies)
    for name in keyring.KEY_KINDS:
        keyring.create(folder.keys if name in SERVER_KEYS else lies.keys, name)
    for kept, names in ((folder.keys, SERVER_KEYS), (lies.keys, keyring.KEY_KINDS.keys() - SERVER_KEYS)):
        register(kept, dict.fromkeys(names, Registered(1, utc_now().date())))
    log = create_log(
        folder.audit, str(founding.values["server"]), bytes.fromhex(keyring.public(folder.keys, "audit-sign")), utc_now
    )
    create_control(folder.control)
    acts = Acts(log, job=COMMAND_LINE, registry=founding.registry, run="", actor=founding.actor)
    keep(lies.definitions, loaded)
    if (words := founding.definition / "news.toml").is_file():
        durable.write(lies.pages, words.read_bytes())
    with acts.act(Act.DEFINITION_APPLY, "definition", loaded.sha256, digests={"definition": loaded.sha256}) as act:
        _make_databases(lies, loaded, founding.values, act.position)
        with Control(folder.control).changing(act.position) as connection:
            apply_definition(connection, founding.registry, loaded.sha256, utc_now())
    _write_settings(folder, founding)
    read_settings(folder.settings)
    return folder


def make_folders(folder: WorkingFolder, lies: RegistryFolder) -> None:
    """Make every folder of a server and of one of its registries that is not there yet."""
    for needed in (
        *(folder.pages, folder.keys, folder.locks, folder.outbox, lies.root, lies.keys, lies.definitions),
        *(lies.folder(which) for which in Folder),
        *(lies.passphrases(which) for which in Passphrases),
    ):
        durable.make_folder(needed)


def _make_databases(
    lies: RegistryFolder, loaded: LoadedDefinition, values: dict[str, str | int | float], position: Position
) -> None:
    keys = Keyring(lies.keys, frozenset({"registry-db", "vault-db", "vault-index", "vault-data"}))
    registry_url, vault_url = str(values.get("database", "")), str(values.get("vault_database", ""))
    registry = (
        postgres_engine(registry_url)
        if registry_url
        else sqlcipher_engine(lies.database, keys.get("registry-db"), create=True)
    )
    tables.apply(registry, loaded.definition, loaded.sha256, loaded.source, position)
    people = (
        postgres_engine(vault_url) if vault_url else sqlcipher_engine(lies.vault, keys.get("vault-db"), create=True)
    )
    vault.create(people, VaultKeys(keys.get("vault-index"), keys.get("vault-data")))


def _write_settings(folder: WorkingFolder, founding: Founding) -> None:
    text = (
        (CONFIG / "enclave.toml")
        .read_text(encoding="utf-8")
        .replace("registries.kar", f"registries.{founding.registry}")
    )
    for key, value in founding.values.items():
        line = f"{key} = {value}" if isinstance(value, int | float) else f'{key} = "{value}"'
        before, found, after = _around_line(text, key)
        if not found:
            raise ValueError(f"{key} is not a key of config/enclave.toml")
        text = before + line + after
    durable.write(folder.settings, text.encode())


def _around_line(text: str, key: str) -> tuple[str, str, str]:
    match = re.search(rf"(?m)^{key} = .*$", text)
    return ("", "", text) if match is None else (text[: match.start()], match.group(), text[match.end() :])
