"""An operator at a real browser: what they type, press and read, by the names that stand on the page."""

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.conf import settings
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, Response, expect

DESKTOP = (1280, 900)
PHONE = (390, 844)
# Chromium's own words for a page that answers 4xx: the test that asked for it knows.
_STATUS = re.compile(r"^Failed to load resource: the server responded with a status of 4\d\d")


@dataclass
class Operator:
    """One tab. What it said in the console, and whom it asked without need, is held against it."""

    page: Page
    base_url: str
    faults: list[str] = field(default_factory=list)
    _rows: dict[tuple[str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(10_000)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(f"script error: {error}"))
        self.page.on("request", self._request)
        self.page.on("response", self._response)
        self.page.on("dialog", lambda dialog: (self.faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))

    def sign_in(self, username: str, password: str) -> None:
        self.go("/admin/")
        self.page.fill("[name=username]", username)
        self.page.fill("[name=password]", password)
        self.page.get_by_role("button", name="Log in").click()
        expect(self.page.locator("h1")).not_to_have_count(0)

    def take_over(self, session: str) -> None:
        """Go on in the session of somebody who has signed in elsewhere."""
        self.page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": self.base_url}])
        self.go("/admin/")

    def go(self, path: str) -> None:
        """Open an address of the site, or an address that a link holds."""
        self.page.goto(path if path.startswith("http") else self.base_url + path)

    def open(self, title: str) -> None:
        """By the sidebar."""
        # An icon is a word in a font of icons: the title is what stands last.
        self.page.locator("#nav-sidebar-apps a", has_text=re.compile(rf"\b{re.escape(title)}\s*$")).click()
        self.page.wait_for_load_state()

    def field(self, name: str) -> Locator:
        return self.page.locator(f"[name='{name}']:visible")

    def fill(self, **values: str) -> None:
        """Type into fields by name, choose in those that offer choices. `__` in a name is a `-` in the page's."""
        for name, value in values.items():
            self.enter(name, value)

    def enter(self, name: str, value: str) -> None:
        """Type, or choose, in the field of that name."""
        found = self.page.locator(f"[name='{name}']")
        if found.first.evaluate("each => each.tagName") == "SELECT":
            self.choose(found, value)
        else:
            found.fill(value)
            found.blur()  # a code follows the name as soon as that is left

    def choose(self, select: Locator, text: str) -> None:
        """An option by its text: in a list of the browser's own, or in one that searches."""
        if "select2-hidden-accessible" not in (select.get_attribute("class") or ""):
            select.select_option(label=text)
            return
        select.locator("xpath=following-sibling::span[1]").locator(".select2-selection").click()
        search = self.page.locator(".select2-container--open .select2-search__field")
        if search.is_visible():
            search.fill(text)
        self.page.locator(".select2-results__option[aria-selected]", has_text=text).first.click()

    def add_row(self, prefix: str, **values: str) -> None:
        """Fill in the first empty row of a table of parts, or one that “Add another” adds."""
        filled = self._rows.setdefault((self.page.url, prefix), 0)
        total = self.page.locator(f"#id_{prefix}-TOTAL_FORMS")
        if filled == int(total.input_value()):
            self.page.locator(f"#{prefix}-group a", has_text="Add another").click()
            expect(total).to_have_value(str(filled + 1))
        for name, value in values.items():
            self.enter(f"{prefix}-{filled}-{name}", value)
        self._rows[self.page.url, prefix] = filled + 1

    def tick(self, label: str) -> None:
        self.page.get_by_label(label).check()

    def press(self, name: str) -> None:
        """A button, or a link, by what stands last on it: before it may stand an icon, a word in a font of icons."""
        named = self.page.locator("a, button", has_text=re.compile(rf"(^|\s){re.escape(name)}\s*$"))
        titled = self.page.locator(f"[title='{name}'], input[value='{name}']")
        named.or_(titled).locator("visible=true").first.click()
        self.page.wait_for_load_state()

    def save(self) -> None:
        self.press("Save")

    def sees(self, *texts: str) -> None:
        """Every text stands somewhere on the page."""
        for text in texts:
            expect(self.page.locator("body")).to_contain_text(text)

    def text(self) -> str:
        return self.page.locator("body").inner_text()

    def widths(self) -> tuple[int, int]:
        """(of what the page holds, of the window): the first is larger when the page has to be pushed sideways."""
        found = self.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        return found[0], found[1]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not _STATUS.match(message.text):
            self.faults.append(f"console: {message.text} ({self.page.url})")

    def _request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob") and address.netloc != urlsplit(self.base_url).netloc:
            self.faults.append(f"asked another host: {request.url}")

    def _response(self, response: Response) -> None:
        if response.status >= 500:
            self.faults.append(f"{response.status} from {response.url}")


def tab(browser: Browser, base_url: str, size: tuple[int, int] = DESKTOP) -> Operator:
    """A new tab without any cookies."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, locale="en-US", timezone_id="UTC")
    return Operator(page, base_url)
