"""A value in a message: short, on one line."""

import reprlib
from typing import Any


def shown(value: Any) -> str:
    return " ".join(reprlib.repr(value).split())
