"""The walk of docs/BUYING.md from a registration to an invoice, as it stands there."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.commerce_core.conftest import SETTINGS

BUYING = Path(__file__).resolve().parents[2] / "docs" / "BUYING.md"


def test_the_walk_ends_with_an_invoice(core, shop_url, tmp_path):
    [script] = re.findall(r"^```sh\n(.*?)^```", BUYING.read_text(), flags=re.MULTILINE | re.DOTALL)
    address, _ = core
    variables = SETTINGS | {"CORE_URL": address, "DATABASE_URL": shop_url}
    (tmp_path / ".data").mkdir()
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in variables.items()]
    (tmp_path / ".data" / "stack.env").write_text("".join(lines))
    (tmp_path / ".venv").symlink_to(sys.prefix)
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    order, invoice = (json.loads(line) for line in done.stdout.splitlines()[-2:])
    assert [change["status"] for change in order["history"]] == ["placed", "paid"]
    assert order["total_minor"] == invoice["total_minor"] == 2 * 349
    assert (tmp_path / "invoice.pdf").read_bytes().startswith(b"%PDF")
