"""Drafts at rest."""

from dataclasses import replace

import pytest

from enclave.crypto import age
from enclave.crypto.secret import Secret
from enclave.errors import Halt
from enclave.release.drafts import decode, encode, open_draft, seal_draft
from tests.release.example import receipt_draft, result_draft


def test_a_draft_comes_back_as_it_was() -> None:
    """Every field, and every byte of every file."""
    for draft in (result_draft(), receipt_draft(text=bytes(range(256)))):
        assert decode(encode(draft)) == draft
        assert encode(decode(encode(draft))) == encode(draft)


def test_seal_and_the_viewing_key_both_open_a_draft() -> None:
    """At rest it is readable to these two and to nobody else, and named by its ciphertext."""
    (seal, seal_public), (viewing, viewing_public), (other, _) = (age.new_identity() for _ in range(3))
    digest, ciphertext = seal_draft(result_draft(), [seal_public, viewing_public])
    assert len(digest) == 64
    assert open_draft(ciphertext, seal) == open_draft(ciphertext, viewing) == result_draft()
    with pytest.raises(Halt, match="H_DRAFT"):
        open_draft(ciphertext, other)
    assert b"alfa" not in ciphertext


@pytest.mark.parametrize("content", [b"", b"{}", b"null", b'{"kind": "receipt"}', encode(receipt_draft()) + b"x"])
def test_what_is_not_a_draft_halts(content: bytes) -> None:
    """A damaged draft is ours to look at, and the error tells none of it."""
    with pytest.raises(Halt, match="H_DRAFT") as halted:
        decode(content)
    assert halted.value.__cause__ is None


def test_an_unknown_key_or_kind_halts() -> None:
    """Drafts are closed: a newer or altered format is not guessed at."""
    with pytest.raises(Halt):
        decode(encode(receipt_draft()).replace(b'"kind":"receipt"', b'"kind":"letter"'))
    with pytest.raises(Halt):
        decode(encode(receipt_draft())[:-1] + b',"more":1}')


def test_an_altered_ciphertext_never_opens() -> None:
    """A flip anywhere, or a cut, halts."""
    identity, public = age.new_identity()
    _, ciphertext = seal_draft(receipt_draft(), [public])
    for place in range(0, len(ciphertext), 13):
        with pytest.raises(Halt):
            open_draft(ciphertext[:place] + bytes([ciphertext[place] ^ 1]) + ciphertext[place + 1 :], identity)
        with pytest.raises(Halt):
            open_draft(ciphertext[:place], identity)


def test_a_draft_and_a_secret_do_not_show_themselves() -> None:
    """Neither repr nor error of a draft holds its content."""
    draft = replace(receipt_draft(text=b"hemmelig"), recipient="alfa")
    assert "hemmelig" not in repr(draft)
    assert "hemmelig" not in repr(draft.files)
    assert "AGE" not in repr(Secret(b"AGE-SECRET-KEY-1"))
