"""The command line.

Start with `command_line`, which lists all commands. The signatures and help texts of the commands are in the room
`commands`. The work of each command is in its own module here, which is imported only when the command runs. Commands
read the configuration, build objects from the layers below, print, and return an `ExitCode`. No other layer imports
this one.
"""

from coldframe.cli.command_line import app, main

__all__ = ["app", "main"]
