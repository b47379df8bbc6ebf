"""Which of an institution's three boxes a kind of release goes to."""

from enclave.airlock.port import Box
from enclave.model.draft import Kind

_BOXES = {Kind.RECEIPT: Box.RECEIPTS, Kind.FEEDBACK: Box.FEEDBACK}


def box_of(kind: Kind) -> Box:
    """Receipts and feedback have boxes of their own; everything else is a bundle."""
    return _BOXES.get(kind, Box.BUNDLES)
