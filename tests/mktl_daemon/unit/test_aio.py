"""Items in programs that use async."""

from __future__ import annotations

import asyncio

import pytest

import mktl_daemon as mktl
from mktl_daemon import aio, testing


class Slow(mktl.Item):
    async def perform_set(self, value):
        await asyncio.sleep(0)
        if value > 300:
            raise ValueError("the heater ends at 300")


class Oven(mktl.Daemon):
    def describe_items(self):
        return {"setpoint": {"type": "numeric", "initial": 20}}

    def setup(self):
        self.add_item(Slow, "setpoint")


@pytest.fixture
def oven():
    with testing.running(Oven, store="kitchen") as daemon:
        yield daemon


def test_an_item_can_be_read_set_and_followed(oven):
    async def main():
        setpoint = await aio.get("kitchen.setpoint")
        assert await aio.read(setpoint) == 20
        values = aio.values(setpoint)
        first = asyncio.ensure_future(anext(values))
        while not first.done():
            await aio.write(setpoint, 180)
            await aio.write(setpoint, 181)
            await asyncio.sleep(0)
        value, when = await first
        assert value in (180, 181)
        assert when > 0
        assert await aio.read(setpoint) == 181

    asyncio.run(main())


def test_perform_set_may_be_a_coroutine_whose_errors_reach_the_client(oven):
    item = mktl.get("kitchen.setpoint")
    item.set(200)
    assert item.value == 200
    with pytest.raises(mktl.RemoteError, match="the heater ends at 300"):
        item.set(400)
    assert item.value == 200
