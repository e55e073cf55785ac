"""G-code: how a line is taken apart, and who answers for its errors."""

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
    """Start a printer whose command TRY does *body*."""

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
def test_extended_arguments_are_split_like_a_shell_s(tried, line, answer):
    """Quotes hold words together, names are upper case, values are as typed."""
    printer = tried("gcmd.respond_info(str(gcmd.get_command_parameters()))")

    assert printer.gcode(line) == [f"// {answer}"]


@pytest.mark.parametrize("line", ["TRY A=don't", "TRY no-equals"])
def test_a_line_that_cannot_be_split_is_malformed(tried, line):
    """An apostrophe opens a quotation that nothing closes."""
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
    """Its value, or an error that names the line and the argument."""
    printer = tried(f"gcmd.respond_info(repr({reader}))")

    assert printer.gcode(line)[0].endswith(answer)
    assert printer.state == "ready"


def test_a_command_s_own_error_is_an_answer(tried):
    """gcmd.error harms nothing; a second line of it is told too."""
    printer = tried('raise gcmd.error("not today\\nbut tomorrow")')

    assert printer.gcode("TRY") == ["// not today", "// but tomorrow", "!! not today"]
    assert printer.state == "ready"


def test_any_other_exception_shuts_the_printer_down(tried):
    """Even a ValueError that nobody thought of."""
    printer = tried("raise ValueError")

    assert any("Internal error" in line for line in printer.gcode("TRY"))
    assert printer.state == "shutdown"


def test_a_script_inside_a_command_would_wait_for_itself(tried):
    """Klippy hangs there for ever; here it is an error, and so a shutdown."""
    printer = tried('self.gcode.run_script("M114")')
    printer.gcode("TRY")

    assert printer.state == "shutdown"


def test_a_script_from_a_command_runs_inside_it(tried):
    """run_script_from_command is what Klippy has for that."""
    printer = tried('self.gcode.run_script_from_command("ECHO\\nECHO")')

    assert printer.gcode("TRY") == ["// ECHO", "// ECHO"]


def test_an_error_inside_a_script_reaches_who_ran_it(tried):
    """It is told on the console, and raised."""
    printer = tried('self.gcode.run_script_from_command("TRY_NOBODY\\nG1 X1")')
    said = printer.gcode("TRY")

    assert said[0] == '// Unknown command:"TRY_NOBODY"'
    assert said[1].startswith("!! Axis x was not homed")
    assert said[2:] == said[1:2]  # once inside, once for the command itself


def test_lines_wait_for_the_line_before(start):
    """A line that is typed while another takes its time is carried out after it."""
    printer = start()
    printer.gcode("G4 P5000\nM400")
    assert printer.gcode("ECHO") == []

    printer.advance(10)
    assert printer.console[-2:] == ["// ECHO", "ok"]


def test_an_emergency_stop_does_not_wait(start):
    """M112 comes before the line that is being carried out."""
    printer = start()
    printer.gcode("M109 S200")
    printer.gcode("M112")

    assert printer.state == "shutdown"
    assert "// Klipper state: Shutdown" in printer.console


def test_a_shut_down_printer_takes_few_commands(start):
    """The rest is refused with the reason of the shutdown."""
    printer = start()
    printer.emergency_stop()

    assert printer.gcode("G28") == ["!! Shutdown due to M112 command"]
    assert printer.gcode("STATUS") == ["!! Shutdown due to M112 command"]
    assert any("RESTART" in line for line in printer.gcode("HELP"))


def test_mux_commands_are_chosen_by_an_argument(start):
    """The value decides; one that is not known is refused with those that are."""
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
def test_a_classic_line_is_letters_and_numbers(start, line, words):
    """With or without blanks, line number and comment."""
    gcode = start().lookup("gcode")

    assert gcode.parse(line, needs_ok=False).get_command_parameters() == words


@pytest.mark.parametrize("text", ["hello world", "5 apples", "it's ready"])
def test_a_message_may_be_any_text(start, text):
    """M117's text is not taken apart."""
    printer = start()

    assert printer.gcode(f"M117 {text}") == []
    assert printer.status("display_status")["message"] == text


def test_a_template_knows_the_printer(start):
    """gcode_macro: parameters, status of objects, and G-code that it becomes."""
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
