from dataclasses import dataclass
from typing import Literal

import pytest

from contracts.conf import ConfError, digest, load


@dataclass(frozen=True)
class Window:
    days: int
    weight: float


@dataclass(frozen=True)
class Form:
    name: str
    window: Window
    grid: tuple[float, ...]
    shares: dict[str, float]
    engine: Literal["one", "many"]
    note: str | None = None

    def __post_init__(self):
        if self.name == "never":
            raise ValueError("name is never")


GOOD = """
name = "weekly"
grid = [0, 0.5]
window = {days = 7, weight = 1}
shares = {web = 0.5}
engine = "one"
"""


def read(tmp_path, text):
    (tmp_path / "some.toml").write_text(text)
    return load("some", Form, folder=tmp_path)


def test_a_file_becomes_the_dataclass_that_names_its_keys(tmp_path):
    assert read(tmp_path, GOOD) == Form("weekly", Window(7, 1.0), (0.0, 0.5), {"web": 0.5}, "one")
    assert read(tmp_path, f'note = "short"\n{GOOD}').note == "short"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("name =", "nmae ="), "some.toml: unknown nmae"),
        (('name = "weekly"', ""), "some.toml: missing name"),
        (("days = 7", "days = 7.5"), "window: days is 7.5, not int"),
        (("days = 7", "days = true"), "window: days is True, not int"),
        (("days = 7,", "days = 7, hours = 1,"), "window: unknown hours"),
        (('"one"', '"none"'), "engine is 'none', not one of 'one', 'many'"),
        (("0.5]", '"half"]'), "grid 2 is 'half', not float"),
        (("web = 0.5", 'web = "x"'), "shares.web is 'x', not float"),
        (("grid = [0, 0.5]", "grid = [0"), "some.toml: .*at line"),
        (("weekly", "never"), "some.toml: name is never"),
        (('name = "weekly"', 'name = "weekly"\nnote = 7'), "note is 7, not"),
    ],
)
def test_a_setting_that_nobody_reads_or_understands_is_refused_by_name(tmp_path, change, complaint):
    with pytest.raises(ConfError, match=complaint):
        read(tmp_path, GOOD.replace(*change))


def test_the_digest_changes_with_the_file(tmp_path):
    read(tmp_path, GOOD)
    before = digest("some", folder=tmp_path)
    read(tmp_path, GOOD.replace("weekly", "daily"))
    assert digest("some", folder=tmp_path) != before
