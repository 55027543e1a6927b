"""A headless Chromium for tests of pages: found, installed where that is allowed, or the reason why there is none."""

import os
import shutil
import subprocess
from contextlib import contextmanager
from functools import cache

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
INSTALL = ("apt-get update", "apt-get install --yes --no-install-recommends chromium")
INSTALL_SECONDS = 300


class Watched:
    """A page in the browser with everything it complained about and asked for.

    Attributes:
        page: playwright's page.
        errors: console errors, uncaught exceptions and dialogs.
        requests: URLs that are no data of the page itself.
    """

    def __init__(self, page):
        self.page, self.errors, self.requests = page, [], []
        page.on("console", lambda message: message.type in ("error", "warning") and self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", lambda dialog: (self.errors.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: request.url[:5] not in ("data:", "blob:") and self._asked(request.url))

    def _asked(self, url):
        self.requests.append(url)


@contextmanager
def chromium():
    """A running browser; skips the test with the reason where there is none."""
    path, reason = find_chromium()
    if path is None:
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Without its sandbox: tests run as root in containers, and open only pages that they wrote themselves.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"], timeout=120_000)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser, path, **options):
    """A file in a window of its own, ready to be used; `options` as for playwright's `new_context`."""
    context = browser.new_context(**({"viewport": {"width": 1360, "height": 900}} | options))
    context.set_default_timeout(60_000)
    watched = Watched(context.new_page())
    try:
        watched.page.goto(path.resolve().as_uri())
        watched.page.wait_for_selector("html[data-ready]")
        yield watched
    finally:
        context.close()


@cache
def find_chromium():
    """The browser's path and "", or None and the reason why there is none."""
    named = os.environ.get("CHROMIUM")
    if named:
        path = shutil.which(named)
        return path, "" if path else f"CHROMIUM={named} is no program"
    if (path := _installed()) is None and os.environ.get("CI") == "true" and os.geteuid() == 0:
        if failure := _install():
            return None, failure
        path = _installed()
    return path, "" if path else f"no browser: none of {', '.join(NAMES)} is installed; `apt-get install chromium`"


def _installed():
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def _install():
    """Why the installation failed, "" when it did not."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in INSTALL:
        try:
            subprocess.run(
                command.split(), env=environment, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=True
            )
        except subprocess.CalledProcessError as error:
            return f"no browser: `{command}` failed: {error.stderr.strip()[-300:]}"
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"no browser: `{command}` failed: {error}"
    return ""
