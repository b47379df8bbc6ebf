"""What a demo that was run has left."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.demo.oracle import Registry

INSTITUTIONS = ("air", "haugland", "hernes", "hysnes", "muritunet", "nkarr", "valnesfjord")


@dataclass(frozen=True)
class Done:
    """A demo that was run: its folder, what it printed, its summary, and what its registry must hold."""

    folder: Path
    printed: str
    summary: dict[str, Any]
    registry: Registry
    withdrawn: set[str]
