"""What lies ahead: which tasks the print that runs, or a file, will make due."""
