"""The linkage report as the data processor reads it: every count, rate and difference, by group. Static HTML."""

from collections.abc import Mapping, Sequence
from typing import Any

from enclave.report.status import Block

TITLES = {
    "institution": "By institution",
    "year": "By year of the first course",
    "sex": "By sex, as the number tells it",
    "age_band": "By age when the first course began",
    "id_kind": "By kind of number",
}
LARGE = 0.1
"""A standardised difference above which linked and unlinked people are no longer alike."""
COUNTS = (
    ("loan_rows", "rows in the loan file"),
    ("duplicate_rows", "rows that repeat another, counted once"),
    ("rows_without_id", "rows without a number"),
    ("dropped_columns", "columns that were not agreed, dropped at the door"),
    ("loan_persons", "different numbers"),
    ("invalid_ids", "of these invalid"),
    ("conflicting_ids", "of these with another birth date or sex"),
    ("unknown_ids", "of these nobody who may be linked"),
)


def linkage_facts(report: Mapping[str, Any]) -> dict[str, str]:
    """What stands large on top."""
    return {
        "of the registry's people were linked": _percent(report["linked_persons"], report["registry_persons"]),
        "people in the registry": str(report["registry_persons"]),
        "linked": str(report["linked_persons"]),
    }


def linkage_blocks(
    report: Mapping[str, Any], derived: Sequence[tuple[str, ...]], agreement: Mapping[str, str]
) -> list[Block]:
    """Every block of the page. `derived`: table, period, state, definition, content digest, loan file digest."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for one in report["strata"]:
        groups.setdefault(one["characteristic"], []).append(one)
    return [
        Block("The loan", ("what", "agreed"), tuple(agreement.items())),
        Block("The file", ("what", "how many"), tuple((words, str(report[name])) for name, words in COUNTS)),
        Block(
            "Linked people by the pass that found them",
            ("pass", "people"),
            tuple((str(name).replace("_", " "), str(number)) for name, number in report["passes"]),
        ),
        *(_group(TITLES[name], rows) for name, rows in groups.items()),
        Block(
            "Mean age, linked against unlinked",
            ("standardised difference", ""),
            ((_difference(report["mean_age_difference"]), _verdict(report["mean_age_difference"])),),
        ),
        *([_probabilistic(report["probabilistic"])] if report.get("probabilistic") else []),
        Block(
            "What was made of it, and outlives it (aggregates only)",
            ("table", "period", "state", "definition", "content", "loan file"),
            tuple(derived),
        ),
    ]


def _group(title: str, rows: Sequence[Mapping[str, Any]]) -> Block:
    return Block(
        f"{title} (not rounded: for the data processor only)",
        ("group", "people", "linked", "link rate", "standardised difference", ""),
        tuple(
            (
                str(one["group"]),
                str(one["persons"]),
                str(one["linked"]),
                _percent(one["linked"], one["persons"]),
                _difference(one["difference"]),
                _verdict(one["difference"]),
            )
            for one in rows
        ),
    )


def _probabilistic(quality: Mapping[str, Any]) -> Block:
    lines = (
        ("model", f"{quality['model_version']} ({quality['model_sha256'][:16]})"),
        ("links from", f"{quality['accept_above']}"),
        ("for a person from", f"{quality['review_above']}"),
        ("people in rows without a usable number", str(quality["records"])),
        ("pairs compared", str(quality["candidate_pairs"])),
        ("links", str(quality["accepted"])),
        *_false_links(quality),
        ("tried on people whose number was hidden", str(quality["sample"])),
        ("found right, found wrong", f"{quality['found_right']}, {quality['found_wrong']}"),
        ("tried on people taken out of the registry", str(quality["strangers"])),
        ("of these alike enough to somebody else", str(quality["strangers_alike"])),
        *(
            (words, _interval(quality[name]))
            for name, words in (
                ("precision", "precision (95 % interval)"),
                ("recall", "recall (95 % interval)"),
                ("blocking_recall", "pairs that were compared at all (95 % interval)"),
            )
        ),
    )
    return Block("The probabilistic pass", ("what", "value"), lines)


def _false_links(quality: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """How many are expected by the trial; where there was none, by the model's own doubt, which counts far too few."""
    by_model = f"{quality['expected_false_by_model']:.1f}"
    expected = quality["expected_false"]
    if expected is None:
        return (("expected false links", f"{by_model}, by the model's own doubt only: it could not be tried"),)
    value, low, high = expected
    return (
        ("expected false links (95 % interval)", f"{value:.1f} ({low} to {high})"),
        ("by the model's own doubt", by_model),
    )


def _interval(value: Sequence[float] | None) -> str:
    return "–" if value is None else f"{value[0]:.4f} ({value[1]:.4f} to {value[2]:.4f})"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _difference(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}"


def _verdict(value: float | None) -> str:
    return "above 0.1: the linked differ" if value is not None and abs(value) > LARGE else ""
