"""What an institution is handed: the kit that is no secret, and the paper letter that is shown once."""

import hashlib
from dataclasses import replace
from datetime import date
from pathlib import Path

from enclave import durable
from enclave.audit.log import FileLog
from enclave.audit.record import Phase
from enclave.control.institutions import Institution, change_institution, find_institution
from enclave.control.runs import current_definition
from enclave.control.sender_keys import SenderKey, add_key, revoke_others
from enclave.crypto import keyring
from enclave.crypto.allowed_signers import fingerprint
from enclave.crypto.key_rotation import earlier_halves
from enclave.crypto.passphrase import new_passphrase, read_passphrase
from enclave.crypto.secret import Secret
from enclave.errors import Refused, explain
from enclave.flow import Act
from enclave.grants import Passphrases
from enclave.model.draft import Draft
from enclave.registry.load import LoadedDefinition, load_kept
from enclave.release.gate import admit
from enclave.release.kit import KitFor, kit
from enclave.release.letter import LetterContent, letter_page
from enclave.release.mail import Mail, MailText, mail_text
from enclave.terminal.desk import Desk
from enclave.wiring import LARGEST_PASSPHRASE, open_log, utc_now

explain(
    "R_LETTER_SHOWN",
    "The passphrases of this institution have been shown already, in a letter or in a file.",
    "If the letter is lost or was seen, draw new ones with `enclave institution letter ID OUT --renew`; the old ones "
    "stop working at once.",
)
explain(
    "R_OUT_EXISTS",
    "There is something already where the kit or the letter was to be written, or its folder does not exist.",
    "Name a new file or folder in a folder that exists; nothing was overwritten.",
)


class Reception(Desk):
    """The part of the terminal that deals with institutions. It holds no vault, loan or signing key."""

    def write_kit(self, institution_id: str, out: Path, today: date) -> Draft:
        """Write the kit of an institution into the new folder `out`, through the gate; answers what was written."""
        self._require_new(out)
        loaded = self._definition_in_force()
        receiver = find_institution(self.control, self._registry, institution_id)
        whom = KitFor(
            registry=self._registry,
            institution_id=institution_id,
            name=receiver.name,
            inbound_key_id=receiver.inbound_key_id,
            bundle_key=self._public("bundle-sign"),
            age_recipient=keyring.recipient(self.lies.keys, "intake"),
            openpgp_certificate=keyring.recipient(self.lies.keys, "nettskjema"),
            next_bundle_key="".join(keyring.halves(self.lies.keys, "bundle-sign")[1:]),
            earlier_bundle_keys=earlier_halves(self.lies.keys, "bundle-sign"),
        )
        written = admit(kit(whom, loaded, today), recipient=institution_id, institutions={institution_id})
        digest = hashlib.sha256()
        for file in written.files:
            digest.update(hashlib.sha256(file.name.encode()).digest() + hashlib.sha256(file.content).digest())
        with (
            self._acts() as acts,
            acts.act(
                Act.INSTITUTION_KIT,
                "institution",
                institution_id,
                counts={"files": len(written.files)},
                digests={"kit": digest.hexdigest(), "definition": loaded.sha256},
            ) as act,
            self.control.changing(act.position),
        ):
            # A crash while writing leaves a folder that is not complete; the act counts as abandoned.
            for file in written.files:
                path = out.joinpath(*file.name.split("/"))
                durable.make_folder(path.parent)
                durable.write_new(path, file.content, mode=0o644)
        return written

    def write_letter(self, institution_id: str, out: Path, today: date, *, renew: bool = False) -> None:
        """Write the letter with an institution's passphrases to the new file `out`, once; `renew` draws new ones first.

        Refused R_LETTER_SHOWN where they were shown before.
        """
        self._require_new(out)
        receiver = find_institution(self.control, self._registry, institution_id)
        with self._acts() as acts:
            if not renew and _was_shown(open_log(self._folder), self._registry, institution_id):
                raise Refused("R_LETTER_SHOWN")
            shown = {"shown": 1, "renewed": int(renew)}
            with acts.act(Act.INSTITUTION_LETTER, "institution", institution_id, counts=shown) as act:
                with self.control.changing(act.position) as connection:
                    if renew:
                        receiver = replace(receiver, inbound_key_id=next_key_id(receiver))
                        change_institution(connection, receiver)
                        now, key_id = utc_now(), receiver.inbound_key_id
                        drawn = SenderKey(self._registry, institution_id, "passphrase", key_id, valid_from=now)
                        add_key(connection, drawn)
                        revoke_others(connection, drawn, now)
                    inbound, outbound = self._passphrases(institution_id, renew=renew)
                    # The letter first: a crash after it leaves passphrases that somebody can read, never lost ones.
                    durable.write_new(out, self._letter(receiver, inbound, outbound, today).reveal())
                    if renew:
                        self._keep(Passphrases.SENDERS, institution_id, inbound)
                        self._keep(Passphrases.RECIPIENTS, institution_id, outbound)

    def mail(self, mail: Mail) -> MailText:
        """A ready-made e-mail of this registry; it is the same for every institution."""
        return mail_text(mail, self._definition_in_force().definition.name.nb)

    def _letter(self, receiver: Institution, inbound: Secret, outbound: Secret, today: date) -> Secret:
        return letter_page(
            LetterContent(
                registry_name=self._definition_in_force().definition.name.nb,
                recipient=receiver.name,
                institution_id=receiver.institution_id,
                inbound_key_id=receiver.inbound_key_id,
                inbound=inbound if receiver.role == "sender" else None,
                outbound=outbound,
                fingerprint=fingerprint(self._public("bundle-sign")),
                made=today,
            )
        )

    def _passphrases(self, institution_id: str, *, renew: bool) -> tuple[Secret, Secret]:
        if renew:
            return new_passphrase(), new_passphrase()
        inbound, outbound = (
            read_passphrase(durable.read(self._passphrase_file(which, institution_id), limit=LARGEST_PASSPHRASE))
            for which in (Passphrases.SENDERS, Passphrases.RECIPIENTS)
        )
        return inbound, outbound

    def _keep(self, which: Passphrases, institution_id: str, passphrase: Secret) -> None:
        durable.write(self._passphrase_file(which, institution_id), passphrase.reveal() + b"\n")

    def _passphrase_file(self, which: Passphrases, institution_id: str) -> Path:
        return self.lies.passphrases(which) / f"{institution_id}.passphrase"

    def _public(self, name: str) -> str:
        return keyring.public(self.lies.keys, name)

    def _definition_in_force(self) -> LoadedDefinition:
        sha256 = current_definition(self.control, self._registry)
        if sha256 is None:
            raise Refused("R_NOT_APPLIED", place=self._registry)
        return load_kept(self.lies.definitions, sha256)

    @staticmethod
    def _require_new(out: Path) -> None:
        if out.exists() or out.is_symlink() or not out.parent.is_dir():
            raise Refused("R_OUT_EXISTS")


def next_key_id(receiver: Institution) -> str:
    """The id of the next passphrase that an institution seals with."""
    stem, _, number = receiver.inbound_key_id.rpartition("-")
    return f"{stem}-{int(number) + 1}"


def _was_shown(log: FileLog, registry: str, institution_id: str) -> bool:
    """Whether the log tells of a finished act that showed this institution's passphrases."""
    showing: set[int] = set()
    for entry in log.entries():
        if (entry.registry, entry.object_kind, entry.object_id) != (registry, "institution", institution_id):
            continue
        if entry.phase is Phase.INTENT and entry.counts.get("shown"):
            showing.add(entry.seq)
        elif entry.phase in (Phase.DONE, Phase.RECOVERED) and entry.intent_seq in showing:
            return True
    return False
