"""A user's program as a strict type checker reads it. It is not run."""

from __future__ import annotations

import asyncio
from typing import Any, assert_type

import mktl_daemon as mktl
from mktl_daemon import aio

setpoint: mktl.Item[float] = mktl.get("kitchen.setpoint")
assert_type(setpoint.value, float)
assert_type(setpoint.get(refresh=True), float)
assert_type(setpoint.get(formatted=True), "str | None")
assert_type(setpoint.formatted, str)
door = mktl.get("kitchen", "door")
assert_type(door.value, Any)
assert_type(setpoint.set(180), None)
pending = setpoint.set(180, wait=False)
assert pending.wait(10) is not None
setpoint += 5
half = setpoint / 2
texts: list[Any] = [
    f"{setpoint:.1f}",
    float(setpoint),
    -setpoint,
    setpoint > 3,
    abs(half),
]


class Heater(mktl.Item[float]):
    concurrent = True

    def perform_get(self) -> float | None:
        return None

    def perform_set(self, new_value: float) -> None:
        if new_value > 300:
            raise ValueError("the heater ends at 300")


class Plain(mktl.Item):
    def validate(self, value: Any) -> Any:
        return value


class Oven(mktl.Daemon):
    def describe_items(self) -> dict[str, Any]:
        return {"setpoint": {"type": "numeric"}, "door": {"type": "boolean"}}

    def setup(self) -> None:
        self.add_item(Heater, "setpoint")
        self.add_item(Plain, "door").poll(1)
        self.add_performer("door", "get", lambda: False)

    def cleanup(self, *args: Any, **kwargs: Any) -> None:
        self.stop()


def on_value(item: mktl.Item, value: Any, time: float) -> None:
    texts.append((item.key, value, time))


def hear_all(key: str, value: Any, time: float) -> None:
    texts.append((key, value, time))


setpoint.register(on_value, prime=True)
mktl.subscribe("kitchen.", hear_all).close()
daemon = Oven("kitchen", "oven")
daemon.publish([("door", True, None), ("setpoint", 12.5, 1791000000.0)])


async def main() -> None:
    item = await aio.get("kitchen.setpoint", "")
    assert_type(await aio.read(setpoint), float)
    await aio.write(item, 180)
    async for value, time in aio.values(setpoint):
        assert_type(value, float)
        texts.append(time)


asyncio.run(main())
