"""What a PDF of ours says, as a reader's "copy all" would have it."""

import re
import zlib

_STREAM = re.compile(rb"stream\r?\n(.*?)\r?\nendstream", re.DOTALL)
_SHOWN = re.compile(rb"\(((?:[^()\\]|\\.)*)\) Tj", re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_MAPPED = re.compile(rb"<([0-9A-F]+)> <([0-9A-F]+)>")
_MEANT = {b"r": b"\r", b"n": b"\n"}


def texts(pdf):
    """The pieces of text, in the order in which they are drawn."""
    streams = [_inflated(found) for found in _STREAM.findall(pdf)]
    letters = {}
    for stream in streams:
        if b"beginbfchar" in stream:
            for code, meaning in _MAPPED.findall(stream):
                letters[bytes.fromhex(code.decode())] = bytes.fromhex(meaning.decode()).decode("utf-16-be")
    shown = [_ESCAPED.sub(lambda one: _MEANT.get(one[1], one[1]), text) for s in streams for text in _SHOWN.findall(s)]
    if not letters:
        return [text.decode("latin-1") for text in shown]
    return ["".join(letters[text[at : at + 2]] for at in range(0, len(text), 2)) for text in shown]


def _inflated(stream):
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return stream
