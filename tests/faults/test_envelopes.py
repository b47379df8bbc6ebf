"""Signed drops in each of the three envelopes, made with stock programs only, through the real jobs to an answer.

7-Zip packs, `7z`, `age` or `gpg` seals to what the kit holds, `ssh-keygen -Y sign` signs.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from enclave.crypto import age, openpgp
from enclave.flow import DropState
from tests.faults.judged import assert_nothing_left, assert_rejected
from tests.faults.site import ATTACKER, Making, Site
from tests.flow.road import seven_zip
from tests.servers.gnupg import GnuPg, gnupg

Seal = Callable[[bytes], bytes]
OTHER_RECIPIENT = age.new_identity()[1]
OTHER_CERTIFICATE = openpgp.new_key("somebody else")[1]


@pytest.fixture(scope="module")
def gpg() -> Iterator[GnuPg]:
    """GnuPG with an empty keyring."""
    with gnupg() as made:
        yield made


def public(site: Site, name: str) -> str:
    """The public half of a key of the registry, as its kit tells it."""
    return (site.folder.registry("kar").keys / f"{name}.pub").read_text(encoding="ascii").strip()


def packed(site: Site, making: Making, *options: str) -> bytes:
    """The files of a drop and their manifest in a ZIP, by 7-Zip; without a passphrase where no option asks for one."""
    site.made += 1
    clear = site.root / "clear" / f"packed-{site.made}"
    clear.mkdir(parents=True)
    for name, content in {"manifest.json": json.dumps(site.inner(making)).encode(), **making.files}.items():
        (clear / name).write_bytes(content)
    seven_zip("a", "-tzip", *options, str(clear.with_suffix(".zip")), ".", folder=clear)
    return clear.with_suffix(".zip").read_bytes()


def stock_age(content: bytes, recipient: str) -> bytes:
    """What `age` makes of a content."""
    return subprocess.run(["age", "-r", recipient], input=content, check=True, capture_output=True).stdout


def stock_gpg(gpg: GnuPg, content: bytes, certificate: str, *options: str) -> bytes:
    """What `gpg` makes of a content, to a certificate in a file and not in its keyring."""
    file = gpg.home / "recipient.asc"
    file.write_text(certificate)
    return gpg.run(*options, "--recipient-file", str(file), "--encrypt", content=content)


FORMS = ("aes-zip", "age", "openpgp", "openpgp in armour")


class Sender:
    """Makes drops in one kind of envelope."""

    def __init__(self, site: Site, gpg: GnuPg, form: str) -> None:
        self.site, self.gpg = site, gpg
        self.form, self.armour = form.split(" ", maxsplit=1)[0], ["--armor"] if "armour" in form else []
        self.passphrase = site.letters[ATTACKER].inbound.reveal().decode()
        self.key_id = {
            "aes-zip": site.letters[ATTACKER].inbound_key_id,
            "age": public(site, "intake"),
            "openpgp": openpgp.key_id(public(site, "nettskjema")),
        }[self.form]

    def making(self, **changes: object) -> Making:
        """A drop of one new person, not sealed yet."""
        named = {"recipient_kid": self.key_id}
        made = Making(self.site.planter.file(rows=1), inner=named, outer={"format": self.form, **named})
        return replace(made, **changes)  # type: ignore[arg-type]

    def sealed(self, making: Making, *, to_another: bool = False, content: bytes | None = None) -> Making:
        """The drop with its payload, sealed by a stock program; `content` in place of the right ZIP inside."""
        if self.form == "aes-zip":
            words = "Q7QX-2M4P-9RTV-W3HD-6JCN-8FYA" if to_another else self.passphrase
            return replace(making, packed=packed(self.site, making, "-mem=AES256", f"-p{words}"))
        inside = packed(self.site, making) if content is None else content
        if self.form == "age":
            return replace(
                making, packed=stock_age(inside, OTHER_RECIPIENT if to_another else public(self.site, "intake"))
            )
        certificate = OTHER_CERTIFICATE if to_another else public(self.site, "nettskjema")
        return replace(making, packed=stock_gpg(self.gpg, inside, certificate, *self.armour))


@pytest.fixture(params=FORMS)
def sender(request: pytest.FixtureRequest, site: Site, gpg: GnuPg) -> Sender:
    """A sender for each envelope."""
    return Sender(site, gpg, request.param)


@pytest.mark.parametrize("name", ["payload.zip", "payload.age", "payload.asc"])
def test_a_drop_made_with_stock_programs_is_admitted_whatever_its_payload_is_called(sender: Sender, name: str) -> None:
    """The envelope is told by its content; the row is in the registry, the sender is answered, no plaintext is left."""
    site = sender.site
    before = len(site.rows()["arrival"])
    site.send(sender.sealed(sender.making(payload_name=name)))
    (drop,) = site.walk()

    assert (drop.state, drop.reason, drop.signed) == (DropState.ADMITTED, "", True)
    assert site.reason(drop) == ""
    assert len(site.rows()["arrival"]) == before + 1
    assert_nothing_left(site)


def test_hostile_envelopes_are_rejected_each_with_its_code_and_answered(sender: Sender) -> None:
    """To another key, altered or cut before signing, to a key that is none of ours, another drop's, altered after."""
    site, making = sender.site, sender.making
    codes = {
        "aes-zip": ("E_PASSPHRASE", "E_TRUNC"),
        "age": ("E_AGE_KEY", "E_AGE"),
        "openpgp": ("E_OPENPGP_KEY", "E_OPENPGP_FORM"),
    }[sender.form]
    other = {"drop_id": "00000000-0000-4000-8000-000000000001", "recipient_kid": sender.key_id}
    named = {"recipient_kid": "somebody-else"}
    site.send(sender.sealed(making(), to_another=True))
    site.send(sender.sealed(making(after_sealing=lambda content: content[: len(content) // 2])))
    site.send(sender.sealed(making(after_signing=lambda content: content[:-9] + b"x" + content[-8:])))
    site.send(sender.sealed(making(inner=named, outer={"format": sender.form, **named})))
    site.send(sender.sealed(making(inner=other)))

    assert_rejected(site, *codes, "E_DIGEST", "E_KID", "E_BINDING")


def test_what_is_not_sealed_or_not_as_it_says_is_rejected(sender: Sender, gpg: GnuPg) -> None:
    """Nothing encrypted, another envelope than was signed, ZipCrypto; inside age and OpenPGP no plain ZIP."""
    site, making = sender.site, sender.making
    forms = [one for one in ("aes-zip", "age", "openpgp") if one != sender.form]
    for form in forms:
        site.send(sender.sealed(making(outer={"format": form, "recipient_kid": sender.key_id})))
    drop = making()
    site.send(replace(drop, packed=packed(site, drop)))
    crypto = making()
    site.send(replace(crypto, packed=packed(site, crypto, "-mem=ZipCrypto", f"-p{sender.passphrase}")))
    stored = making()
    site.send(replace(stored, packed=gpg.run("--store", content=packed(site, stored))))
    expected = {
        "aes-zip": ("E_UNENCRYPTED", "E_ZIPCRYPTO", "E_FORMAT"),
        "age": ("E_FORMAT", "E_FORMAT", "E_FORMAT"),
        "openpgp": ("E_FORMAT", "E_FORMAT", "E_OPENPGP_FORM"),
    }[sender.form]
    inside = ()
    if sender.form != "aes-zip":
        double = making()
        locked = packed(site, double, "-mem=AES256", f"-p{sender.passphrase}")
        site.send(sender.sealed(double, content=locked))
        site.send(sender.sealed(making(), content=b"person_id;course_id\r\n"))
        inside = ("E_INNER_ARCHIVE", "E_INNER_ARCHIVE")

    assert_rejected(site, "E_FORMAT", "E_FORMAT", *expected, *inside)


def test_openpgp_without_integrity_protection_is_rejected_and_answered(site: Site, gpg: GnuPg) -> None:
    """The packet tag of before 2001 in place of the one with protection: nothing of it is opened."""
    old = Sender(site, gpg, "openpgp")
    drop = old.sealed(old.making())
    assert drop.packed is not None
    start = 2 + drop.packed[1]
    assert drop.packed[start] & 0x3F == 18
    site.send(replace(drop, packed=drop.packed[:start] + b"\xc9" + drop.packed[start + 1 :]))

    assert_rejected(site, "E_OPENPGP_FORM")
