"""A real Chromium, and an operator who signs in with it.

Chromium is Debian's, or the one that CHROMIUM names; a test fails when there is none: `make test` installs it.
"""

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, sync_playwright

from catalog.models import Charge
from tests.browser.grid import Grid
from tests.browser.visiting import DESKTOP, Operator, tab
from tests.catalog import making

# As root there is no sandbox, and /dev/shm is small in containers. The browser asks nobody anything by itself.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
_tabs = pytest.StashKey[list[Operator]]()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for the tests of a file."""
    path = Path(os.environ.get("CHROMIUM") or "/usr/bin/chromium")
    if not path.exists():
        pytest.fail(
            f"There is no Chromium at {path}. `make test` installs it; CHROMIUM names another one.", pytrace=False
        )
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright keeps an event loop in this thread, which Django takes for a coroutine at work.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


def session_of(user: User) -> str:
    """What the cookie of somebody holds who has signed in."""
    client = Client()
    client.force_login(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what the browser showed when a test failed."""
    report = yield
    if report.when == "call" and report.failed:
        folder = item.config.rootpath / "test-results"
        folder.mkdir(exist_ok=True)
        for number, operator in enumerate(item.stash.get(_tabs, [])):
            operator.page.screenshot(path=folder / f"{item.name}-{number}.png", full_page=True)
    return report


@pytest.fixture
def signed_in(
    browser: Browser, transactional_db: None, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Operator]]:
    """Opens the admin at an address as an operator. What went wrong in the browser by the end fails the test."""
    tabs = request.node.stash[_tabs] = []

    def sign_in(base_url: str, size: tuple[int, int] = DESKTOP) -> Operator:
        operator = tab(browser, base_url, size)
        tabs.append(operator)
        operator.take_over(session_of(User.objects.create_superuser("dana")))
        return operator

    yield sign_in
    faults = [fault for operator in tabs for fault in operator.faults]
    for operator in tabs:
        operator.page.close()
    assert faults == []


@pytest.fixture
def operator(signed_in: Callable[..., Operator], live_server: Any) -> Operator:
    """Signed in to a site in this process: for what needs neither worker nor beat."""
    return signed_in(live_server.url)


@pytest.fixture
def charge(operator: Operator) -> Charge:
    return making.usage(making.draft(), making.tokens())


@pytest.fixture
def grid(operator: Operator, charge: Charge) -> Grid:
    return Grid(operator).open(charge)
