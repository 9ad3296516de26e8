"""What every section of a config is."""

from typing import Any

from pydantic import BaseModel


class Section(BaseModel, strict=True, extra="forbid", allow_inf_nan=False, validate_default=True):
    """Keys that stand together: of the exact types, all known, every number finite."""

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Plain values of all keys."""
        return cls.model_construct().model_dump()
