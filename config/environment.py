"""The environment variables that coldframe reads.

This module imports nothing, so that the command line starts quickly.
"""

CONFIG_VARIABLE = "COLDFRAME_CONFIG"
"""Variable that contains the path of the configuration, for users with several rigs."""
