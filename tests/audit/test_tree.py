"""The Merkle tree agrees with RFC 6962, with pymerkle, and with the stand-alone verifier."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from enclave.audit import tree, verify
from enclave.audit.record import leaf_hash

# The leaves and roots that Certificate Transparency's own tests use.
CT_LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
CT_ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
LEAVES = [leaf_hash(f"line {number}".encode()) for number in range(40)]


@pytest.mark.parametrize(("size", "expected"), list(enumerate(CT_ROOTS, start=1)))
def test_roots_are_those_of_certificate_transparency(size: int, expected: str) -> None:
    """Roots over the published leaves are the published roots."""
    assert tree.root([leaf_hash(leaf) for leaf in CT_LEAVES[:size]]).hex() == expected


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    """An empty tree has the root that RFC 6962 gives it."""
    assert tree.root([]) == hashlib.sha256(b"").digest()


def test_roots_agree_with_pymerkle_and_with_the_verifier() -> None:
    """Three implementations by different hands give the same root at every size."""
    other = InmemoryTree(algorithm="sha256")
    alone = verify.roots_at(LEAVES, set(range(len(LEAVES) + 1)))
    for size in range(1, len(LEAVES) + 1):
        other.append_entry(f"line {size - 1}".encode())
        assert tree.root(LEAVES[:size]) == other.get_root() == alone[size]


def test_every_inclusion_proof_verifies_in_both_implementations() -> None:
    """Each leaf of each tree up to 40 leaves can be proven, and leads the verifier to the same root."""
    for size in range(1, len(LEAVES) + 1):
        root = tree.root(LEAVES[:size])
        for index in range(size):
            proof = tree.Tree(LEAVES[:size]).inclusion_proof(index)
            assert tree.verify_inclusion(LEAVES[index], index, size, proof, root)
            assert verify.root_from_inclusion(LEAVES[index], index, size, proof) == root


def test_every_consistency_proof_verifies_in_both_implementations() -> None:
    """Each older tree is shown to be the beginning of each newer one."""
    for size in range(1, len(LEAVES) + 1):
        root = tree.root(LEAVES[:size])
        for old in range(1, size + 1):
            old_root = tree.root(LEAVES[:old])
            proof = tree.Tree(LEAVES[:size]).consistency_proof(old)
            assert tree.verify_consistency(old, old_root, size, root, proof)
            assert verify.roots_from_consistency(old, size, proof, old_root) == (old_root, root)


def test_the_empty_tree_is_the_beginning_of_every_tree() -> None:
    """Size 0 needs no proof, and accepts none but its own root."""
    assert tree.verify_consistency(0, tree.EMPTY_ROOT, 3, tree.root(LEAVES[:3]), [])
    assert not tree.verify_consistency(0, LEAVES[0], 3, tree.root(LEAVES[:3]), [])


@pytest.mark.parametrize("index", [-1, 3])
def test_a_leaf_outside_the_tree_has_no_proof(index: int) -> None:
    """Asking for a proof of a leaf that is not there is a mistake of the caller."""
    with pytest.raises(IndexError):
        tree.Tree(LEAVES[:3]).inclusion_proof(index)
    assert not tree.verify_inclusion(LEAVES[0], index, 3, [], LEAVES[0])
    with pytest.raises(IndexError):
        tree.Tree(LEAVES[:3]).consistency_proof(index if index < 0 else 4)


@settings(deadline=None)
@given(st.data())
def test_a_changed_proof_proves_nothing(data: st.DataObject) -> None:
    """A proof with a flipped bit, a hash too many or too few, or another index or size is refused by both."""
    size = data.draw(st.integers(2, len(LEAVES)))
    index = data.draw(st.integers(0, size - 1))
    root = tree.root(LEAVES[:size])
    proof = tree.Tree(LEAVES[:size]).inclusion_proof(index)
    kind = data.draw(st.sampled_from(["flip", "cut", "more", "index"]))
    other_index = index
    if kind == "flip":
        place = data.draw(st.integers(0, len(proof) - 1))
        proof[place] = bytes([proof[place][0] ^ 1]) + proof[place][1:]
    elif kind == "cut":
        del proof[data.draw(st.integers(0, len(proof) - 1))]
    elif kind == "more":
        proof.insert(data.draw(st.integers(0, len(proof))), LEAVES[0])
    else:
        other_index = data.draw(st.integers(0, size - 1).filter(lambda other: other != index))
    assert not tree.verify_inclusion(LEAVES[index], other_index, size, proof, root)
    assert verify.root_from_inclusion(LEAVES[index], other_index, size, proof) != root


@settings(deadline=None)
@given(st.data())
def test_a_rewritten_beginning_has_no_consistency_proof(data: st.DataObject) -> None:
    """The proof of a rewritten tree never fits the older root, whatever is done to its hashes."""
    size = data.draw(st.integers(2, len(LEAVES)))
    old = data.draw(st.integers(1, size - 1))
    changed = data.draw(st.integers(0, old - 1))
    rewritten = [*LEAVES[:size]]
    rewritten[changed] = leaf_hash(b"rewritten")
    old_root, new_root = tree.root(LEAVES[:old]), tree.root(rewritten)
    for proof in (tree.Tree(rewritten).consistency_proof(old), tree.Tree(LEAVES[:size]).consistency_proof(old)):
        assert not tree.verify_consistency(old, old_root, size, new_root, proof)
        assert verify.roots_from_consistency(old, size, proof, old_root) != (old_root, new_root)
