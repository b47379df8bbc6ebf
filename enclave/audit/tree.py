"""The Merkle tree of RFC 6962 over the lines of the log: roots, proofs, and their verification (pure).

A leaf hash is `record.leaf_hash(line)`; an inner node is SHA-256(0x01 ‖ left ‖ right); the root of nothing is SHA-256
of nothing. Sizes count leaves; hashes are 32 bytes.
"""

import hashlib
from collections.abc import Sequence

EMPTY_ROOT = hashlib.sha256(b"").digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes, in order (RFC 6962 section 2.1)."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.add(leaf)
    return frontier.root()


class Frontier:
    """A tree that only grows: the roots of its complete subtrees, largest first, from which its root follows."""

    def __init__(self) -> None:
        self.size = 0
        self._subtrees: list[bytes] = []

    @classmethod
    def of(cls, size: int, subtrees: Sequence[bytes]) -> "Frontier":
        """The frontier of a tree of `size` leaves; it has as many complete subtrees as `size` has set bits."""
        if len(subtrees) != size.bit_count():
            raise ValueError("these are not the subtrees of a tree of that size")
        frontier = cls()
        frontier.size, frontier._subtrees = size, list(subtrees)
        return frontier

    @property
    def subtrees(self) -> tuple[bytes, ...]:
        """The roots of the complete subtrees, largest first."""
        return tuple(self._subtrees)

    def add(self, leaf: bytes) -> None:
        """Append one leaf hash; every set low bit of the old size is a subtree of equal height to merge with."""
        node, carried = leaf, self.size
        while carried & 1:
            node = _node(self._subtrees.pop(), node)
            carried >>= 1
        self._subtrees.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The root over all leaves so far."""
        if not self._subtrees:
            return EMPTY_ROOT
        node = self._subtrees[-1]
        for left in reversed(self._subtrees[:-1]):
            node = _node(left, node)
        return node


class Tree:
    """A tree of known leaf hashes that proofs are made from; the root of a subtree is worked out once."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._leaves = leaves
        self._roots: dict[tuple[int, int], bytes] = {}

    def inclusion_proof(self, index: int) -> list[bytes]:
        """The sibling hashes from leaf `index` up to below the root (RFC 6962 section 2.1.1)."""
        if not 0 <= index < len(self._leaves):
            raise IndexError("no such leaf")
        proof: list[bytes] = []
        low, high = 0, len(self._leaves)
        while high - low > 1:
            middle = low + _split(high - low)
            if index < middle:
                proof.append(self._root(middle, high))
                high = middle
            else:
                proof.append(self._root(low, middle))
                low = middle
        return proof[::-1]

    def consistency_proof(self, old_size: int) -> list[bytes]:
        """The hashes that show the tree of `old_size` leaves to be the beginning of this one (RFC 6962, 2.1.2)."""
        if not 0 <= old_size <= len(self._leaves):
            raise IndexError("no such size")
        if old_size in (0, len(self._leaves)):
            return []
        proof: list[bytes] = []
        low, high, old_root_is_known = 0, len(self._leaves), True
        while old_size != high:
            middle = low + _split(high - low)
            if old_size <= middle:
                proof.append(self._root(middle, high))
                high = middle
            else:
                proof.append(self._root(low, middle))
                low, old_root_is_known = middle, False
        if not old_root_is_known:
            proof.append(self._root(low, high))
        return proof[::-1]

    def _root(self, low: int, high: int) -> bytes:
        if high - low == 1:
            return self._leaves[low]
        if (low, high) not in self._roots:
            middle = low + _split(high - low)
            self._roots[low, high] = _node(self._root(low, middle), self._root(middle, high))
        return self._roots[low, high]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected_root: bytes) -> bool:
    """Whether `proof` shows the leaf at `index` of the tree of `size` leaves with this root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            node = _node(sibling, node)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            node = _node(node, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and node == expected_root


def verify_consistency(old_size: int, old_root: bytes, size: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that the older tree is the beginning of the newer one (RFC 9162, 2.1.4.2)."""
    if not 0 <= old_size <= size:
        return False
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    if old_size == size:
        return not proof and old_root == new_root
    complete = old_size & (old_size - 1) == 0  # a complete tree is its own first hash
    hashes = [old_root, *proof] if complete else list(proof)
    return bool(hashes) and _walk_consistency(old_size, size, hashes) == (old_root, new_root)


def _walk_consistency(old_size: int, size: int, hashes: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """The old and the new root that the hashes lead to, or None if they are too many or too few."""
    place, last = old_size - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old_node = new_node = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return None
        if place & 1 or place == last:
            old_node, new_node = _node(sibling, old_node), _node(sibling, new_node)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            new_node = _node(new_node, sibling)
        place, last = place >> 1, last >> 1
    return (old_node, new_node) if last == 0 else None


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
