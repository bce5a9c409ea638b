"""What docs/catalogue.md shows is run as it stands there, against a real server and a real shell."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from billing_site.foundation.api_keys import create_key
from catalog.documents import exporting
from catalog.documents import plan as documents
from catalog.models import PlanVersion
from tests.processes import database_url

TEXT = (Path(settings.BASE_DIR) / "docs/catalogue.md").read_text(encoding="utf-8")
[DOCUMENT] = [json.loads(each) for each in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]
[SHELL] = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
pytestmark = pytest.mark.django_db(transaction=True)


def test_a_plan_is_made_published_and_dearer(
    live_server: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TALLYBOOK_ADDRESS", live_server.url)
    monkeypatch.setenv("TALLYBOOK_KEY", create_key("catalogue", ["read", "write", "publish"])[1])
    names: dict[str, Any] = {}
    exec("\n".join(PYTHON), names)  # noqa: S102

    assert names["bring"](DOCUMENT)["did"] == "created"
    first = PlanVersion.objects.get()
    assert (first.status, exporting.content(first)) == ("published", documents.from_json(DOCUMENT).version)
    assert names["bring"](DOCUMENT)["did"] == "unchanged"

    answer = names["change_price"]("chatbot", "tokens", [{"unit_price": "0.000003"}])
    first_change, *gone = answer["changes"]
    assert first_change.startswith("“Tokens”: everything (*) changes from graduated, in USD: up to 1,000,000 token")
    assert first_change.endswith(" to 3 USD per 1,000,000 token.")
    assert gone == [
        "“Tokens”: the row model = large, token_type = output at 30 USD per 1,000,000 token is gone.",
        "“Tokens”: the row model = large at 10 USD per 1,000,000 token is gone.",
    ]
    assert names["newest"]("chatbot") == 2

    wrong = {**DOCUMENT, "currency": "EUX", "charges": {"base": {**DOCUMENT["charges"]["base"], "amount": "1.001"}}}
    with pytest.raises(SystemExit) as error:
        names["bring"](wrong)
    assert [line.partition(":")[0] for line in str(error.value).splitlines()] == ["currency", "charges.base.amount"]
    assert capsys.readouterr().out == ""


def test_a_catalogue_lives_in_git(tmp_path: Path) -> None:
    (tmp_path / "manage.py").symlink_to(Path(settings.BASE_DIR) / "manage.py")
    (tmp_path / "catalogue").mkdir()
    (tmp_path / "catalogue" / "chatbot.json").write_text(json.dumps(DOCUMENT), encoding="utf-8")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(settings.BASE_DIR),
        "PYTHONWARNINGS": "ignore",
        "DATABASE_URL": database_url(),
    }

    def run(line: str) -> str:
        done = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    export, diff, dry, publish = SHELL.strip().splitlines()
    run("git init -q . && git add catalogue && git -c user.name=a -c user.email=a@b.test commit -qm x")
    assert "would be brought in" in run(dry)
    assert not PlanVersion.objects.exists()
    assert "published now: created" in run(publish)
    assert "version 1, published" in run(export)
    assert '+  "consumption": "metered",' in run(diff)
    assert "chatbot version 1, published: unchanged" in run(publish)
