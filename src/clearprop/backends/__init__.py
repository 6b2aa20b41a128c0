"""Backends turn a program into something that runs."""
