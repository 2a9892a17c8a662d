"""The command line. Commands import what they need when they run, so that help comes at once."""

from media_gateway.cli.app import main

__all__ = ["main"]
