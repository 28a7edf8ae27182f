"""Provide the command line.

Start with `command_line`, which lists all commands. The signatures and help texts of the commands are in the `commands`
package. Each command is implemented in a separate module here, which is imported only when the command runs. The
commands read the configuration, build objects from the layers below, print the results, and return an `ExitCode`. No
other layer imports this layer.
"""

from coldframe.cli.command_line import app, main

__all__ = ["app", "main"]
