"""G-code: how a line is split, and what its errors do."""

import pytest

SUBJECT = """
    def load_config(config):
        return Subject(config)

    class Subject:
        def __init__(self, config):
            self.printer = config.get_printer()
            self.gcode = self.printer.lookup_object("gcode")
            self.gcode.register_command("TRY", self.cmd_TRY, desc="Try something")

        def cmd_TRY(self, gcmd):
            %s
"""


@pytest.fixture
def tried(start):
    """Return a function that starts a printer whose command TRY runs *body*."""

    def tried(body):
        printer = start("[subject]\n", SUBJECT % body)
        assert printer.state == "ready", printer.state_message
        return printer

    return tried


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("TRY A=1 b=2", "{'A': '1', 'B': '2'}"),
        ('TRY A="two words"', "{'A': 'two words'}"),
        ("try a=Case", "{'A': 'Case'}"),
        ("TRY A=x=y", "{'A': 'x=y'}"),
        ("TRY A=1 ; a comment", "{'A': '1'}"),
        ("TRY", "{}"),
    ],
)
def test_extended_arguments_are_split_as_a_shell_splits_them(tried, line, answer):
    """Quotes hold words together, names are in upper case, values are as typed."""
    printer = tried("gcmd.respond_info(str(gcmd.get_command_parameters()))")

    assert printer.gcode(line) == [f"// {answer}"]


@pytest.mark.parametrize("line", ["TRY A=don't", "TRY no-equals"])
def test_a_line_with_an_open_quotation_is_malformed(tried, line):
    """An apostrophe opens a quotation, which nothing closes."""
    printer = tried("gcmd.respond_info('reached')")

    assert printer.gcode(line) == [f"!! Malformed command '{line}'"]
    assert printer.state == "ready"


@pytest.mark.parametrize(
    ("reader", "line", "answer"),
    [
        ('gcmd.get("A")', "TRY A=x", "// 'x'"),
        ('gcmd.get("A", None)', "TRY", "// None"),
        ('gcmd.get_int("A", minval=1)', "TRY A=3", "// 3"),
        ('gcmd.get_float("A")', "TRY A=1.5", "// 1.5"),
        ('gcmd.get("A")', "TRY", "!! 'TRY' lacks A"),
        ('gcmd.get_int("A")', "TRY A=1.5", "!! 'TRY A=1.5': A is not to be '1.5'"),
        ('gcmd.get_float("A", minval=1.0)', "TRY A=0", "must be 1.0 or more"),
        ('gcmd.get_float("A", maxval=1.0)', "TRY A=2", "must be 1.0 or less"),
        ('gcmd.get_float("A", above=1.0)', "TRY A=1", "must be above 1.0"),
        ('gcmd.get_float("A", below=1.0)', "TRY A=1", "must be below 1.0"),
    ],
)
def test_an_argument_is_read(tried, reader, line, answer):
    """The command gets its value, or an error that names the line and the argument."""
    printer = tried(f"gcmd.respond_info(repr({reader}))")

    assert printer.gcode(line)[0].endswith(answer)
    assert printer.state == "ready"


def test_an_error_that_a_command_raises_is_an_answer(tried):
    """gcmd.error does not stop the printer. Its second line is shown too."""
    printer = tried('raise gcmd.error("not today\\nbut tomorrow")')

    assert printer.gcode("TRY") == ["// not today", "// but tomorrow", "!! not today"]
    assert printer.state == "ready"


def test_any_other_exception_shuts_the_printer_down(tried):
    """This is so even for a ValueError that nobody expected."""
    printer = tried("raise ValueError")

    assert any("Internal error" in line for line in printer.gcode("TRY"))
    assert printer.state == "shutdown"


def test_a_script_inside_a_command_is_an_error(tried):
    """Klippy would wait for itself for ever. Here it is an error, and so a shutdown."""
    printer = tried('self.gcode.run_script("M114")')
    printer.gcode("TRY")

    assert printer.state == "shutdown"


def test_run_script_from_command_runs_inside_a_command(tried):
    printer = tried('self.gcode.run_script_from_command("ECHO\\nECHO")')

    assert printer.gcode("TRY") == ["// ECHO", "// ECHO"]


def test_an_error_inside_a_script_reaches_its_caller(tried):
    """The console shows it, and the caller gets the exception."""
    printer = tried('self.gcode.run_script_from_command("TRY_NOBODY\\nG1 X1")')
    lines = printer.gcode("TRY")

    assert lines[0] == '// Unknown command:"TRY_NOBODY"'
    assert lines[1].startswith("!! Axis x was not homed")
    # The second time is for the command itself.
    assert lines[2:] == lines[1:2]


def test_a_line_waits_for_the_line_before_it(start):
    """A line that is typed during a long command is carried out after it."""
    printer = start()
    printer.gcode("G4 P5000\nM400")
    assert printer.gcode("ECHO") == []

    printer.advance(10)
    assert printer.console[-2:] == ["// ECHO", "ok"]


def test_an_emergency_stop_does_not_wait(start):
    """M112 is carried out before the current line ends."""
    printer = start()
    printer.gcode("M109 S200")
    printer.gcode("M112")

    assert printer.state == "shutdown"
    assert "// Klipper state: Shutdown" in printer.console


def test_a_printer_in_shutdown_accepts_few_commands(start):
    """All others are refused with the reason of the shutdown."""
    printer = start()
    printer.emergency_stop()

    assert printer.gcode("G28") == ["!! Shutdown due to M112 command"]
    assert printer.gcode("STATUS") == ["!! Shutdown due to M112 command"]
    assert any("RESTART" in line for line in printer.gcode("HELP"))


def test_an_argument_selects_the_handler_of_a_mux_command(start):
    """An unknown value is refused with the known ones."""
    printer = start("[fan_generic one]\npin: P1\n[fan_generic two]\npin: P2\n")
    printer.gcode("SET_FAN_SPEED FAN=two SPEED=0.5", 1)

    assert printer.status("fan_generic two")["speed"] == 0.5
    assert printer.status("fan_generic one")["speed"] == 0.0
    assert "'one', 'two'" in printer.gcode("SET_FAN_SPEED FAN=three SPEED=1")[0]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("G1X10Y-2.5 F3000", {"G": "1", "X": "10", "Y": "-2.5", "F": "3000"}),
        ("N7 G1 E.8 ; text", {"G": "1", "E": ".8"}),
        ("g92 e0", {"G": "92", "E": "0"}),
    ],
)
def test_a_classic_line_has_letters_and_numbers(start, line, words):
    """It may have blanks, a line number and a comment."""
    gcode = start().lookup("gcode")

    assert gcode.parse(line, needs_ok=False).get_command_parameters() == words


@pytest.mark.parametrize("text", ["hello world", "5 apples", "it's ready"])
def test_the_text_of_m117_is_not_split(start, text):
    printer = start()

    assert printer.gcode(f"M117 {text}") == []
    assert printer.status("display_status")["message"] == text


def test_a_template_can_use_the_printer(start):
    """A gcode_macro knows its parameters and the status of objects.

    It becomes G-code.
    """
    printer = start(
        """
[gcode_macro HELLO]
gcode:
  {% for i in range(3) %}
    RESPOND MSG="{i} {params.NAME} {printer.toolhead.max_velocity}"
  {% endfor %}
[respond]
"""
    )

    assert printer.gcode("HELLO NAME=x") == [f"echo: {i} x 300.0" for i in range(3)]
