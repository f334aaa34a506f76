"""`python -m benchmarks NAME`: only a benchmark that keeps promises can fail by what it found."""

import sys
from types import SimpleNamespace

import pytest

from benchmarks.__main__ import main


@pytest.mark.parametrize(("found", "code"), [({"next": 0.4}, 0), (None, 0), (0, 0), (1, 1)])
def test_what_a_benchmark_finds_is_no_error_unless_it_says_so(monkeypatch, found, code):
    monkeypatch.setitem(sys.modules, "benchmarks.serve", SimpleNamespace(main=lambda options: found))
    assert main(["serve"]) == code


@pytest.mark.parametrize(("words", "code"), [([], 2), (["--help"], 0), (["nothing"], 2)])
def test_who_does_not_know_is_told(words, code, capsys):
    assert main(words) == code
    assert "ingest|recommend|serve" in capsys.readouterr().err
