"""Ports of the local stack: counted from one base, each settable by itself."""

import pytest
from pydantic import ValidationError

from shelfwise.settings import StackSettings


def test_ports_count_from_the_base(monkeypatch):
    monkeypatch.setenv("PORT_BASE", "9000")
    monkeypatch.setenv("REDIS_PORT", "7000")
    settings = StackSettings()
    ports = (settings.core_port, settings.serving_port, settings.mlflow_port, settings.redis_port)
    assert ports == (9000, 9001, 9002, 7000)


def test_two_servers_cannot_share_a_port(monkeypatch):
    monkeypatch.setenv("CORE_PORT", "8401")
    with pytest.raises(ValidationError, match="must differ"):
        StackSettings()


def test_settings_survive_the_way_through_the_environment(monkeypatch, tmp_path):
    settings = StackSettings(data_dir=tmp_path / "with a space", port_base=9000, service_token="s" * 20)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert StackSettings() == settings
