"""Every page as a reader meets it: at a desk and on a phone, without script or network, and for a screen reader."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route

from tests.browser.conftest import SITE

pytestmark = pytest.mark.timeout(1200)
NAMES = (
    *("report", "smallest-report", "status", "letter", "linkage_report", "guide", "codebook"),
    *(f"site-{name}" for name in SITE),
)
WIDTHS = {"desk": 1280, "phone": 390}
YEARS = [f"site-{name}" for name in SITE if name.startswith("resultater")]
FIGURES = {"report", "smallest-report", "status", *YEARS}
PAPER = "letter"
"""A sheet of A4 with passphrases, to be printed at the desk where it was made."""
LEAST_CONTRAST, LEAST_CONTRAST_OF_LARGE = 4.5, 3.0  # WCAG 2.2, AA

UNREADABLE = """
([least, leastOfLarge]) => {
  const parse = (text) => text.match(/[0-9.]+/g).map(Number);
  const part = (c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const over = (a, b, alpha) => a.map((value, at) => value * alpha + b[at] * (1 - alpha));
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || element.closest("svg") || !element.getClientRects().length) continue;
    const style = getComputedStyle(element), ground = behind(element);
    let opacity = 1;
    for (let at = element; at; at = at.parentElement) opacity *= Number(getComputedStyle(at).opacity);
    const [a, b] = [light(over(parse(style.color).slice(0, 3), ground, opacity)), light(ground)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? leastOfLarge : least)) found.push([element.textContent.trim().slice(0, 40), ratio]);
  }
  return found;
}
"""
UNNAMED = """
() => [...document.querySelectorAll("svg, img, nav, [role=region], [role=img]")]
  .filter((element) => !(element.getAttribute("aria-label") || (
    element.getAttribute("aria-labelledby") || "").split(" ").filter(Boolean).map(
      (id) => document.getElementById(id)?.textContent.trim() || "").join(" ").trim()))
  .map((element) => element.outerHTML.slice(0, 80))
"""
ACTIVE = """
() => [...document.querySelectorAll("script, iframe, object, embed, form, link, base")].map((e) => e.tagName).concat(
  [...document.querySelectorAll("*")].flatMap((one) => one.getAttributeNames().filter((name) => name.startsWith("on"))),
  [...document.querySelectorAll("[href], [src]")].map((one) => one.getAttribute("href") || one.getAttribute("src"))
    .filter((target) => /^[a-z]+:/i.test(target) || target.startsWith("//")))
"""
TOO_WIDE = """
() => [...document.querySelectorAll("body *")]
  .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
  .filter((one) => !one.closest(".scroll") && !one.closest("svg"))
  .map((one) => one.outerHTML.slice(0, 80))
"""


@dataclass
class Visited:
    """A page that was opened: what it complained of, and what it asked for besides itself."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@contextmanager
def visited(chromium: Browser, path: Path, width: int) -> Iterator[Visited]:
    """Open a page from disk in a window of its own; every other request is recorded and aborted."""
    context = chromium.new_context(viewport={"width": width, "height": 844}, locale="nb-NO")
    seen = Visited(context.new_page())

    def answer(route: Route) -> None:
        if route.request.url == path.as_uri():
            route.continue_()
        else:
            seen.asked.append(route.request.url)
            route.abort()

    context.route("**/*", answer)
    seen.page.on("console", lambda message: seen.complaints.append(message.text))
    seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    seen.page.goto(path.as_uri())
    yield seen
    context.close()


@pytest.mark.parametrize(
    ("name", "width"),
    [(name, width) for name in NAMES for at, width in WIDTHS.items() if (name, at) != (PAPER, "phone")],
)
def test_a_page_opens_without_complaint_script_or_network(
    chromium: Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    """Nothing in the console, nothing asked for, nothing that runs, no sideways scrolling, and all text readable."""
    with visited(chromium, pages[name], width) as seen:
        assert (seen.complaints, seen.asked) == ([], [])
        assert seen.page.evaluate(ACTIVE) == []
        assert seen.page.evaluate(TOO_WIDE) == []
        assert seen.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert seen.page.evaluate(UNREADABLE, [LEAST_CONTRAST, LEAST_CONTRAST_OF_LARGE]) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_screen_reader_is_told_what_everything_is(chromium: Browser, pages: dict[str, Path], name: str) -> None:
    """Language, title and one main heading; every figure and region has a name, and every table headings."""
    with visited(chromium, pages[name], WIDTHS["desk"]) as seen:
        page = seen.page
        assert page.locator("html").get_attribute("lang") in {"nb", "en"}
        assert page.title()
        assert page.locator("h1").count() == 1
        assert page.evaluate(UNNAMED) == []
        assert page.locator("table").count() == page.locator("table:has(th[scope=col])").count()
        figures = page.get_by_role("img").count()
        assert figures == page.locator("svg").count()
        assert (figures > 0) == (name in FIGURES)


def test_the_letter_is_one_sheet_of_paper(chromium: Browser, pages: dict[str, Path]) -> None:
    """Printed it is a single page, with nothing pushed to a second."""
    with visited(chromium, pages[PAPER], WIDTHS["desk"]) as seen:
        printed = seen.page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1


def test_the_pages_of_the_site_lead_to_each_other(chromium: Browser, pages: dict[str, Path]) -> None:
    """Every page links to all the others by name, and says which one it is."""
    there = {path.name for name, path in pages.items() if name.startswith("site-")}
    for name in SITE:
        with visited(chromium, pages[f"site-{name}"], WIDTHS["phone"]) as seen:
            links = seen.page.locator("nav a")
            assert {link.get_attribute("href") for link in links.all()} == there
            current = seen.page.locator("nav a[aria-current=page]")
            assert [link.get_attribute("href") for link in current.all()] == [f"{name}.html"]
