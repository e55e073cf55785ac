"""printer.cfg: what an extra reads from it, and what Klippy refuses."""

import math

import pytest

SUBJECT = """
    def load_config(config):
        return Subject(config)

    load_config_prefix = load_config

    class Subject:
        def __init__(self, config):
            self.name = config.get_name()
            self.value = %s
"""


def read(start, expression, text):
    """Return what *expression* reads in a section with *text*."""
    printer = start(f"[subject]\n{text}\n", SUBJECT % expression)
    assert printer.state == "ready", printer.state_message
    return printer.lookup("subject").value


@pytest.mark.parametrize(
    ("expression", "text", "value"),
    [
        ('config.get("a")', "a: some text ; and a comment", "some text"),
        ('config.get("a")', "a = b # and a comment", "b"),
        ('config.get("a", None)', "", None),
        ('config.getint("a")', "a: 7", 7),
        ('config.getint("a", 3, minval=5)', "", 3),
        ('config.getfloat("a", above=0.0, below=9.0)', "a: 1.5", 1.5),
        ('config.getboolean("a")', "a: True", True),
        ('config.getboolean("a")', "a: no", False),
        ('config.getchoice("a", {"x": 1, "y": 2})', "a: y", 2),
        ('config.getchoice("a", ["x", "y"], "x")', "", "x"),
        ('config.getlist("a")', "a: x, y ,z", ("x", "y", "z")),
        ('config.getlist("a")', "a:", ()),
        (
            'config.getlists("a", seps=(",", "\\n"), parser=int)',
            "a:\n  1, 2\n  3, 4",
            ((1, 2), (3, 4)),
        ),
        ('config.get("a")', "a:\n  G28\n  # a comment\n  M84", "\nG28\n\nM84"),
        ('config.has_section("fan")', "", True),
        ('config.has_section("nobody")', "", False),
        ('config.getsection("fan").get("pin")', "", "PF0"),
        ('[s.get_name() for s in config.get_prefix_sections("step")]', "", None),
    ],
)
def test_an_option_is_read(start, expression, text, value):
    """Each method returns the type in its name, without comments and blanks."""
    if "prefix_sections" in expression:
        value = ["stepper_x", "stepper_y", "stepper_z"]

    assert read(start, expression, text) == value


def test_nan_passes_the_bounds_of_a_number(start):
    """Klipper's getfloat does not refuse NaN, so an extra has to do it."""
    value = read(start, 'config.getfloat("a", above=0.0)', "a: nan")

    assert math.isnan(value)


@pytest.mark.parametrize(
    ("expression", "text", "named"),
    [
        ("None", "unread: 1", "unread"),
        ('config.get("a")', "", "'a'"),
        ('config.getint("a")', "a: 1.5", "'a'"),
        ('config.getfloat("a")', "a: abc", "'a'"),
        ('config.getfloat("a", minval=0.0)', "a: -1", "0.0 or more"),
        ('config.getfloat("a", above=0.0)', "a: 0", "above 0.0"),
        ('config.getfloat("a", maxval=1.0)', "a: 2", "1.0 or less"),
        ('config.getfloat("a", below=1.0)', "a: 1", "below 1.0"),
        ('config.getboolean("a")', "a: perhaps", "'a'"),
        ('config.getchoice("a", {"x": 1})', "a: y", "'y'"),
        ('config.getlist("a", count=2)', "a: x", "2 elements"),
    ],
)
def test_a_wrong_option_is_refused_with_its_name(start, expression, text, named):
    """The error names section and option, and the printer does not become ready."""
    printer = start(f"[subject]\n{text}\n", SUBJECT % expression)

    assert printer.state == "error"
    assert "'subject'" in printer.state_message
    assert named in printer.state_message
    assert any(line.startswith("!! ") for line in printer.console)


def test_an_unknown_section_is_refused(start):
    """A misspelt section is an error, and is not ignored."""
    printer = start("[mantain]\n")

    assert printer.state == "error"
    assert "'mantain'" in printer.state_message


def test_a_corrected_configuration_works_after_a_restart(start):
    """RESTART reads the file again."""
    printer = start("[subject]\n", SUBJECT % 'config.get("a")')
    assert printer.state == "error"

    printer.configure("[subject]\na: 1\n")
    printer.restart()

    assert printer.state == "ready"
    assert printer.lookup("subject").value == "1"


def test_the_objects_of_sections_are_made_in_the_order_of_the_file(start):
    """The object of a section with a prefix gets the whole name."""
    printer = start(
        "[subject b]\n[subject a]\n[subject]\n",
        SUBJECT % 'config.get("a", None)',
    )

    assert [name for name, _ in printer.printer.lookup_objects("subject")] == [
        "subject",
        "subject b",
        "subject a",
    ]


def test_a_file_can_include_others(start, tmp_path):
    """It names them by a path, or by a pattern that may match nothing."""
    (tmp_path / "more.cfg").write_text("[subject]\na: from elsewhere\n")
    printer = start(
        "[include more.cfg]\n[include nothing-*.cfg]\n", SUBJECT % 'config.get("a")'
    )

    assert printer.lookup("subject").value == "from elsewhere"


@pytest.mark.parametrize("name", ["nobody.cfg", "printer.cfg"])
def test_an_include_that_is_impossible_is_refused(start, name):
    """The file does not exist, or includes itself."""
    printer = start(f"[include {name}]\n")

    assert printer.state == "error"
    assert name in printer.state_message


@pytest.mark.parametrize("name", ["ender3", "voron"])
def test_the_file_of_a_real_printer_is_read(start, name):
    """Sections of drivers, meshes and lights are accepted, and do nothing."""
    extra = {
        "ender3": "[tmc2209 stepper_x]\nuart_pin: PC11\nrun_current: 0.58\n[bed_mesh]\n"
        "speed: 120\nmesh_min: 10, 10\n[bltouch]\nsensor_pin: P1\nz_offset: 2\n",
        "voron": "[mcu rpi]\nserial: /tmp/x\n[quad_gantry_level]\nspeed: 100\npoints:\n"
        "   50,25\n   50,225\n[neopixel light]\npin: P2\nchain_count: 3\n"
        "[temperature_sensor chamber]\nsensor_type: x\nsensor_pin: P3\n"
        "[gcode_macro PRINT_START]\ngcode:\n  G28\n",
    }[name]
    printer = start(extra)

    assert printer.state == "ready", printer.state_message
