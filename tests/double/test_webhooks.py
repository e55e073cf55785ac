"""The API inside the process. tests/system uses it over a unix socket."""

import pytest

SUBJECT = """
    def load_config(config):
        return Subject(config)

    class Subject:
        def __init__(self, config):
            self.webhooks = config.get_printer().lookup_object("webhooks")
            self.webhooks.register_endpoint("subject/add", self.add)

        def add(self, web_request):
            total = web_request.get_int("a") + web_request.get_int("b", 1)
            web_request.send({"total": total})
"""


def test_an_endpoint_answers(start):
    """The reply has what the extra sends, with default values."""
    printer = start("[subject]\n", SUBJECT)

    assert printer.request("subject/add", {"a": 2}) == {"total": 3}


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("subject/add", {}),
        ("subject/add", {"a": "2"}),
        ("nobody/home", {}),
        ("gcode/script", {"script": "G1 X10"}),
    ],
)
def test_a_wrong_request_is_refused_and_harms_nothing(start, method, params):
    printer = start("[subject]\n", SUBJECT)
    with pytest.raises(printer.printer.command_error):
        printer.request(method, params)

    assert printer.state == "ready"


def test_an_endpoint_that_raises_shuts_the_printer_down(start):
    """Only command_error is a reply."""
    printer = start("[subject]\n", SUBJECT.replace("+ web", "/ 0 + web"))
    with pytest.raises(printer.printer.command_error):
        printer.request("subject/add", {"a": 2})

    assert printer.state == "shutdown"


def test_objects_can_be_listed_and_queried(start):
    """The list has all objects with a status. A query names their fields."""
    printer = start()

    assert "print_stats" in printer.request("objects/list")["objects"]
    status = printer.request(
        "objects/query", {"objects": {"toolhead": ["homed_axes"], "nobody": None}}
    )["status"]
    assert status == {"toolhead": {"homed_axes": ""}, "nobody": {}}
