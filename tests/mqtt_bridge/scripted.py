"""A scripted printer: it follows the contract at a real broker, and no more."""

from __future__ import annotations

import threading
from collections.abc import Callable

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from mqtt_bridge import contract
from mqtt_bridge.contract import Command, Event, Result, Topic
from tests.fakes.clients import end
from tests.mqtt_bridge import messages as m


class ScriptedPrinter:
    """Carries out commands as the contract says, or calls *answer* instead."""

    def __init__(
        self,
        port: int,
        slug: str = "voron",
        *states: contract.State,
        base: str = m.BASE,
    ) -> None:
        self.slug = slug
        self.base = base
        self.seq = 10
        self.states = {each.task: each for each in states or (m.state(),)}
        self.commands: list[Command] = []
        self.answer: Callable[[Command, str], None] = self.carry_out
        self._ready = threading.Event()
        self.client = paho.Client(CallbackAPIVersion.VERSION2)
        self.client.will_set(self.topic("availability"), b"offline", 1, retain=True)
        self.client.on_connect = self._connected
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.on_message = self._received
        self.client.reconnect_delay_set(1, 1)
        self._port = port

    def __enter__(self) -> ScriptedPrinter:
        self.client.connect("127.0.0.1", self._port)
        self.client.loop_start()
        assert self._ready.wait(10), "no answer from the broker"
        return self

    def __exit__(self, *error: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Disconnect without a goodbye, so that the broker publishes the last will."""
        connection = self.client.socket()
        if connection is not None:
            connection.close()
        end(self.client)

    def topic(self, rest: str) -> str:
        return f"{self.base}/{self.slug}/{rest}"

    def say(self, rest: str, payload: bytes, retain: bool = True) -> None:
        self.client.publish(self.topic(rest), payload, qos=1, retain=retain)

    def say_everything(self) -> None:
        payloads = m.printer(self.slug, tuple(self.states.values()))
        for topic, payload in payloads.items():
            below = self.base + topic.removeprefix(m.BASE)
            self.client.publish(below, payload, qos=1, retain=True)

    def change(self, task: str = "rods", **fields: object) -> contract.State:
        self.seq += 1
        state = self.states[task]._replace(seq=self.seq, **fields)
        self.states[task] = state
        self.say(f"tasks/{task}", state.encode())
        return state

    def happen(self, event: str, task: str = "rods", **fields: str) -> None:
        self.seq += 1
        happened = Event(
            self.seq, 1000.0, task, event, self.states[task].label, **fields
        )
        self.say("events", happened.encode(), retain=False)

    def carry_out(self, command: Command, task: str) -> None:
        state = self.states[task]
        limit = state.deciding
        if command.command == "done":
            limit = m.limit(limit.meter, limit.unit, 0.0, limit.threshold)
            fields = {"limits": (limit,), "done_count": state.done_count + 1,
                      "last_by": command.by}  # fmt: skip
        elif command.command == "set" and command.threshold is not None:
            limit = limit._replace(threshold=command.threshold)
            fields = {"limits": (limit,)}
        elif command.command in ("enable", "disable"):
            fields = {"enabled": command.command == "enable"}
        elif command.command in ("fit", "remove"):
            fields = {"place": command.place or ""}
        else:
            self.refuse(command, task, contract.BAD_ARGUMENT, "not in the script")
            return
        self.result(Result(command.transaction, task, self.change(task, **fields).seq))

    def refuse(self, command: Command, task: str, code: str, text: str) -> None:
        self.result(Result(command.transaction, task, code=code, text=text))

    def result(self, result: Result) -> None:
        self.say("results", result.encode(), retain=False)

    def _connected(self, client, *_more) -> None:
        client.subscribe(self.topic("tasks/+/command"), 1)
        self.say_everything()

    def _received(self, _client, _data, message) -> None:
        if message.retain:
            # This is no command. amqtt sends retained messages that do not match.
            return
        command = Command.decode(message.payload)
        self.commands.append(command)
        task = Topic.parse(self.base, message.topic).task
        self.answer(command, task)
