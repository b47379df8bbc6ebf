"""What an institution and the registry agreed on, and the change of its keys: with an overlap, or at once."""

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

from enclave import durable
from enclave.audit.record import Purpose
from enclave.control.agreements import Agreement, Language, enter_agreement
from enclave.control.institutions import Institution, change_institution, find_institution
from enclave.control.sender_keys import SenderKey, keys_of, replace_keys, revoke_key
from enclave.crypto import age
from enclave.crypto.allowed_signers import fingerprint
from enclave.crypto.passphrase import new_passphrase
from enclave.crypto.secret import Secret
from enclave.errors import Refused, explain
from enclave.flow import Act
from enclave.grants import Passphrases
from enclave.release.letter import LetterContent, letter_page
from enclave.terminal.desk import public_line
from enclave.terminal.reception import Reception, next_key_id
from enclave.wiring import utc_now

explain(
    "R_LANGUAGE",
    "The registry's definition has no labels in this language, so no answer can be written in it.",
    "Choose nb or en, or sv where the definition has Swedish labels.",
)

LONGEST_OVERLAP = 366
"""Days that an old key may go on at most."""

explain(
    "R_OVERLAP",
    "An overlap is between 0 and 366 days.",
    "Give --overlap-days as a number of days; 0 ends the old key at once, and --revoke also for what lies collected.",
)


class Registrar(Reception):
    """The part of the terminal that keeps agreements and keys. It holds no vault, loan or signing key."""

    def agree(
        self,
        institution_id: str,
        valid_from: date,
        valid_to: date,
        *,
        may_send_unsigned: bool = False,
        language: Language = "nb",
    ) -> None:
        """Enter an agreement; it replaces one that begins on the same day, and one that had no days."""
        spoken = self._definition_in_force().definition.name
        if language not in get_args(Language) or not getattr(spoken, language):
            raise Refused("R_LANGUAGE")
        find_institution(self.control, self._registry, institution_id)
        entered = Agreement(
            self._registry,
            institution_id,
            valid_from,
            valid_to,
            may_send_unsigned,
            language,
            utc_now().isoformat(),
        )
        counts = {"days": max(0, (valid_to - valid_from).days + 1), "unsigned": int(may_send_unsigned)}
        with (
            self._acts() as acts,
            acts.act(Act.INSTITUTION_AGREE, "institution", institution_id, counts=counts) as act,
            self.control.changing(act.position) as connection,
        ):
            enter_agreement(connection, entered)

    def rotate_signing_key(self, institution_id: str, signing_key: str, *, overlap_days: int) -> datetime:
        """Take a new signing key into use now; the older ones hold `overlap_days` more. Answers their last moment."""
        known = find_institution(self.control, self._registry, institution_id)
        now, last = self._period(overlap_days)
        added = SenderKey(self._registry, institution_id, "signing", public_line(signing_key), valid_from=now)
        counts = {"overlap_days": overlap_days, "signing": 1}
        with (
            self._acts() as acts,
            acts.act(Act.INSTITUTION_ROTATE, "institution", institution_id, counts=counts) as act,
            self.control.changing(act.position) as connection,
        ):
            replace_keys(connection, added, last=last)
            change_institution(connection, replace(known, signing_key=added.key))
        return last

    def rotate_passphrase(self, institution_id: str, out: Path, today: date, *, overlap_days: int) -> datetime:
        """Draw a new passphrase to send with, and write its letter to the new file `out`; the older one overlaps."""
        self._require_new(out)
        known = find_institution(self.control, self._registry, institution_id)
        if known.role != "sender":
            raise Refused("R_NOT_A_SENDER")
        now, last = self._period(overlap_days)
        changed, drawn = replace(known, inbound_key_id=next_key_id(known)), new_passphrase()
        added = SenderKey(self._registry, institution_id, "passphrase", changed.inbound_key_id, valid_from=now)
        counts = {"overlap_days": overlap_days, "signing": 0}
        with (
            self._acts() as acts,
            acts.act(Act.INSTITUTION_ROTATE, "institution", institution_id, counts=counts) as act,
            self.control.changing(act.position) as connection,
        ):
            # The letter first, then the file of its own name: a crash leaves both unnamed, and the older one in force.
            durable.write_new(out, self._rotation_letter(changed, drawn, today, last).reveal())
            path = self.lies.passphrases(Passphrases.SENDERS) / f"{institution_id}.{added.key}.passphrase"
            durable.write(path, drawn.reveal() + b"\n")
            replace_keys(connection, added, last=last)
            change_institution(connection, changed)
        return last

    def revoke(self, institution_id: str, key: str) -> SenderKey:
        """Take a key out of use at once, named by its fingerprint, or a passphrase by its id; answers which it was."""
        theirs = [one for one in keys_of(self.control, self._registry) if one.institution_id == institution_id]
        named = [one for one in theirs if key in (one.key, name_of(one))]
        if not named:
            raise Refused("R_KEY_UNKNOWN")
        with (
            self._acts() as acts,
            acts.act(Act.INSTITUTION_REVOKE, "institution", institution_id) as act,
            self.control.changing(act.position) as connection,
        ):
            revoke_key(connection, named[0], utc_now())
        return named[0]

    def ask_for_recipient_key(self, institution_id: str, age_key: str, case_number: str) -> str:
        """File the change of the key that lists for a lender are sealed to; the project lead signs it."""
        known = find_institution(self.control, self._registry, institution_id)
        if known.role != "lender" or not age.is_recipient(age_key):
            raise Refused("R_AGE_KEY")
        parameters = {"institution_id": institution_id, "age_key": age_key}
        return self.file("recipient_key", parameters, case_number=case_number, purpose=Purpose.OPERATION)

    def _period(self, overlap_days: int) -> tuple[datetime, datetime]:
        """Now, and the last moment of what overlaps: the end of its last day by this server's calendar."""
        if not 0 <= overlap_days <= LONGEST_OVERLAP:
            raise Refused("R_OVERLAP")
        now = utc_now()
        if overlap_days == 0:
            return now, now
        zone = ZoneInfo(self._settings.time_zone)
        day = now.astimezone(zone).date() + timedelta(days=overlap_days)
        return now, datetime.combine(day, time(23, 59, 59), zone).astimezone(now.tzinfo)

    def _rotation_letter(self, receiver: Institution, inbound: Secret, today: date, last: datetime) -> Secret:
        return letter_page(
            LetterContent(
                registry_name=self._definition_in_force().definition.name.nb,
                recipient=receiver.name,
                institution_id=receiver.institution_id,
                inbound_key_id=receiver.inbound_key_id,
                inbound=inbound,
                outbound=None,
                fingerprint=fingerprint(self._public("bundle-sign")),
                made=today,
                older_until=last.astimezone(ZoneInfo(self._settings.time_zone)).date(),
            )
        )


def name_of(key: SenderKey) -> str:
    """What a key is called in lists: the fingerprint of a signing key, the id of a passphrase."""
    return fingerprint(key.key) if key.kind == "signing" else key.key
