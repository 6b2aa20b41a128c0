"""The command line: words -> data, models, runs."""
