"""Debian's Chromium without a screen or a network, and every page that the demo leaves."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from enclave.registry.load import load
from enclave.report.codebook import codebook
from tests.demo.done import CLOSED, Done, walked

CHROMIUM = "/usr/bin/chromium"
QUIET = (
    *("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--no-first-run", "--disable-quic"),
)
SITE = ("index", *(f"resultater-{year}" for year in CLOSED), "nyheter", "koblinger", "bli-med")


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The demo, once for all tests of this folder and of `tests/demo`."""
    return walked(tmp_path_factory)


@pytest.fixture(scope="session")
def pages(done: Done, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every page by a short name."""
    folder = tmp_path_factory.mktemp("codebook")
    loaded = load(Path(__file__).parents[2] / "config" / "registries" / "kar")
    for file in codebook(loaded.definition, loaded.sha256):
        (folder / file.name).write_bytes(file.content)
    left = {
        name: done.folder / done.summary["files"][name] for name in ("report", "status", "letter", "linkage_report")
    }
    first = done.folder / "institutions" / "nkarr" / "opened" / f"bundles-{CLOSED[0]}" / "rapport.html"
    site = {f"site-{name}": done.folder / "site" / f"{name}.html" for name in SITE}
    guide = done.folder / done.summary["files"]["kit"] / "veiledning.html"
    return {**left, "smallest-report": first, "guide": guide, "codebook": folder / "kodebok.html", **site}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests of a file; two that are driven at once in one process stand in each other's way."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()
