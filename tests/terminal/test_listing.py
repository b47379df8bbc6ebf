"""Listings as people read them at a terminal, and as programs do."""

import json

import pytest

from enclave.cli.session import show

ID = "b32af9e2-df9a-4aa4-81a0-78b8ed6dfc5a"
ROWS = [
    {"release_id": ID, "at": "2026-11-26T07:28:02.191883+00:00", "why": "a word and " * 20, "state": None},
    {"release_id": ID[::-1], "at": "2026-11-26T23:59:59+00:00", "why": "\x1b[31mred\u202e", "state": "approved"},
]


def test_no_id_and_no_time_is_folded(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """In a narrow terminal prose is folded, and an id stands whole in one line, so that it can be copied."""
    monkeypatch.setenv("COLUMNS", "40")
    show(["release_id", "at", "why", "state"], ROWS, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["release", "id", "at", "why", "state"]
    assert any(ID in line and "2026-11-26 07:28" in line for line in lines)
    assert any(ID[::-1] in line and "2026-11-26 23:59" in line and "approved" in line for line in lines)
    assert max(len(line) for line in lines) < 110


def test_what_could_steer_a_terminal_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters, also those that turn the writing around, come out as marks."""
    show(["why"], ROWS, as_json=False)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "red" in shown


def test_programs_get_what_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON holds the names and times unchanged."""
    show(["release_id", "at"], ROWS, as_json=True)
    assert json.loads(capsys.readouterr().out)[0] == {"release_id": ID, "at": ROWS[0]["at"]}
