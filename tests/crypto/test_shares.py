"""Three shares of a secret: any two make it, one alone or a wrong one does not."""

from itertools import combinations, permutations

import pytest
from Cryptodome.Protocol.SecretSharing import Shamir
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave.crypto.secret import Secret
from enclave.crypto.shares import combine, new_secret, split
from enclave.errors import Refused

sixteen = st.binary(min_size=16, max_size=16)
VECTOR = (
    bytes(range(16)),
    (
        "1-DQ6H-OLB7-S4EW-5NPT-D7HC-2X6Q-XO2I-C6EF",
        "2-HB56-QXLT-EEMN-I475-EGAU-5KFT-M7QN-JD3G",
        "3-ERDJ-24SI-WML3-3TQH-GRCG-76TN-2NIY-DIIU",
    ),
)


@settings(deadline=None, max_examples=25)
@given(sixteen)
def test_any_two_make_the_secret_in_any_order(content: bytes) -> None:
    """All six ordered pairs of the three shares."""
    shares = split(Secret(content))
    assert len(shares) == 3
    assert all(combine(pair).reveal() == content for pair in permutations(shares, 2))


@settings(deadline=None, max_examples=25)
@given(sixteen, sixteen, sixteen)
def test_one_share_alone_fits_every_secret(share: bytes, partner: bytes, other: bytes) -> None:
    """With one share fixed, different partners make different secrets: as many as there are, so it excludes none."""
    made, else_made = (Shamir.combine([(1, share), (2, each)]) for each in (partner, other))
    assert (made == else_made) == (partner == other)


def test_a_known_pair_makes_a_known_secret() -> None:
    """Shares that were printed once open for ever: a vector, so that no later library reads them otherwise."""
    shares = [Secret(text.encode()) for text in VECTOR[1]]
    assert all(combine(pair).reveal() == VECTOR[0] for pair in combinations(shares, 2))


def test_a_mistyped_share_is_noticed() -> None:
    """Each single sign of a share, changed, is refused; lower case and spaces around it are not."""
    first, second, _ = split(new_secret())
    text = first.reveal().decode()
    for place, sign in enumerate(text):
        wrong = text[:place] + ("B" if sign == "A" else "A") + text[place + 1 :]
        with pytest.raises(Refused, match="R_SHARES"):
            combine([Secret(wrong.encode()), second])
    assert combine([Secret(f" {text.lower()}\n".encode()), second]) == combine([first, second])


def test_what_are_not_two_different_shares_is_refused() -> None:
    """One, three, the same twice, nothing, and no text."""
    first, second, third = split(new_secret())
    for wrong in (
        [],
        [first],
        [first, second, third],
        [first, first],
        [first, Secret(b"")],
        [first, Secret(b"\xff-A")],
    ):
        with pytest.raises(Refused, match="R_SHARES"):
            combine(wrong)


def test_shares_of_two_ceremonies_make_neither_secret() -> None:
    """They are read, and what they make opens nothing."""
    one, other = new_secret(), new_secret()
    mixed = combine([split(one)[0], split(other)[1]])
    assert mixed not in (one, other)
