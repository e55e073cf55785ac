"""The machine: homing and probing, heaters, fans, motors, and when it is idle."""

import pytest

from tests.fakes.virtual_printer import ROOT, VirtualPrinter

PROBED = """
[stepper_z]
endstop_pin: probe:z_virtual_endstop
position_min: -2
[probe]
pin: PZ
z_offset: 1.5
"""
COREXY = "[printer]\nkinematics: corexy\nmax_velocity: 300\nmax_accel: 3000\n"


class HomingWitness:
    """Adds up what the motors really did, as the events tell it."""

    def __init__(self, printer):
        self.rails, self.steps, self.moves = [], {}, []
        self._printer = printer
        register = printer.printer.register_event_handler
        register("homing:home_rails_end", self._rails_end)
        register("homing:homing_move_begin", self._begin)
        register("homing:homing_move_end", self._end)

    def _rails_end(self, homing, rails):
        self.rails.append(rails[0].get_name())

    def _begin(self, hmove):
        self._begun = self._printer.lookup("toolhead").get_last_move_time()

    def _end(self, hmove):
        ended = self._printer.lookup("toolhead").get_last_move_time()
        queue = self._printer.lookup("motion_report").dtrapqs["toolhead"]
        moves, _ = queue.extract_trapq(self._begun, ended)
        self.moves.append(
            sum((m.start_v + 0.5 * m.accel * m.move_t) * m.move_t for m in moves)
        )
        for position in hmove.stepper_positions:
            steps = position.halt_pos - position.start_pos
            self.steps.setdefault(position.stepper_name, []).append(
                steps * position.stepper.get_step_dist()
            )


def test_homing_goes_to_the_switch_twice(start):
    """X stands at 94 mm: it goes there, back 5 mm, and there again."""
    printer = start()
    witness = HomingWitness(printer)
    printer.gcode("G28 X", 60)

    assert witness.rails == ["stepper_x"]
    assert witness.steps["stepper_x"] == pytest.approx([-94.0, -5.0], abs=0.03)
    assert printer.status("toolhead")["homed_axes"] == "x"
    assert printer.status("toolhead")["position"][0] == pytest.approx(0.0, abs=0.02)


def test_homing_is_overcounted_by_the_queue(start):
    """What was queued behind the switch stays in the history, and did not move."""
    printer = start()
    witness = HomingWitness(printer)
    printer.gcode("G28 X", 60)

    overcount = witness.moves[0] + witness.steps["stepper_x"][0]
    assert overcount == pytest.approx(50.0 * 0.15, abs=0.1)  # mm/s, s


def test_all_axes_are_homed_one_after_the_other(start):
    """One event for each set of rails."""
    printer = start()
    witness = HomingWitness(printer)
    printer.gcode("G28", 120)

    assert witness.rails == ["stepper_x", "stepper_y", "stepper_z"]
    assert printer.status("toolhead")["homed_axes"] == "xyz"


def test_a_corexy_homes_with_both_motors(start):
    """Both turn the same way for X, and against each other for Y."""
    printer = start(f"[include {ROOT}/demo/printer.cfg]\n{COREXY}")
    witness = HomingWitness(printer)
    printer.gcode("G28 X", 60)
    printer.gcode("G28 Y", 60)

    x, y = witness.steps["stepper_x"], witness.steps["stepper_y"]
    assert x[:2] == pytest.approx(y[:2], abs=0.03)
    assert x[2:] == pytest.approx([-value for value in y[2:]], abs=0.03)
    kinematics = printer.lookup("toolhead").get_kinematics()
    moved = kinematics.calc_position(
        {"stepper_x": x[0], "stepper_y": y[0], "stepper_z": 0}
    )
    assert moved == pytest.approx([-94.0, 0.0, 0.0], abs=0.03)


def test_a_carriage_that_was_not_homed_stays(start):
    """So does one that would leave its range."""
    printer = start()
    assert "was not homed" in printer.gcode("G1 X10")[0]

    printer.gcode("G28", 120)
    assert "out of range" in printer.gcode("G1 X300")[0]
    assert printer.gcode("G1 X10") == []


def test_motors_off_forget_where_they_were(start):
    """M84 says so with an event, and the axes are not homed any more."""
    printer = start()
    events = []
    printer.printer.register_event_handler(
        "stepper_enable:motor_off", lambda: events.append("off")
    )
    printer.gcode("G28", 120)
    assert printer.status("stepper_enable")["steppers"]["stepper_x"]

    printer.gcode("M84", 5)
    assert events == ["off"]
    assert printer.status("toolhead")["homed_axes"] == ""
    assert not printer.status("stepper_enable")["steppers"]["stepper_x"]


def test_a_probe_homes_and_probes(start):
    """Each probing is one event; homing by probe is none."""
    printer = start(PROBED)
    results = []
    printer.printer.register_event_handler("probe:update_results", results.append)
    printer.gcode("G28", 200)
    assert printer.status("toolhead")["position"][2] == pytest.approx(1.5, abs=0.01)
    assert results == []

    said = printer.gcode("G1 X50 Y50 Z5 F600\nPROBE SAMPLES=3", 60)
    assert len(results) == 3
    assert results[0][0].bed_z == pytest.approx(0.0)
    assert len(said) == 3


def test_a_heater_reaches_its_target_and_holds_it(start):
    """Its power is full at first, and part of it in the end."""
    printer = start()
    printer.gcode("M104 S200", 5)
    assert printer.status("extruder")["power"] == pytest.approx(1.0)

    printer.advance(120)
    status = printer.status("extruder")
    assert status["temperature"] == pytest.approx(200.0, abs=1.0)
    assert 0.0 < status["power"] < 1.0
    assert (status["target"], status["can_extrude"]) == (200.0, True)

    printer.gcode("TURN_OFF_HEATERS", 600)
    assert printer.status("extruder")["temperature"] == pytest.approx(25.0, abs=1.0)


def test_waiting_for_a_heater_holds_up_commands_only(start):
    """M190 takes minutes; timers go on meanwhile."""
    printer = start()
    printer.gcode("M190 S60\nECHO", 10)
    assert "// ECHO" not in printer.console

    printer.advance(200)
    assert "// ECHO" in printer.console
    assert printer.status("heater_bed")["temperature"] >= 59.0


def test_heaters_are_found_by_name(start):
    """All of them by their full names, one by its short one."""
    printer = start(
        "[heater_generic chamber]\nheater_pin: P1\nmin_temp: 0\nmax_temp: 90\n"
        "sensor_type: x\nsensor_pin: P2\ncontrol: watermark\n"
    )
    heaters = printer.lookup("heaters")

    assert sorted(heaters.get_all_heaters()) == [
        "extruder",
        "heater_bed",
        "heater_generic chamber",
    ]
    printer.gcode("SET_HEATER_TEMPERATURE HEATER=chamber TARGET=40")
    assert heaters.lookup_heater("chamber").get_temp(0)[1] == 40.0
    with pytest.raises(printer.printer.config_error):
        heaters.lookup_heater("nobody")


def test_a_temperature_out_of_range_is_refused(start):
    """By name, with the range."""
    printer = start()

    assert printer.gcode("M104 S999") == ["!! extruder: 999.0 is not in 0.0 to 260.0"]


def test_the_fan_turns_when_its_place_in_the_queue_comes(start):
    """M106 behind a move takes effect when the move has been made."""
    printer = start()
    printer.gcode("G28", 120)
    printer.gcode("G1 X100 F3000\nM106 S127.5", 1)
    assert printer.status("fan")["speed"] == 0.0

    printer.advance(3)
    assert printer.status("fan")["speed"] == pytest.approx(0.5)
    printer.gcode("M107", 1)
    assert printer.status("fan")["speed"] == 0.0


def test_a_heater_s_fan_runs_while_it_is_hot(start):
    """And until it has cooled down."""
    printer = start()
    printer.gcode("M104 S100", 30)
    assert printer.status("heater_fan hotend")["speed"] == 1.0

    printer.gcode("M104 S0", 2)
    assert printer.status("heater_fan hotend")["speed"] == 1.0
    printer.advance(600)
    assert printer.status("heater_fan hotend")["speed"] == 0.0


def test_a_controller_s_fan_runs_while_motors_do(start):
    """And a little longer."""
    printer = start("[controller_fan board]\npin: P1\nidle_timeout: 20\n")
    printer.gcode("G28 X", 10)
    assert printer.status("controller_fan board")["speed"] == 1.0

    printer.gcode("M84", 10)
    assert printer.status("controller_fan board")["speed"] == 1.0
    printer.advance(20)
    assert printer.status("controller_fan board")["speed"] == 0.0


def test_motion_is_printing_and_rest_is_idle(start):
    """Any motion counts; after the timeout the heaters are turned off."""
    printer = start("[idle_timeout]\ntimeout: 100\n")
    events = []
    for name in ("printing", "ready", "idle"):
        printer.printer.register_event_handler(
            f"idle_timeout:{name}", lambda print_time, name=name: events.append(name)
        )
    printer.gcode("M104 S100\nG28 X", 3)
    assert printer.status("idle_timeout")["state"] == "Printing"

    printer.advance(20)
    assert printer.status("idle_timeout")["state"] == "Ready"
    printer.advance(110)
    assert printer.status("idle_timeout")["state"] == "Idle"
    assert events == ["printing", "ready", "idle"]
    assert printer.status("extruder")["target"] == 0.0


def test_tools_are_changed(start):
    """ACTIVATE_EXTRUDER sends an event, and each tool has its own queue."""
    second = "[extruder1]\nheater_pin: P1\nmin_temp: 0\nmax_temp: 260\n"
    printer = start(
        second + "[gcode_macro T1]\ngcode: ACTIVATE_EXTRUDER EXTRUDER=extruder1\n"
    )
    events = []
    printer.printer.register_event_handler(
        "extruder:activate_extruder",
        lambda: events.append(printer.status("toolhead")["extruder"]),
    )
    printer.gcode("G28\nM109 S200\nM109 T1 S200", 200)
    printer.gcode("M83\nG1 E5 F300\nT1\nG1 E3 F300\nM400", 10)

    assert events == ["extruder1"]
    queues = printer.lookup("motion_report").dtrapqs
    net = {
        name: sum(
            (m.start_v + 0.5 * m.accel * m.move_t) * m.move_t * m.x_r
            for m in queues[name].extract_trapq(0.0, 1e9)[0]
        )
        for name in ("extruder", "extruder1")
    }
    assert net == pytest.approx({"extruder": 5.0, "extruder1": 3.0})


def test_variables_are_kept(start, tmp_path):
    """SAVE_VARIABLE outlives a restart."""
    path = tmp_path / "variables.cfg"
    printer = start(f"[save_variables]\nfilename: {path}\n")
    printer.gcode("SAVE_VARIABLE VARIABLE=spool VALUE=\"{'material': 'ABS'}\"")
    printer.restart()

    assert printer.status("save_variables")["variables"] == {
        "spool": {"material": "ABS"}
    }


def test_a_motor_beside_the_toolhead_has_its_own_queue(start):
    """MANUAL_STEPPER moves it; the toolhead waits for it."""
    printer = start(
        "[manual_stepper selector]\nstep_pin: P1\nvelocity: 20\naccel: 100\n"
    )
    printer.gcode("MANUAL_STEPPER STEPPER=selector MOVE=40\nM400\nECHO", 2)
    assert "// ECHO" not in printer.console

    printer.advance(2)
    assert "// ECHO" in printer.console
    queue = printer.lookup("motion_report").dtrapqs["manual_stepper selector"]
    moves, _ = queue.extract_trapq(0.0, 1e9)
    assert sum(
        (m.start_v + 0.5 * m.accel * m.move_t) * m.move_t for m in moves
    ) == pytest.approx(40.0)


@pytest.mark.parametrize("old", [False, True])
def test_it_has_the_names_of_old_klippers_or_of_new_ones(tmp_path, monkeypatch, old):
    monkeypatch.setattr(VirtualPrinter, "old_names", old)
    events = []
    with VirtualPrinter("[probe]\npin: PG3\nz_offset: 1\n", tmp_path) as printer:
        event = "probe:update_results"
        printer.printer.register_event_handler(event, events.append)
        printer.gcode("G28\nPROBE", 120)
        report = printer.lookup("motion_report")

    assert hasattr(report, "trapqs") == old
    assert hasattr(report, "dtrapqs") != old
    assert len(events) == (0 if old else 1)
