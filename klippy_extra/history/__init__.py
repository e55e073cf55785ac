"""Imports earlier counts of KlipperMaintenance and of Moonraker."""
