"""The port to the envelopes of drops: what intake asks of each kind, whichever library opens it."""

from typing import ClassVar, Protocol

from enclave.crypto.zip_directory import Limits
from enclave.errors import explain
from enclave.model.drop import PlainFile

explain(
    "E_FORMAT",
    "The payload is not the envelope that the manifest names, or none that this registry takes.",
    "Seal the files as an AES-256 ZIP (format aes-zip), with age (age, binary) or with OpenPGP (openpgp).",
    nb=(
        "Innholdsfilen er ikke den konvolutten som manifestet oppgir, eller ingen som registeret tar imot.",
        "Forsegl filene som ZIP-fil med AES-256 (formatet aes-zip), med age (age, binært) eller OpenPGP (openpgp).",
    ),
)
explain(
    "E_KID",
    "The manifest names a passphrase or key that is not in force for this sender.",
    "Use the passphrase, and its name, from your newest letter, or the public key of your newest kit.",
    nb=(
        "Manifestet viser til en passfrase eller nøkkel som ikke gjelder for denne avsenderen.",
        "Bruk passfrasen, og navnet på den, fra det nyeste brevet, eller nøkkelen i den nyeste startpakken.",
    ),
)
explain(
    "E_KID_EXPIRED",
    "The passphrase that the manifest names was replaced by a newer one, and its last day had passed at collection.",
    "Use the passphrase, and its name, from your newest letter.",
    nb=(
        "Passfrasen som manifestet viser til, er erstattet av en nyere og gjaldt ikke da innsendingen ble hentet.",
        "Bruk passfrasen, og navnet på den, fra det nyeste brevet dere har fått.",
    ),
)
explain(
    "E_KID_REVOKED",
    "The passphrase that the manifest names has been taken out of use.",
    "Use the passphrase, and its name, from your newest letter; if you have none, contact the registry.",
    nb=(
        "Passfrasen som manifestet viser til, er trukket tilbake.",
        "Bruk passfrasen, og navnet på den, fra det nyeste brevet; mangler dere det, ta kontakt.",
    ),
)
explain(
    "E_INNER_ARCHIVE",
    "What the envelope holds is not a sound ZIP archive without encryption of its own.",
    "Put manifest.json and the files into a ZIP without a passphrase, seal that, and send a new drop.",
    nb=(
        "Det som ligger i konvolutten, er ikke en hel ZIP-fil uten eget passord.",
        "Pakk manifest.json og filene i en ZIP-fil uten passord, forsegl den, og send en ny innsending.",
    ),
)


class Envelope(Protocol):
    """One kind of envelope, with the keys that open it where this drop's sender may use it."""

    format: ClassVar[str]
    """what a manifest calls it"""

    def recognises(self, payload: bytes) -> bool:
        """Whether a payload begins as one of this kind does; its file name says nothing."""

    def open(self, payload: bytes, key_id: str, limits: Limits) -> tuple[PlainFile, ...]:
        """The files inside, none before every byte was authenticated; Rejected with a code for what stopped it.

        `key_id` is the key that the manifest says it is sealed to: E_KID where that is not one of ours.
        """
