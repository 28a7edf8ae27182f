"""The command line.

Start with `command_line`, which lists all commands. Their signatures and help texts are in the room `commands`; the
work of each is in a module of its own here, imported only when the command runs. Commands return an `ExitCode`; they
read the configuration, build what they need from the layers below, and print. No other layer imports this one.
"""

from coldframe.cli.command_line import app, main

__all__ = ["app", "main"]
