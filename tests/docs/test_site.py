"""The documentation as a reader sees it: built, served on this machine, and opened in Chromium."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest

# Building the pages imports the package and draws a picture; a busy machine takes minutes.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

BROWSERS = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
)
SEEN = """() => ({
    broken: Array.from(document.images).filter(each => !each.naturalWidth).map(each => each.src),
    pictures: document.images.length,
    links: Array.from(document.querySelectorAll("a[href]")).map(each => each.href),
    ids: Array.from(document.querySelectorAll("[id]")).map(each => each.id),
    heading: (document.querySelector("h1") || {}).innerText || "",
})"""
REQUIRED = "NAPARI_ATOMSEG_BROWSER_REQUIRED"
"""Variable of the environment; the project's workflows on GitHub set it."""
PATIENCE = 60_000
"""Milliseconds."""


def missing(what: str) -> None:
    """Skip where a tool cannot be had, unless the environment says that it must be there."""
    if os.environ.get(REQUIRED):
        pytest.fail(what)
    pytest.skip(what)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def folder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    for name in ("material", "mkdocstrings"):
        if importlib.util.find_spec(name) is None:
            missing(f"{name} is not installed: pip install --group docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def home(folder: Path) -> Iterator[str]:
    """Address of the site."""
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless browser."""
    if importlib.util.find_spec("playwright") is None:
        missing("playwright is not installed: pip install --group docs")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tools:
        own = tools.chromium.executable_path
        path = next(filter(None, map(shutil.which, BROWSERS)), own if Path(own).exists() else None)
        if path is None:
            missing("no Chromium: install one by apt, or by `playwright install chromium`")
        as_root = getattr(os, "geteuid", lambda: 1)() == 0
        started = tools.chromium.launch(
            executable_path=path, args=["--no-sandbox"] if as_root else []
        )
        yield started
        started.close()


@pytest.fixture
def page(browser: Any, home: str) -> Iterator[Any]:
    """A tab that notes in `page.complaints` what goes wrong, and that only reaches the site."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.complaints = complaints = []

    def reach(route: Any) -> None:
        if route.request.url.startswith((home, "data:", "blob:")):
            route.continue_()
        else:
            complaints.append(f"asks another server: {route.request.url}")
            route.abort()

    page.route("**/*", reach)
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
    page.on(
        "console",
        lambda said: said.type == "error" and complaints.append(f"{page.url}: {said.text}"),
    )
    page.on(
        "response",
        lambda answer: answer.status >= 400 and complaints.append(f"{answer.status}: {answer.url}"),
    )
    yield page
    context.close()


def test_all_pages_load_and_every_link_and_picture_is_there(
    page: Any, home: str, folder: Path
) -> None:
    built = sorted(path.parent for path in folder.rglob("index.html"))
    addresses = [
        home + (f"{each.relative_to(folder).as_posix()}/" if each != folder else "")
        for each in built
    ]
    assert len(addresses) > 30
    seen = {}
    for address in addresses:
        page.goto(address, wait_until="load")
        # Pictures below the window are loaded when they come into sight.
        page.evaluate("document.querySelectorAll('img').forEach(each => each.loading = 'eager')")
        page.wait_for_function("Array.from(document.images).every(each => each.complete)")
        seen[address] = page.evaluate(SEEN)
        assert seen[address]["heading"], address
        assert seen[address]["broken"] == [], address
    assert sum(each["pictures"] for each in seen.values()) > 30
    lost = set()
    for address, content in seen.items():
        for link in content["links"]:
            target, anchor = urldefrag(link)
            if not target.startswith(home):
                continue
            path = folder / unquote(target.removeprefix(home))
            there = target in seen or path.is_file()
            if not there or (
                anchor and target in seen and unquote(anchor) not in seen[target]["ids"]
            ):
                lost.add(f"{address} -> {link}")
    assert lost == set()
    assert page.complaints == []


@pytest.mark.parametrize("word", ["polarization", "stem-hr", "Burgers"])
def test_a_word_is_found(page: Any, home: str, word: str) -> None:
    page.goto(home)
    page.locator(".md-search__input").press_sequentially(word)
    # Until the last letter is typed, results are those of a part of the word.
    results = page.locator(".md-search-result__item a", has_text=re.compile(word, re.IGNORECASE))
    results.first.wait_for()
    results.first.click()
    page.wait_for_url(lambda address: address != home, wait_until="domcontentloaded")
    page.locator("article", has_text=re.compile(word, re.IGNORECASE)).wait_for()
    assert page.complaints == []


def test_colours_can_be_turned_dark_and_stay_so(page: Any, home: str) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(home)
    body = page.locator("body")
    assert body.get_attribute("data-md-color-scheme") == "default"
    page.locator("form[data-md-component=palette] label:visible").click()
    page.wait_for_function("document.body.dataset.mdColorScheme === 'slate'")
    page.goto(home + "limits/")
    page.wait_for_function("document.body.dataset.mdColorScheme === 'slate'")
    assert page.complaints == []
