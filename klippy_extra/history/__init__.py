"""Imports counts from before this extra: KlipperMaintenance's and Moonraker's."""
