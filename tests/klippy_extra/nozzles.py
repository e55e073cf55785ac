"""Two nozzles as named parts: `n4` with the label Nozzle, and `n6`."""

NOZZLES = """
[maintain_part n4]
label: Nozzle
kind: nozzle
{place}
trigger: print_time
threshold: 200
[maintain_part n6]
kind: nozzle
trigger: print_time
threshold: 200
"""
FITTED = "place: extruder"  # metres of filament through n4
