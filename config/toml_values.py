"""Values as TOML spells them."""

import json
from pathlib import Path


def toml_value(value: object) -> str:
    """Return a value of a setting as TOML spells it."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(each) for each in value)}]"
    if isinstance(value, Path | str):
        return json.dumps(str(value), ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else repr(value)
