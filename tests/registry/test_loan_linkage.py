"""What a definition may say about linking rows without a usable number; each mistake is told with its place."""

import json
import shutil
from pathlib import Path

import pytest

from enclave.founding import CONFIG
from enclave.registry.load import DefinitionHalt, load, load_source
from tests.jobs.test_loan_uncertain import DECLARED, MODEL


def written(folder: Path, *change: tuple[str, str], model: str | None = None) -> Path:
    """KAR with linkage without numbers declared, and changed."""
    shutil.copytree(CONFIG / "registries" / "kar", folder)
    declared = DECLARED
    for old, new in change:
        assert old in declared
        declared = declared.replace(old, new, 1)
    registry = folder / "registry.toml"
    text = registry.read_text(encoding="utf-8").replace("\n[[loans.variables]]\n", declared, 1)
    registry.write_text(text, encoding="utf-8")
    (folder / "nav.json").write_text(model or MODEL.read_text(encoding="utf-8"), encoding="utf-8")
    return folder


def test_the_model_is_a_part_of_the_definition_and_of_its_digest(tmp_path: Path) -> None:
    """What is kept and hashed holds the whole model: another model is another definition."""
    loaded = load(written(tmp_path / "one"))
    (loan,) = loaded.definition.loans
    assert loan.probabilistic is not None
    assert json.loads(loan.probabilistic.model)["link_type"] == "link_only"
    assert load_source(loaded.source).definition == loaded.definition
    other = load(written(tmp_path / "other", model=MODEL.read_text(encoding="utf-8").replace("0.97", "0.96")))
    assert other.sha256 != loaded.sha256


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("loans.nav.identifiers.birth_date.ours", ('ours = "birth_date"', 'ours = "arrival.nothing"')),
        ("loans.nav.identifiers.birth_date.ours", ('kind = "date"', 'kind = "text"')),
        ("loans.nav.identifiers.family_name.ours", ('ours = "arrival.occupation"', 'ours = "institution.year"')),
        ("loans.nav.identifiers.month", ('name = "place"', 'name = "month"')),
        ("loans.nav.keys.1", ('"place"]]', '"street"]]')),
        ("loans.nav.probabilistic.review_above", ("review_above = 0.2", "review_above = 0.95")),
        ("loans.probabilistic.model", ('"nav.json"', '"../nav.json"')),
        ("", ('"nav.json"', '"another.json"')),
    ],
)
def test_each_mistake_is_told_with_its_place(tmp_path: Path, key: str, change: tuple[str, str]) -> None:
    """An identifier that nothing of ours answers, a key or threshold that makes no sense, a model that is not there."""
    with pytest.raises(DefinitionHalt) as caught:
        load(written(tmp_path / "wrong", change))
    assert key in {one.key for one in caught.value.mistakes}


@pytest.mark.parametrize("model", ["{}", "[]", "no JSON", MODEL.read_text().replace("link_only", "dedupe_only")])
def test_what_is_no_trained_model_is_refused(tmp_path: Path, model: str) -> None:
    """Anything but two lists linked by comparisons and blocking rules."""
    with pytest.raises(DefinitionHalt) as caught:
        load(written(tmp_path / "wrong", model=model))
    assert {one.key for one in caught.value.mistakes} == {"loans.nav.probabilistic.model"}
