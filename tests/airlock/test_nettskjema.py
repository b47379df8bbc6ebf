"""TSD's tree of submissions, read by descriptors and never written: what is seen, taken, or only counted."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from enclave.airlock.nettskjema import Submission, SubmissionTree, as_drop
from enclave.crypto import openpgp
from enclave.errors import Refused
from enclave.model.drop import SubmissionManifest

_, PUBLIC = openpgp.new_key("enclave test")
KEY = openpgp.key_id(PUBLIC)
SEALED = openpgp.seal(b"answers", PUBLIC)
FORM = "123456"
LIMIT = 4096


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with one form's folder."""
    (tmp_path / "tree" / KEY / FORM).mkdir(parents=True)
    return tmp_path / "tree"


@pytest.fixture(autouse=True)
def unwritten(root: Path) -> Iterator[None]:
    """Whatever a test looks at, nothing in the tree is changed by it."""
    yield
    assert not [path for path in root.rglob("*") if path.name.startswith((".taken", ".tmp"))]


def plant(root: Path, name: str, content: bytes = SEALED) -> Path:
    """A file in the folder of the form."""
    path = root / KEY / FORM / name
    path.write_bytes(content)
    return path


def pair(root: Path, number: int) -> None:
    """Both files of a submission."""
    plant(root, f"{number}.json.asc")
    plant(root, f"{number}.csv.asc")


def look(root: Path) -> tuple[list[int], dict[str, int]]:
    """The numbers of the submissions that are seen, and what is not taken."""
    found = SubmissionTree(root).look([KEY], {FORM}, LIMIT)
    return [one.number for one in found.submissions], dict(found.untaken)


def only(root: Path) -> Submission:
    """The one submission that is seen."""
    (submission,) = SubmissionTree(root).look([KEY], {FORM}, LIMIT).submissions
    return submission


def test_pairs_are_seen_in_the_order_of_their_numbers(root: Path) -> None:
    """9 comes before 10, as Nettskjema counts."""
    for number in (10, 9, 11):
        pair(root, number)

    assert look(root) == ([9, 10, 11], {})
    assert SubmissionTree(root).read(only_of(root, 9), LIMIT) == (SEALED, SEALED)


def only_of(root: Path, number: int) -> Submission:
    """The submission with this number."""
    return next(one for one in SubmissionTree(root).look([KEY], {FORM}, LIMIT).submissions if one.number == number)


def test_tsds_hidden_copy_is_nothing_to_us(root: Path) -> None:
    """`.tsd` and other hidden names are neither taken nor counted."""
    pair(root, 7)
    (root / ".tsd" / KEY / FORM).mkdir(parents=True)
    (root / ".tsd" / KEY / FORM / "8.json.asc").write_bytes(SEALED)
    plant(root, ".9.json.asc")
    plant(root, ".form-1.json.asc")

    assert look(root) == ([7], {})
    assert SubmissionTree(root).look([KEY], {FORM}, LIMIT).definitions == ()


def test_the_definitions_of_a_form_are_seen_in_the_order_of_their_names(root: Path) -> None:
    """Files that begin with `form` are what it asks, read as they were seen and only so; one in clear is nobody's."""
    plant(root, "form_123456_2.json.asc", b"second")
    plant(root, "form-1.json.asc")
    plant(root, "form_in_clear.json")
    tree = SubmissionTree(root)
    found = tree.look([KEY], {FORM}, LIMIT)

    assert [one.file for one in found.definitions] == ["form-1.json.asc", "form_123456_2.json.asc"]
    assert dict(found.untaken) == {"E_SUBMISSION_NAME": 1}
    assert [tree.read_definition(one, LIMIT) for one in found.definitions] == [SEALED, b"second"]
    plant(root, "form-1.json.asc", b"other")
    assert tree.read_definition(found.definitions[0], LIMIT) is None
    assert tree.look([KEY], set(), LIMIT).definitions == ()


@pytest.mark.parametrize("kind", ["link", "folder", "fifo", "large"])
def test_a_definition_that_cannot_be_taken_is_counted_and_has_no_facts(root: Path, tmp_path: Path, kind: str) -> None:
    """A link, a folder, a pipe, or more than the limit: never opened, and nothing can be said of the form."""
    path = root / KEY / FORM / "form_1.json.asc"
    make = {
        "link": lambda: path.symlink_to(tmp_path),
        "folder": path.mkdir,
        "fifo": lambda: os.mkfifo(path),
        "large": lambda: path.write_bytes(b"x" * (LIMIT + 1)),
    }
    make[kind]()
    found = SubmissionTree(root).look([KEY], {FORM}, LIMIT)

    assert [(one.file, one.facts) for one in found.definitions] == [("form_1.json.asc", "")]
    assert dict(found.untaken) == {"E_SUBMISSION_SIZE" if kind == "large" else "E_SUBMISSION_NAME": 1}


@pytest.mark.parametrize(
    "name", ["27830787-../../etc/passwd", "27830787-Åse Blåbær.pdf", "7_1.txt.asc", "7-a.json.asc", "7-\n.asc"]
)
def test_attachments_are_counted_and_never_opened(root: Path, name: str) -> None:
    """A name that begins with digits and goes on with - or _ is an attachment, whatever else stands in it."""
    pair(root, 7)
    os.mkfifo(root / KEY / FORM / name.replace("/", "∕"))  # opening it would hang

    assert look(root) == ([7], {"E_SUBMISSION_ATTACHMENT": 1})


@pytest.mark.parametrize("name", ["x.json.asc", "7.json", "7.xml.asc", "7.JSON.asc", "٧.json.asc", "7.json.asc\n"])
def test_other_names_are_counted(root: Path, name: str) -> None:
    """Nothing but NUMBER.json.asc and NUMBER.csv.asc is a part of a submission."""
    pair(root, 9)
    plant(root, name)

    assert look(root) == ([9], {"E_SUBMISSION_NAME": 1})


def test_a_number_written_in_two_ways_is_one_of_them_only(root: Path) -> None:
    """007 would be a second submission that no ledger can tell from 7: neither is taken."""
    pair(root, 7)
    plant(root, "007.json.asc")

    assert look(root) == ([], {"E_SUBMISSION_NAME": 1})


@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
def test_what_is_no_regular_file_is_counted_and_never_opened(root: Path, tmp_path: Path, kind: str) -> None:
    """A link to a file elsewhere, a folder, or a pipe under a submission's name keeps the submission out."""
    plant(root, "7.csv.asc")
    path = root / KEY / FORM / "7.json.asc"
    secret = tmp_path / "secret"
    secret.write_bytes(SEALED)
    {"link": lambda: path.symlink_to(secret), "folder": path.mkdir, "fifo": lambda: os.mkfifo(path)}[kind]()

    assert look(root) == ([], {"E_SUBMISSION_NAME": 1})


def test_a_link_that_comes_between_looking_and_reading_leads_nowhere(root: Path, tmp_path: Path) -> None:
    """The file is opened by name in an open folder, without following a link, and compared with what was seen."""
    pair(root, 7)
    seen = only(root)
    secret = tmp_path / "secret"
    secret.write_bytes(SEALED)
    path = root / KEY / FORM / "7.json.asc"
    path.unlink()
    path.symlink_to(secret)

    assert SubmissionTree(root).read(seen, LIMIT) is None


@pytest.mark.parametrize("place", [KEY, f"{KEY}/{FORM}"], ids=["of the key", "of a form"])
def test_a_folder_that_is_a_link_is_not_entered(root: Path, tmp_path: Path, place: str) -> None:
    """Neither the folder of the key nor that of a form may be a link."""
    elsewhere = tmp_path / "elsewhere"
    (root / place).rename(elsewhere)
    (root / place).symlink_to(elsewhere)
    (elsewhere / "7.json.asc" if place != KEY else elsewhere / FORM / "7.json.asc").write_bytes(SEALED)

    assert look(root) == ([], {"E_SUBMISSION_NAME": 1})


def test_another_keys_folder_and_an_unmapped_form_wait(root: Path) -> None:
    """What is encrypted to another key is counted as a folder, what is of an unmapped form by its files."""
    pair(root, 7)
    (root / "0123456789ABCDEF" / FORM).mkdir(parents=True)
    (root / KEY / "999").mkdir()
    (root / KEY / "999" / "1.json.asc").write_bytes(SEALED)
    (root / KEY / "999" / "2.json.asc").write_bytes(SEALED)

    assert look(root) == ([7], {"E_SUBMISSION_KEY": 1, "E_SUBMISSION_FORM": 2})


def test_a_file_above_the_limit_is_not_read(root: Path) -> None:
    """Its size is known before it is opened."""
    pair(root, 7)
    plant(root, "8.json.asc", b"x" * (LIMIT + 1))
    plant(root, "8.csv.asc")

    assert look(root) == ([7], {"E_SUBMISSION_SIZE": 1})


def test_one_folder_that_is_closed_does_not_hold_up_the_others(root: Path) -> None:
    """The forms after a bad one are looked at all the same."""
    pair(root, 7)
    (root / KEY / "1").symlink_to(root / KEY / FORM)
    found = SubmissionTree(root).look([KEY], {FORM, "1"}, LIMIT)

    assert ([one.number for one in found.submissions], found.untaken) == ([7], {"E_SUBMISSION_NAME": 1})


def test_80001_files_are_looked_through(root: Path) -> None:
    """40 000 pairs and a file more are seen, in order, without opening one."""
    with TemporaryDirectory(dir="/dev/shm") as memory:
        folder = Path(memory) / KEY / FORM
        folder.mkdir(parents=True)
        for number in range(40_001):
            (folder / f"{number}.json.asc").touch()
            if number:
                (folder / f"{number}.csv.asc").touch()

        assert look(Path(memory)) == (list(range(40_001)), {})


def test_half_of_a_pair_is_seen_as_that(root: Path) -> None:
    """One file alone is no pair yet."""
    plant(root, "7.json.asc")
    assert not only(root).is_pair
    plant(root, "7.csv.asc", b"")
    assert not only(root).is_pair
    plant(root, "7.csv.asc")
    assert only(root).is_pair


def test_a_file_that_changes_is_seen_to_have_changed(root: Path) -> None:
    """Size and time, to the nanosecond, are what is compared from run to run."""
    pair(root, 7)
    seen = only(root)
    os.utime(root / KEY / FORM / "7.csv.asc", ns=(1, 1))

    assert only(root).facts != seen.facts
    assert SubmissionTree(root).read(seen, LIMIT) is None


def test_a_tree_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A mount that is missing is no empty tree."""
    with pytest.raises(Refused, match="R_SUBMISSIONS_AWAY"):
        SubmissionTree(tmp_path / "missing").look([KEY], {FORM}, LIMIT)


def test_nothing_shows_a_submissions_number(root: Path) -> None:
    """A repr, as a traceback or a log would print it, holds neither number nor name."""
    pair(root, 27830787)
    seen = only(root)

    assert "27830787" not in repr(seen) + repr(SubmissionTree(root)) + repr(as_drop("u", "d", seen, b"", b""))


def test_a_submission_goes_to_quarantine_as_it_came(root: Path) -> None:
    """Both ciphertexts, told apart by a length, and what the names said; no signature."""
    pair(root, 7)
    drop = as_drop("u", "nettskjema", only(root), b"first", b"second")
    manifest = SubmissionManifest.model_validate_json(drop.manifest)

    assert (manifest.form, manifest.submission, drop.signature) == (FORM, 7, b"")
    assert (drop.payload[: manifest.json_size], drop.payload[manifest.json_size :]) == (b"first", b"second")


def test_reading_needs_no_right_to_write(root: Path) -> None:
    """The tree works without any right to write, as TSD grants it."""
    pair(root, 7)
    for path in (root / KEY / FORM, root / KEY, root):
        path.chmod(stat.S_IRUSR | stat.S_IXUSR)

    assert SubmissionTree(root).read(only(root), LIMIT) == (SEALED, SEALED)
    for path in (root, root / KEY, root / KEY / FORM):
        path.chmod(stat.S_IRWXU)
