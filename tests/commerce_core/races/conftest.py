"""Shops as processes of their own, and crowds that buy from them. `make races` repeats each race many times."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest

from tests.commerce_core.conftest import SETTINGS

REPEATS = int(os.environ.get("RACE_REPEATS", "1"))


@pytest.fixture(scope="module")
def serve(shop_url, free_port, tmp_path_factory):
    """A function: the shop behind uvicorn, with these settings; its process and address."""

    @contextmanager
    def run(**settings):
        port, log = free_port(), tmp_path_factory.mktemp("shop") / "log"
        command = ["uvicorn", "--factory", "commerce_core.app:app", "--port", str(port), "--no-access-log"]
        env = os.environ | SETTINGS | {"DATABASE_URL": shop_url, "DB_POOL_SIZE": "16"} | settings
        with log.open("w") as sink:
            process = subprocess.Popen([sys.executable, "-m", *command], env=env, stdout=sink, stderr=subprocess.STDOUT)
        address = f"http://127.0.0.1:{port}"
        try:
            _until_ready(address, process, log)
            yield process, address
        finally:
            process.kill()
            process.wait(20)

    return run


def _until_ready(address, process, log):
    for _ in range(400):
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            if httpx.get(f"{address}/ready").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    pytest.fail(log.read_text()[-3000:])
