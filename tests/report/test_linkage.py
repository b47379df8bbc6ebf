"""What the linkage report says of false links: the trial's figure where there was one, and else that there was none."""

from dataclasses import asdict, replace

from enclave.model.loan import Linkage, ProbabilisticQuality
from enclave.report.linkage import linkage_blocks

QUALITY = ProbabilisticQuality(
    model_version="1",
    model_sha256="0" * 64,
    accept_above=0.9,
    review_above=0.5,
    records=1000,
    candidate_pairs=5000,
    accepted=800,
    waiting_for_review=0,
    expected_false=(11.3, 5, 26),
    expected_false_by_model=2.6,
    sample=2000,
    found_right=1990,
    found_wrong=1,
    strangers=2000,
    strangers_alike=25,
    precision=(0.9995, 0.997, 1.0),
    recall=(0.995, 0.991, 0.997),
    blocking_recall=(0.999, 0.996, 1.0),
)
LINKAGE = Linkage("nav-1", 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, (), (), None, QUALITY)


def lines(linkage: Linkage) -> dict[str, str]:
    """The lines of the block about the probabilistic pass."""
    block = linkage_blocks(asdict(linkage), (), {})[-2]
    return {str(what): str(value) for what, value in block.rows}


def test_the_trials_figure_is_the_expectation_and_the_models_own_stands_below() -> None:
    """With its interval; nobody takes the model's doubt for it."""
    told = lines(LINKAGE)
    assert told["expected false links (95 % interval)"] == "11.3 (5 to 26)"
    assert told["by the model's own doubt"] == "2.6"
    assert told["of these alike enough to somebody else"] == "25"


def test_without_a_trial_the_models_own_doubt_says_what_it_is() -> None:
    """No interval, and the reason."""
    told = lines(replace(LINKAGE, probabilistic=replace(QUALITY, expected_false=None, sample=0, strangers=0)))
    assert told["expected false links"] == "2.6, by the model's own doubt only: it could not be tried"
    assert "by the model's own doubt" not in told
