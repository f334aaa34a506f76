"""A price book is read whole and of one version, or not at all."""

import pytest

from contracts import books, keys

SIZES = (books.PER_CHUNK, 5)


def made(tag):
    bodies = [bytes([tag]) * (books.RECORD_BYTES * size) for size in SIZES]
    meta = {"version": tag, "products": sum(SIZES), "digest": books.digest(bodies), "said": [["EUR", [], None]]}
    return meta, [keys.sealed(body) for body in bodies]


def test_what_was_written_is_read():
    meta, chunks = made(1)
    assert books.records(meta, chunks) == b"\1" * books.RECORD_BYTES * sum(SIZES)
    assert books.decode_meta(books.encode_meta(meta)) == {"format": books.FORMAT} | meta


def test_a_missing_part_is_told():
    meta, [first, last] = made(1)
    for chunks in ([first, None], [None, last], [first]):
        with pytest.raises(keys.Corrupt):
            books.records(meta, chunks)


@pytest.mark.parametrize("at", [0, 100, -1])
def test_a_damaged_part_is_told(at):
    meta, [first, last] = made(1)
    damaged = bytearray(last)
    damaged[at] ^= 1
    with pytest.raises(keys.Corrupt, match="checksum"):
        books.records(meta, [first, bytes(damaged)])


def test_a_part_of_another_version_is_told_though_it_is_whole_itself():
    meta, [first, _] = made(1)
    _, [_, other] = made(2)
    with pytest.raises(keys.Corrupt, match="this version"):
        books.records(meta, [first, other])


def test_a_meta_that_was_changed_or_has_another_format_is_told(monkeypatch):
    value = books.encode_meta(made(1)[0])
    with pytest.raises(keys.Corrupt):
        books.decode_meta(value.replace(b'"version": 1', b'"version": 2'))
    with pytest.raises(keys.Corrupt):
        books.decode_meta(b"")
    monkeypatch.setattr(books, "FORMAT", "0.0")
    with pytest.raises(keys.Corrupt, match="format"):
        books.decode_meta(value)


def test_a_name_is_the_number_and_the_instant_in_any_spelling():
    assert books.name(12, "2026-11-28T17:02:03.123456Z") == "12-20261128T170203123456"
    assert books.name(12, "2026-11-28T18:02:03.123456+01:00") == books.name(12, "2026-11-28T17:02:03.123456Z")
    assert books.name(12, "2026-11-28T17:02:03Z") != books.name(12, "2026-11-28T17:02:03.000001Z")
