"""The command lines: arguments in, lines of text out, nothing else."""
