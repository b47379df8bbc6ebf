"""How long a key may be used is known of every kind of key."""

from enclave.crypto.key_register import LIFETIMES
from enclave.crypto.keyring import Kind


def test_every_kind_of_key_has_a_lifetime() -> None:
    """A kind that is added without one would end `key list` by accident."""
    assert LIFETIMES.keys() == set(Kind)
