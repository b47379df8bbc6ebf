"""The fault matrix is whole: each row from 16 to 46 has a test here that names it."""

import re
from pathlib import Path

ROWS = range(16, 47)


def test_every_row_has_its_test() -> None:
    """Each row of the matrix that concerns intake is a test whose name holds `row_NN`, in the file named for it."""
    found = {
        int(row): path.name
        for path in Path(__file__).parent.glob("test_rows_*.py")
        for row in re.findall(r"(?m)^def test_row_(\d\d)_", path.read_text(encoding="utf-8"))
    }

    assert sorted(found) == list(ROWS)
    for row, name in found.items():
        first, last = map(int, re.findall(r"\d\d", name))
        assert first <= row <= last
