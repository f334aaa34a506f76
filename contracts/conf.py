"""What we chose: conf/<name>.toml read into a frozen dataclass, which names and types every setting."""

import hashlib
import tomllib
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

FOLDER = Path(__file__).resolve().parent.parent / "conf"

Form = TypeVar("Form")


class ConfError(ValueError):
    """A file under conf/ that does not fit the dataclass which reads it."""


def load(name: str, form: type[Form], *, folder: Path = FOLDER) -> Form:
    """The settings of conf/<name>.toml; a key unknown, missing or of another type is refused by name."""
    with (folder / f"{name}.toml").open("rb") as file:
        try:
            values = tomllib.load(file)
        except ValueError as error:
            raise ConfError(f"{name}.toml: {error}") from error
    return fill(form, values, f"{name}.toml")


def digest(name: str, *, folder: Path = FOLDER) -> str:
    """Short fingerprint of the file, logged with each model so that its settings can be told apart."""
    return hashlib.sha256((folder / f"{name}.toml").read_bytes()).hexdigest()[:12]


def fill(form: type[Form], values: dict[str, Any], place: str) -> Form:
    """The dataclass of these values, which stand at `place`; a field with a default may be left out."""
    assert is_dataclass(form), f"{form} reads no settings"
    hints = get_type_hints(form)
    names = {field.name for field in fields(form)}
    needed = {field.name for field in fields(form) if field.default is MISSING}
    if unknown := sorted(values.keys() - names):
        raise ConfError(f"{place}: unknown {', '.join(unknown)}")
    if missing := sorted(needed - values.keys()):
        raise ConfError(f"{place}: missing {', '.join(missing)}")
    read = {key: _value(hints[key], value, f"{place}: {key}") for key, value in values.items()}
    try:
        return form(**read)
    except ValueError as error:  # what the form itself says of its values
        raise ConfError(f"{place}: {error}") from error


def _value(kind: Any, value: Any, place: str) -> Any:
    if is_dataclass(kind) and isinstance(kind, type) and isinstance(value, dict):
        return fill(kind, value, place)
    if get_origin(kind) is tuple and isinstance(value, list):
        (item, _) = get_args(kind)  # tuple[item, ...]
        return tuple(_value(item, part, f"{place} {number}") for number, part in enumerate(value, 1))
    if get_origin(kind) is dict and isinstance(value, dict):
        (_, item) = get_args(kind)  # TOML's keys are strings
        return {key: _value(item, part, f"{place}.{key}") for key, part in value.items()}
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise ConfError(f"{place} is {value!r}, not one of {', '.join(map(repr, get_args(kind)))}")
        return value
    if kind is float and type(value) is int:
        return float(value)
    allowed = get_args(kind) if get_origin(kind) is UnionType else (kind,)
    if type(value) not in allowed:
        raise ConfError(f"{place} is {value!r}, not {getattr(kind, '__name__', kind)}")
    return value
