"""The life of a printer: which events an extra gets, and when."""

import pytest

WITNESS = """
    COUNTS = {"imports": 0, "objects": 0}
    COUNTS["imports"] += 1
    EVENTS = []

    def load_config(config):
        return Subject(config)

    class Subject:
        def __init__(self, config):
            COUNTS["objects"] += 1
            self.counts, self.events = COUNTS, EVENTS
            printer = config.get_printer()
            for event in ("connect", "ready", "shutdown", "disconnect",
                          "firmware_restart"):
                printer.register_event_handler(
                    "klippy:" + event, lambda event=event: EVENTS.append(event)
                )
            printer.register_event_handler(
                "gcode:request_restart", lambda t: EVENTS.append("request_restart")
            )
"""

READY = """
    def load_config(config):
        return Subject(config)

    class Subject:
        def __init__(self, config):
            self.printer = config.get_printer()
            self.printer.register_event_handler("klippy:ready", self.ready)

        def ready(self):
            %s

        def get_status(self, eventtime):
            return %s
"""


def test_a_start_sends_connect_and_then_ready(start):
    """The state is ready at the second event."""
    printer = start("[subject]\n", WITNESS)

    assert printer.lookup("subject").events == ["connect", "ready"]
    assert printer.state == "ready"
    assert printer.printer.get_start_args()["start_reason"] == "startup"


@pytest.mark.parametrize(
    ("command", "events"),
    [
        ("RESTART", ["request_restart", "disconnect"]),
        ("FIRMWARE_RESTART", ["request_restart", "firmware_restart", "disconnect"]),
    ],
)
def test_a_restart_makes_the_objects_again_and_imports_no_module_again(
    start, command, events
):
    """The values of a module survive a restart, and the objects do not."""
    printer = start("[subject]\n", WITNESS)
    before = printer.lookup("subject")
    del before.events[:]
    printer.restart(command)

    after = printer.lookup("subject")
    assert after is not before
    assert after.events == [*events, "connect", "ready"]
    assert after.counts == {"imports": 1, "objects": 2}
    assert printer.printer.get_start_args()["start_reason"] == command.lower()


def test_an_exit_sends_disconnect(start):
    """The process would then end with status 0."""
    printer = start("[subject]\n", WITNESS)
    events = printer.lookup("subject").events
    printer.close()

    assert events == ["connect", "ready", "disconnect"]
    assert printer.exit_status == 0
    assert printer.state == "gone"


def test_an_emergency_stop_sends_disconnect_only_at_the_restart(start):
    """Until then it has only sent the event of the shutdown."""
    printer = start("[subject]\n", WITNESS)
    events = printer.lookup("subject").events
    printer.emergency_stop()
    assert events == ["connect", "ready", "shutdown"]

    printer.restart("FIRMWARE_RESTART")
    assert events[3:] == ["firmware_restart", "disconnect", "connect", "ready"]
    assert printer.state == "ready"


def test_a_killed_printer_sends_no_event(start):
    """Its reactor accepts no calls any more."""
    printer = start("[subject]\n", WITNESS)
    events = printer.lookup("subject").events
    reactor = printer.reactor
    printer.kill()

    assert events == ["connect", "ready"]
    with pytest.raises(TypeError):
        reactor.register_async_callback(lambda eventtime: None)


@pytest.mark.parametrize("fault", ["1 / 0", "self.printer.get_reactor().pause(1e9)"])
def test_a_fault_in_the_ready_event_shuts_the_printer_down(start, fault):
    """A fault is an exception or a pause. Nothing may pause there."""
    printer = start("[subject]\n", READY % (fault, "{}"))

    assert printer.state == "shutdown"


@pytest.mark.parametrize(
    "status",
    ["1 / 0", "None", "{'a': {1, 2}}", "self.printer.get_reactor().pause(1e9)"],
)
def test_an_invalid_status_shuts_the_printer_down(start, status):
    """It raises, is None, pauses, or has a value that JSON cannot hold."""
    printer = start("[subject]\n", READY % ("pass", status))
    assert printer.state == "ready"
    with pytest.raises(printer.printer.command_error):
        printer.status("subject")

    assert printer.state == "shutdown"


def test_an_exception_in_one_disconnect_handler_skips_the_rest(start):
    """Klippy does the same, so no extra can rely on this event."""
    printer = start("[subject]\n", READY % ("pass", "{}"))
    events = []
    printer.printer.register_event_handler("klippy:disconnect", lambda: 1 / 0)
    printer.printer.register_event_handler(
        "klippy:disconnect", lambda: events.append(1)
    )
    printer.close()

    assert events == []
