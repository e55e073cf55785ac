"""Predicts which tasks the running print, or a file, will make due."""
