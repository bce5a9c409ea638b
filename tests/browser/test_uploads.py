"""Uploads in a real browser: a file with a hostile name and content, on a desk and on a phone, by a real worker."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from billing_site.foundation import clock
from meters.models import Event
from tests.browser.visiting import DESKTOP, PHONE, Operator
from tests.processes import Processes

pytestmark = pytest.mark.browser

ATTACK = "<img src=x onerror=alert(1)>"
NAME = f"may {ATTACK} 'quoted' \u202egpj.csv.gz".replace("/", "")


def hostile_file(folder: Path, rows: int) -> Path:
    """Every tenth row has a bad time; names and cells try to be markup, right-to-left, formulas and very long."""
    now = clock.now().strftime("%Y-%m-%d %H:%M:%S.1234567")
    lines = [f'id,customer,TIMESTAMP,"{ATTACK}",{"long_" * 30},\u05e9\u05dd,tokens']
    for number in range(rows):
        time = "<b>soon</b>" if number % 10 == 5 else now
        lines.append(f'row-{number},acme,{time},"=HYPERLINK(""x"")",{"y" * 200},\u05e9\u05dc\u05d5\u05dd,{number}')
    path = folder / NAME
    path.write_bytes(gzip.compress("\r\n".join(lines).encode()))
    return path


def fits(operator: Operator) -> None:
    held, window = operator.widths()
    assert held <= window


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_hostile_file_is_checked_and_loaded(
    size: tuple[int, int], processes: Processes, signed_in: Callable[..., Operator], tmp_path: Path
) -> None:
    web = processes.web()
    processes.worker()
    operator = signed_in(web.base_url, size)
    operator.go("/admin/meters/upload/")
    operator.sees("are checked and loaded here")
    operator.go("/admin/meters/upload/add/")
    operator.page.set_input_files("input[type=file]", hostile_file(tmp_path, 2_500))
    fits(operator)
    operator.press("Upload")
    operator.sees("2,500 rows of CSV", ATTACK, "What the columns mean")
    fits(operator)

    assert operator.page.locator("[name=target-0]").input_value() == "reference"
    assert operator.page.locator("[name=target-6]").input_value() == "property"
    expect(operator.page.locator("[name=property-6]")).to_be_visible()
    operator.enter("target-4", "Left out")
    expect(operator.page.locator("[name=property-4]")).to_be_hidden()
    operator.press("Check")
    operator.sees("Every event needs a type")
    fits(operator)
    operator.enter("constant-type", "llm.request")
    operator.press("Check")
    expect(operator.page.locator("#found-check")).to_be_visible(timeout=30_000)
    operator.sees("2,250", "would be accepted", "250", "TIMESTAMP is “<b>soon</b>”: write it as", "The first 20 of 250")
    fits(operator)
    with operator.page.expect_download() as download:
        operator.page.get_by_text("All 250 as CSV").click()
    report = Path(download.value.path()).read_text("utf-8-sig").splitlines()
    assert (len(report), report[1].partition(",")[0]) == (251, "7")

    operator.press("Load 2,250 events")
    expect(operator.page.locator("#found-load")).to_be_visible(timeout=30_000)
    operator.sees("What became of it", "accepted, and counted")
    fits(operator)
    assert Event.objects.count() == 2_250
    operator.go("/admin/meters/upload/")
    operator.sees("Done", ATTACK)
    fits(operator)


def test_the_bar_moves_by_itself_and_an_upload_can_be_stopped(
    processes: Processes, signed_in: Callable[..., Operator], tmp_path: Path
) -> None:
    """No worker yet: the page waits for one, and follows it when it comes, without being loaded by hand."""
    web = processes.web()
    operator = signed_in(web.base_url)
    operator.go("/admin/meters/upload/add/")
    operator.page.set_input_files("input[type=file]", hostile_file(tmp_path, 20))
    operator.press("Upload")
    operator.enter("constant-type", "llm.request")
    operator.press("Check")
    operator.sees("Checking…", "0 of 20 rows", "Waiting for a worker.")
    operator.press("Stop")
    operator.sees("Stopped")
    operator.press("Go on")
    operator.sees("Checking…")
    processes.worker()
    expect(operator.page.locator("#found-check")).to_be_visible(timeout=30_000)
    operator.sees("would be accepted")


def test_a_file_that_cannot_be_read_is_told_at_the_field(operator: Operator, tmp_path: Path) -> None:
    path = tmp_path / "book.csv"
    path.write_bytes("a,b\n1,2\n".encode("utf-16"))
    operator.go("/admin/meters/upload/add/")
    operator.page.set_input_files("input[type=file]", path)
    operator.press("Upload")
    operator.sees("UTF-16, and UTF-8 is read: save it as “CSV UTF-8” and upload that.")
    operator.page.locator("[data-max-bytes]").evaluate("each => { each.dataset.maxBytes = 3 }")
    operator.page.set_input_files("input[type=file]", path)
    operator.sees("at most 3 are taken")
    expect(operator.page.get_by_role("button", name="Upload", exact=True)).to_be_disabled()
