"""Sections of a printer.cfg that several system tests use."""

BASE = "klipper_upkeep/voron"
MAINTAIN = """
[maintain]
printer_name: voron
store: {{folder}}/upkeep.sqlite
store_interval: 2
publish_interval: 1
mqtt_host: 127.0.0.1
mqtt_port: {port}
"""
RODS = """
[maintain rods]
label: Oil the rods
trigger: print_time
threshold: 150
"""
