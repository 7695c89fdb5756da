"""Figures of the README, each measured again by one command: ``python -m benchmarks.accounts``."""
