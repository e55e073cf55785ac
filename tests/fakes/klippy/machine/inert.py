"""Sections of a real printer.cfg that do nothing in a virtual printer.

They are drivers, lights, screens, sensors and calibration. Their options are accepted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .mechanics import accept_all

if TYPE_CHECKING:
    from tests.fakes.klippy.config import Section

_NAMES = """
adc_scaled adc_temperature adxl345 angle axis_twist_compensation bed_mesh
bed_screws bed_tilt board_pins delayed_gcode delta_calibrate display
display_data display_glyph display_template dotstar duplicate_pin_override
endstop_phase exclude_object filament_motion_sensor filament_switch_sensor
firmware_retraction force_move gcode_arcs gcode_button homing_heaters
homing_override input_shaper led lis2dw mcu menu mpu9250 multi_pin neopixel
output_pin pca9533 pca9632 quad_gantry_level replicape resonance_tester
safe_z_home samd_sercom screws_tilt_adjust sdcard_loop servo skew_correction
smart_effector static_digital_output static_pwm_clock sx1509 temperature_host
temperature_probe temperature_sensor thermistor tmc2130 tmc2208 tmc2209 tmc2240
tmc2660 tmc5160 tuning_tower verify_heater z_thermal_adjust z_tilt
"""
NAMES = frozenset(_NAMES.split())


class Inert:
    def __init__(self, config: Section) -> None:
        accept_all(config)


load_config = load_config_prefix = Inert
