"""Every mistake in a definition stops the server before it starts, with file, key and remedy."""

import shutil
from pathlib import Path

import pytest

from enclave.disclosure import policy
from enclave.errors import Halt
from enclave.registry.definition import Disclosure
from enclave.registry.load import DefinitionHalt, load, load_source
from tests.registry.slips import ARRIVAL, REGISTRY, REPORTS, SLIPS, Slip

KAR = Path(__file__).parents[2] / "config" / "registries" / "kar"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of KAR's definition, to make mistakes in."""
    return Path(shutil.copytree(KAR, tmp_path / "kar"))


def _edit(folder: Path, file: str, old: str, new: str) -> None:
    text = (folder / file).read_text("utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1), "utf-8")


def _places(folder: Path) -> dict[str, str]:
    """The places of the mistakes, each with what is wrong; every one has a remedy."""
    with pytest.raises(DefinitionHalt) as halted:
        load(folder)
    assert halted.value.code == "H_DEFINITION"
    assert all(mistake.remedy for mistake in halted.value.mistakes)
    return {f"{mistake.file}: {mistake.key}": mistake.text for mistake in halted.value.mistakes}


@pytest.mark.parametrize("slip", SLIPS, ids=lambda slip: f"{slip.at}-{slip.says}".replace(" ", "_"))
def test_every_slip_is_told_with_file_key_and_remedy(folder: Path, slip: Slip) -> None:
    """Each mistake halts, naming the file and the key where it was made, what is wrong and what to do."""
    _edit(folder, slip.file, slip.old, slip.new)

    places = _places(folder)

    assert slip.at in places
    assert slip.says in places[slip.at]


def test_kar_loads() -> None:
    """The definition that ships has no mistake, and names its content by a digest that comments do not change."""
    loaded = load(KAR)

    assert loaded.definition.id == "kar"
    assert [form.id for form in loaded.definition.forms] == [
        "arrival",
        "discharge",
        "follow_up_6",
        "follow_up_12",
        "institution",
        "arr_course",
    ]
    assert loaded.definition.proposed


def test_a_definition_may_not_go_below_the_floors_of_disclosure_control() -> None:
    """The least that a definition may state is exactly what disclosure control has as its floors."""
    least = Disclosure()

    assert (least.minimum_count, least.minimum_denominator, least.minimum_institutions) == (
        policy.FLOOR_COUNT,
        policy.FLOOR_DENOMINATOR,
        policy.FLOOR_INSTITUTIONS,
    )


def test_comments_and_layout_do_not_change_the_digest(folder: Path) -> None:
    """Two writings of one definition have one digest; a changed label has another."""
    before = load(folder)
    _edit(folder, ARRIVAL, "[[variables]]", "# a comment\n\n[[variables]]")
    same = load(folder)
    _edit(folder, ARRIVAL, "Yrke", "Yrket")
    other = load(folder)

    assert (before.sha256, before.source) == (same.sha256, same.source)
    assert before.sha256 != other.sha256


def test_a_kept_source_gives_the_definition_back(folder: Path) -> None:
    """What is kept of an applied definition is enough to load it again, the same; what is cut halts."""
    loaded = load(folder)

    assert load_source(loaded.source) == loaded
    with pytest.raises(DefinitionHalt):
        load_source(loaded.source[:-1])
    with pytest.raises(DefinitionHalt):
        load_source(b"[]")


def test_all_mistakes_are_told_at_once(folder: Path) -> None:
    """Three mistakes in three files are three lines, and the error itself names the first."""
    _edit(folder, REGISTRY, 'period_form = "arrival"', 'period_form = "start"')
    _edit(folder, ARRIVAL, "maximum = 10", "maximum = -1")
    _edit(folder, REPORTS, 'loan = "nav"', 'loan = "ssb"')

    with pytest.raises(Halt) as halted:
        load(folder)

    assert isinstance(halted.value, DefinitionHalt)
    assert halted.value.exit_code == 4
    assert halted.value.place == "registry.toml: period_form"
    assert [str(mistake) for mistake in halted.value.mistakes] == [
        "registry.toml: period_form names no form; name one of `forms`",
        "forms/arrival.toml: variables.work_ability.maximum is below minimum; exchange them, or mend one",
        "reports.toml: tables.benefits_by_month.loan names no loan; name one of [[loans]]",
    ]


def test_a_missing_folder_is_a_mistake_of_its_file(tmp_path: Path) -> None:
    """Where there is no definition, the file that is missing is named."""
    assert _places(tmp_path) == {"registry.toml: ": "is missing"}


def test_a_file_that_is_not_utf_8_is_told(folder: Path) -> None:
    """A file in another encoding is refused, not guessed at."""
    (folder / ARRIVAL).write_bytes((folder / ARRIVAL).read_text("utf-8").encode("latin-1", "replace"))

    assert _places(folder) == {f"{ARRIVAL}: ": "is not UTF-8"}


def test_a_linked_file_is_not_followed(folder: Path, tmp_path: Path) -> None:
    """A definition is read from regular files only."""
    (folder / REPORTS).rename(tmp_path / "elsewhere.toml")
    (folder / REPORTS).symlink_to(tmp_path / "elsewhere.toml")

    assert _places(folder) == {f"{REPORTS}: ": "cannot be opened"}
