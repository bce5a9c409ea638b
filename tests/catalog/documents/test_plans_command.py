"""`manage.py plans export` and `plans import`: files in, files out, and what is said of them."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.documents import plan as documents
from catalog.documents.importing import bring
from catalog.models import Plan, PlanVersion
from catalog.versions.publishing import clone_version, create_plan, publish
from tests.catalog.plan_documents import chatbot

pytestmark = pytest.mark.django_db


def run(*arguments: Any) -> str:
    said = io.StringIO()
    call_command("plans", *map(str, arguments), stdout=said)
    return said.getvalue()


def refused(*arguments: Any) -> tuple[str, str]:
    """What was said, and the error at the end."""
    said = io.StringIO()
    with pytest.raises(CommandError) as error:
        call_command("plans", *map(str, arguments), stdout=said)
    return said.getvalue(), str(error.value)


def file(folder: Path, said: Any, name: str = "chatbot.json") -> Path:
    path = folder / name
    path.write_text(said if isinstance(said, str) else json.dumps(said), encoding="utf-8")
    return path


def brought(**changes: Any) -> PlanVersion:
    return bring(documents.from_json(chatbot(**changes))).version


def test_a_file_for_each_plan_that_is_the_same_when_nothing_changed(tmp_path: Path) -> None:
    publish(brought())
    brought(code="other", name="Ötherً")
    create_plan(code="empty", name="Without versions")
    folder = tmp_path / "catalogue" / "plans"
    assert run("export", "--to", folder) == (
        f"{folder}/chatbot.json: version 1, published\n{folder}/other.json: version 1, draft\n"
    )
    written = (folder / "other.json").read_text(encoding="utf-8")
    assert '"name": "Ötherً"' in written
    assert "as it was" in run("export", "other", "--to", folder)
    assert run("export", "other") == written
    done = run("import", folder / "chatbot.json", folder / "other.json")
    assert done.endswith("2 files brought in.\n")
    assert done.count(": unchanged\n") == 2


def test_which_version_is_written(tmp_path: Path) -> None:
    first = publish(brought())
    bring(documents.from_json(chatbot(interval="year")), into=clone_version(first))
    assert '"interval": "month"' in run("export", "chatbot")
    assert '"interval": "year"' in run("export", "chatbot", "--version", 2)
    assert '"meters": {' in run("export", "chatbot", "--with-definitions")
    run("export", "--every-version", "--to", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chatbot.v1.json", "chatbot.v2.json"]
    brought(code="other")
    for arguments, message in (
        (["nothing"], "There is no plan “nothing”."),
        (["chatbot", "--version", 9], "There is no version 9 of the plan “chatbot”."),
        (["--version", 1], "--version is of one plan: name it by its code."),
        ([], "Standard output takes one plan: name it by its code, or give a folder with --to."),
    ):
        assert refused("export", *arguments) == ("", message)


def test_what_came_of_a_file_is_said(tmp_path: Path) -> None:
    path = file(tmp_path, chatbot())
    assert run("import", path, "--dry-run") == (
        f"{path}: chatbot version 1, draft: created (nothing is changed: --dry-run)\n"
        "  The plan “Chatbot” (chatbot) is new.\n"
        "  The product “Chatbot API” (api) is new.\n"
        "  The meter “Tokens” (tokens) is new.\n"
        "1 file would be brought in.\n"
    )
    assert not Plan.objects.exists()
    assert "version 1, published now: created\n" in run("import", path, "--publish")
    said = chatbot()
    said["charges"]["base"]["amount"] = "25"
    said["charges"]["tokens"]["rows"] = [{"match": {"model": "large"}, "unit_price": "0.00003"}]
    file(tmp_path, said)
    told = run("import", path)
    assert "version 2, draft: created\n" in told
    assert "  “Base”: the fee changes from $20.00 to $25.00.\n" in told
    assert "  Worth a look: Charge “Tokens” has no row of only *" in told
    del said["charges"]["base"]["lists"]
    assert "  Before it can be published: charges.base.lists.EUR.amount: " in run("import", file(tmp_path, said))


def test_a_file_that_is_refused_leaves_the_others(tmp_path: Path) -> None:
    good, bad = file(tmp_path, chatbot()), file(tmp_path, chatbot(currency="EUX"), "bad.json")
    broken = file(tmp_path, '{"format": 1, "format": 1}', "broken.json")
    unread = file(tmp_path, {"format": 1, "code": "x"}, "unread.json")
    said, error = refused("import", bad, broken, unread, tmp_path / "nothing.json", good)
    assert error == "4 of 5 files were refused."
    assert f"{bad}: refused, and nothing was changed\n  currency: “EUX” is not a currency in use" in said
    assert f"{broken}: refused, and nothing was changed\n  It is not JSON: “format” stands twice in one object." in said
    assert "  name: A plan document needs “name”." in said
    assert "nothing.json: refused, and nothing was changed\n  It cannot be read: No such file or directory." in said
    assert list(Plan.objects.values_list("code", flat=True)) == ["chatbot"]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(chatbot())))
    assert "-: chatbot version 1, draft: created\n" in run("import", "-")


def test_much_is_cut_short(tmp_path: Path) -> None:
    said = chatbot()
    said["charges"]["tokens"]["rows"] = [{"unit_price": "-1", "match": {"model": str(each)}} for each in range(30)]
    assert "  … and 10 more\n" in refused("import", file(tmp_path, said))[0]


def test_many_plans_are_written_in_a_few_statements(tmp_path: Path) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            run("export", "--to", tmp_path, "--with-definitions")
        return len(captured)

    brought()
    few = statements()
    for number in range(4):
        brought(code=f"c{number}")
    assert statements() == few
