"""`python fork_server.py KLIPPY.PY` starts Klippys that need not import Klippy again.

It imports Klippy and what each printer of the tests loads, and forks for each printer.
What is tested, the extra, is not among that: each Klippy imports it. It runs on
Klippy's Python. Each line of its standard input is a request:

- `["start", arguments, environment, output]` gets the number of the new process.
- `["end", number]` waits for the end of that process, and gets its status.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import sys
from pathlib import Path

# Each Klippy has some of them, and imports by itself what is missing here.
KLIPPYS = """
    extras.adc_temperature extras.danger_options extras.display_status extras.error_mcu
    extras.exclude_object extras.fan extras.gcode_macro extras.gcode_move
    extras.heater_bed extras.heaters extras.homing extras.idle_timeout extras.load_cell
    extras.manual_probe extras.pause_resume extras.print_stats extras.probe
    extras.query_adc extras.query_endstops extras.respond extras.statistics
    extras.stepper_enable extras.thermistor extras.tuning_tower extras.verify_heater
    extras.virtual_sdcard kinematics.cartesian kinematics.extruder
"""
OTHERS = "csv jinja2.ext paho.mqtt.client sqlite3 statistics"


def prepare(script):
    """Import what Klippy imports, and load its C helper."""
    folder = script.parent
    package = ""
    sys.path[0] = str(folder)  # as if the script had been started
    if (folder / "__init__.py").exists():  # Kalico is a package
        package = "klippy."
        sys.path.insert(0, str(folder.parent))
        importlib.import_module("klippy.printer")
    else:
        runpy.run_path(str(script), run_name="imported")
    for name in [package + each for each in KLIPPYS.split()] + OTHERS.split():
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    importlib.import_module(package + "chelper").get_ffi()
    if package:
        del sys.path[0]  # The script inserts it again.
    assert not [name for name in sys.modules if "maintain" in name]
    gc.collect()
    gc.freeze()


def serve():
    """Carry out requests. In each new process, return Klippy's arguments."""
    for line in iter(sys.stdin.buffer.readline, b""):
        request = json.loads(line.decode())
        if request[0] == "start":
            _, arguments, environment, output = request
            os.environ.update(environment)  # `clock.c` reads it in the new process.
            answer = os.fork()
            if answer == 0:
                redirect(output)
                return arguments
        else:
            answer = os.waitpid(request[1], 0)[1]
        os.write(1, b"%d\n" % answer)
    sys.exit()


def redirect(output):
    """Let the output go to the end of a file, and let the input be empty."""
    file = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    empty = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((empty, 0), (file, 1), (file, 2)):
        os.dup2(old, new)
    os.close(file)
    os.close(empty)


def main():
    script = Path(sys.argv[1])
    prepare(script)
    sys.argv = [str(script), *serve()]
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
