"""A secret shows itself to nobody who does not ask for it by name."""

import copy
import pickle

import pytest

from enclave.crypto.passphrase import new_passphrase, read_passphrase
from enclave.crypto.secret import Secret
from enclave.errors import Halt

CANARY = b"AGE-SECRET-KEY-CANARY"


@pytest.mark.parametrize("show", [repr, str, ascii, "{}".format, lambda secret: f"{[secret]} {secret!s:>40}"])
def test_shows_nothing(show: object) -> None:
    """No way of printing a secret shows any of it."""
    assert "CANARY" not in show(Secret(CANARY))  # type: ignore[operator]


@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy])
def test_is_not_carried_off(way: object) -> None:
    """A secret is not pickled or copied."""
    with pytest.raises(TypeError, match="not pickled"):
        way(Secret(CANARY))  # type: ignore[operator]


def test_has_no_dictionary_and_no_hash() -> None:
    """A secret has no attributes to list, and is no key of a dictionary."""
    assert not hasattr(Secret(CANARY), "__dict__")
    with pytest.raises(TypeError):
        hash(Secret(CANARY))


def test_equals_only_secrets() -> None:
    """Equality compares content between secrets, and is false against bytes."""
    assert Secret(CANARY) == Secret(bytes(bytearray(CANARY)))
    assert Secret(CANARY) != Secret(b"other")
    assert Secret(CANARY) != CANARY


def test_passphrases_are_generated_with_130_bits() -> None:
    """A new passphrase is 26 signs of a 32-sign alphabet in groups, ASCII, and never the same twice."""
    made = {new_passphrase().reveal() for _ in range(50)}
    assert len(made) == 50
    for passphrase in made:
        groups = passphrase.decode("ascii").split("-")
        assert [len(group) for group in groups] == [5, 5, 5, 5, 5, 1]
        assert not set("".join(groups)) & set("IO01")
        assert read_passphrase(passphrase + b"\r\n").reveal() == passphrase


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"sommer2026",
        b"a" * 40,
        b"correct horse battery staple",
        "blåbær-og-bringebær".encode(),
        b"x\x00" * 15,
    ],
)
def test_chosen_passphrases_are_refused(content: bytes) -> None:
    """Blank, short, repeated, spaced or non-ASCII passphrases halt, and do not show in the error."""
    with pytest.raises(Halt, match="H_PASSPHRASE") as caught:
        read_passphrase(content)
    assert "sommer" not in str(caught.value)
