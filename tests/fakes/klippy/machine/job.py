"""Print jobs: a file that is printed, its state, and its pauses."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tests.fakes.klippy.gcode import Command, CommandError

if TYPE_CHECKING:
    from tests.fakes.klippy.config import Section
    from tests.fakes.klippy.reactor import Timer

logger = logging.getLogger(__name__)

E = 3
NO_FILAMENT = 0.0000001  # mm that do not count as extruded yet


def load_config(config: Section) -> PrintStats | VirtualSD | PauseResume:
    name = config.get_name()
    if name == "virtual_sdcard":
        return VirtualSD(config)
    return PauseResume(config) if name == "pause_resume" else PrintStats(config)


class PrintStats:
    """`print_stats`: what a screen shows of a job. Its filament is sampled from G-code.

    `filament_used` is net and divided by the extrude factor, and it grows only when it
    is read. `print_duration` begins when filament was seen.
    """

    def __init__(self, config: Section) -> None:
        printer = config.get_printer()
        self._reactor = printer.get_reactor()
        self._gcode_move = printer.lookup_object("gcode_move")
        self._layers: dict[str, int | None] = {}
        self.reset()
        printer.register_event_handler(
            "extruder:activate_extruder", self._remember_extruder
        )

    def reset(self) -> None:
        self._filename = self._message = ""
        self._state = "standby"
        self._started_at: float | None = None
        self._paused_at: float | None = None
        self._pauses = 0.0
        self._before_filament = 0.0
        self._total = 0.0
        self._filament = 0.0
        self._extruder_at = 0.0
        self._layers = {"total_layer": None, "current_layer": None}

    def set_current_file(self, filename: str) -> None:
        self.reset()
        self._filename = filename

    def note_start(self) -> None:
        now = self._reactor.monotonic()
        if self._started_at is None:
            self._started_at = now
        elif self._paused_at is not None:
            self._pauses += now - self._paused_at
            self._paused_at = None
        self._remember_extruder()
        self._state, self._message = "printing", ""

    def note_pause(self) -> None:
        if self._paused_at is None:
            self._paused_at = self._reactor.monotonic()
            self._sample_filament()
        if self._state != "error":
            self._state = "paused"

    def note_complete(self) -> None:
        self._finish("complete")

    def note_cancel(self) -> None:
        self._finish("cancelled")

    def note_error(self, message: str) -> None:
        self._finish("error", message)

    def _finish(self, state: str, message: str = "") -> None:
        if self._started_at is None:
            return
        self._state, self._message = state, message
        # The filament since the last reading is never counted.
        self._total = self._reactor.monotonic() - self._started_at
        if self._filament < NO_FILAMENT:
            self._before_filament = self._total - self._pauses
        self._started_at = None

    def get_status(self, eventtime: float) -> dict[str, Any]:
        pauses = self._pauses
        if self._started_at is not None:
            if self._paused_at is None:
                self._sample_filament()
            else:
                pauses += eventtime - self._paused_at
            self._total = eventtime - self._started_at
            if self._filament < NO_FILAMENT:
                self._before_filament = self._total - pauses
        return {
            "filename": self._filename,
            "total_duration": self._total,
            "print_duration": self._total - self._before_filament - pauses,
            "filament_used": self._filament,
            "state": self._state,
            "message": self._message,
            "info": dict(self._layers),
        }

    def _remember_extruder(self) -> None:
        self._extruder_at = self._gcode_move.get_status()["position"][E]

    def _sample_filament(self) -> None:
        status = self._gcode_move.get_status()
        moved = status["position"][E] - self._extruder_at
        self._filament += moved / status["extrude_factor"]
        self._remember_extruder()


class VirtualSD:
    """`virtual_sdcard`: prints a file line by line, whenever no other command runs."""

    def __init__(self, config: Section) -> None:
        self._printer = printer = config.get_printer()
        self._reactor = printer.get_reactor()
        self.folder = Path(config.get("path")).expanduser()
        self._stats: PrintStats = printer.load_object(config, "print_stats")
        macros = printer.load_object(config, "gcode_macro")
        self._on_error = macros.load_template(config, "on_error_gcode", "")
        self._path: Path | None = None
        self._file: BinaryIO | None = None
        self._position = self._size = 0
        self._work: Timer | None = None
        self.must_pause_work = False
        self._in_line = False
        gcode = printer.lookup_object("gcode")
        self._gcode = gcode
        gcode.register_command(
            "SDCARD_PRINT_FILE", self._cmd_print, desc="Print a file of the card"
        )
        gcode.register_command(
            "SDCARD_RESET_FILE", self._cmd_reset, desc="Put the file away"
        )
        gcode.register_command("M23", self._cmd_select)
        gcode.register_command("M24", lambda gcmd: self.do_resume())
        gcode.register_command("M25", lambda gcmd: self.do_pause())
        printer.register_event_handler("klippy:shutdown", self._handle_shutdown)
        printer.register_event_handler("klippy:disconnect", self.close)

    @property
    def sdcard_dirname(self) -> str:
        return str(self.folder)

    def get_status(self, eventtime: float) -> dict[str, Any]:
        return {
            "file_path": None if self._path is None else str(self._path),
            "progress": self._position / self._size if self._size else 0.0,
            "is_active": self.is_active(),
            "file_position": self._position,
            "file_size": self._size,
        }

    def is_active(self) -> bool:
        return self._work is not None

    def is_cmd_from_sd(self) -> bool:
        return self._in_line

    def do_resume(self) -> None:
        if self._work is not None:
            raise self._gcode.error("The card is busy")
        if self._file is None:
            raise self._gcode.error("No file is selected")
        self.must_pause_work = False
        self._work = self._reactor.register_timer(self._print, self._reactor.NOW)

    def do_pause(self) -> None:
        """Return when the current line is done."""
        self.must_pause_work = self.must_pause_work or self._work is not None
        # A pause in the file itself cannot wait for its own line.
        while self._work is not None and not self._in_line:
            self._reactor.pause(self._reactor.monotonic() + 0.001)

    def do_cancel(self) -> None:
        if self._file is not None:
            self.do_pause()
            self.close()
            self._stats.note_cancel()
        self._position = self._size = 0

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = self._path = None

    def _handle_shutdown(self) -> None:
        self.must_pause_work = self.must_pause_work or self._work is not None

    # Printing

    def _print(self, eventtime: float) -> float:
        if self._work is not None:
            self._reactor.unregister_timer(self._work)
        self._stats.note_start()
        error = self._print_lines()
        self._work = None
        if error is not None:
            self._stats.note_error(error)
        elif self._file is not None:
            self._stats.note_pause()
        else:
            self._stats.note_complete()
        return self._reactor.NEVER

    def _print_lines(self) -> str | None:
        """Print until a stop or the end of the file. Returns the error text, if any."""
        if self._file is not None:
            self._file.seek(self._position)
        while self._file is not None and not self.must_pause_work:
            if self._gcode.get_mutex().test():
                # Another command runs: it goes first.
                self._reactor.pause(self._reactor.monotonic() + 0.05)
                continue
            line = self._file.readline()
            if not line:
                self.close()
                self._gcode.respond_raw("Done printing file")
                return None
            error = self._run(line.decode(errors="replace").rstrip("\r\n"))
            self._position += len(line)
            if error is not None:
                return error
        return None

    def _run(self, line: str) -> str | None:
        self._in_line = True
        try:
            self._gcode.run_script(line)
        except CommandError as error:
            self._run_on_error()
            return str(error)
        except Exception:
            # The error has shut the printer down already, and this is reported.
            logger.exception("a line of the file failed")
            self.must_pause_work = True
        finally:
            self._in_line = False
        return None

    def _run_on_error(self) -> None:
        try:
            self._gcode.run_script(self._on_error.render())
            heaters = self._printer.lookup_object("heaters")
            heaters.turn_off_all_heaters()
        except CommandError:
            logger.exception("virtual_sdcard on_error_gcode")

    # Commands

    def _select(self, gcmd: Command, name: str) -> None:
        if self._work is not None:
            raise gcmd.error("The card is busy")
        self._reset()
        name = name.lstrip("/")
        paths = {
            path.relative_to(self.folder).as_posix().lower(): path
            for path in self.folder.rglob("*")
            if path.suffix in (".gcode", ".g", ".gco")
        }
        path = paths.get(name.lower())
        if path is None:
            raise gcmd.error(f"There is no file '{name}' to print")
        self._path, self._file = path, path.open("rb")
        self._size = path.stat().st_size
        gcmd.respond_raw(f"File opened:{name} Size:{self._size}")
        gcmd.respond_raw("File selected")
        self._stats.set_current_file(name)

    def _reset(self) -> None:
        if self._file is not None:
            self.do_pause()
            self.close()
        self._position = self._size = 0
        self._stats.reset()
        self._printer.send_event("virtual_sdcard:reset_file")

    def _cmd_print(self, gcmd: Command) -> None:
        self._select(gcmd, gcmd.get("FILENAME"))
        self.do_resume()

    def _cmd_select(self, gcmd: Command) -> None:
        self._select(gcmd, gcmd.get_raw_command_parameters().strip())

    def _cmd_reset(self, gcmd: Command) -> None:
        if self._in_line:
            raise gcmd.error("A file cannot put itself away")
        self._reset()


class PauseResume:
    """`pause_resume`: PAUSE, RESUME and CANCEL_PRINT."""

    def __init__(self, config: Section) -> None:
        self._printer = printer = config.get_printer()
        self._speed = config.getfloat("recover_velocity", 50.0)
        self._paused = False
        self._file_paused = False
        self._gcode = gcode = printer.lookup_object("gcode")
        for name, handler, desc in (
            ("PAUSE", self._cmd_pause, "Pause the print"),
            ("RESUME", self._cmd_resume, "Go on after a pause"),
            ("CANCEL_PRINT", self._cmd_cancel, "Cancel the print"),
        ):
            gcode.register_command(name, handler, desc=desc)

    def get_status(self, eventtime: float) -> dict[str, Any]:
        return {"is_paused": self._paused}

    def _card(self) -> Any:
        return self._printer.lookup_object("virtual_sdcard", None)

    def _prints_file(self) -> bool:
        card = self._card()
        return card is not None and card.is_active()

    def _cmd_pause(self, gcmd: Command) -> None:
        if self._paused:
            gcmd.respond_info("It is paused already")
            return
        self._file_paused = self._prints_file()
        if self._file_paused:
            self._card().do_pause()
        else:
            gcmd.respond_info("action:paused")
        self._gcode.run_script_from_command("SAVE_GCODE_STATE NAME=PAUSE_STATE")
        self._paused = True

    def _cmd_resume(self, gcmd: Command) -> None:
        if not self._paused:
            gcmd.respond_info("It is not paused: there is nothing to resume")
            return
        speed = gcmd.get_float("VELOCITY", self._speed)
        self._gcode.run_script_from_command(
            f"RESTORE_GCODE_STATE NAME=PAUSE_STATE MOVE=1 MOVE_SPEED={speed:.4f}"
        )
        if self._file_paused:
            self._file_paused = False
            self._card().do_resume()
        else:
            gcmd.respond_info("action:resumed")
        self._paused = False

    def _cmd_cancel(self, gcmd: Command) -> None:
        if self._prints_file() or self._file_paused:
            self._card().do_cancel()
        else:
            gcmd.respond_info("action:cancel")
        self._paused = self._file_paused = False
