"""What was counted before this extra: by KlipperMaintenance, and by Moonraker."""
