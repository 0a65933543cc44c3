"""Supervised child processes: environment allow-list, process group, bounded output."""
