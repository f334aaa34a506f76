"""A read that goes wrong, however it does, lets nobody wait."""

import asyncio

import pytest

from serving.reads import Reads, Unavailable


class Broken:
    """A Redis that answers with an error that nobody thought of, once, then as it should."""

    def __init__(self, error):
        self._error = error

    async def mget(self, names):
        await asyncio.sleep(0)
        if (error := self._error) is not None:
            self._error = None
            raise error
        return [b"value"] * len(names)


@pytest.mark.parametrize("error", [AttributeError("reader"), asyncio.CancelledError()])
async def test_an_unforeseen_error_is_each_waiting_request_s_and_the_next_is_answered(error):
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    reads = Reads(Broken(error))
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*(reads.get(b"ready", [b"key"]) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable] * 3
    async with asyncio.timeout(5):
        assert await reads.get(b"ready", [b"key"]) == [b"value"]
