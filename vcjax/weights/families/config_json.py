"""config.json of a Hugging Face model, read field by field, as strictly as `transformers` does."""

import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from vcjax.errors import InputError

ABSENT: Any = object()  # no default: the field has to be there


@dataclasses.dataclass(frozen=True)
class ConfigJson:
    """The fields of a config.json, or of an object in it; a null counts as a value.

    place: of the object in the file, "text_config." or "".
    """

    path: Path
    fields: Mapping[str, Any]
    place: str = ""

    def integer(self, key: str, default: Any = ABSENT) -> Any:
        """A whole number above 0; or the default, None too, where the field is left out."""
        return self._typed(key, default, int, "a whole number above 0")

    def number(self, key: str, default: Any = ABSENT) -> Any:
        """A number above 0, likewise."""
        value = self._typed(key, default, (int, float), "a number above 0")
        return None if value is None else float(value)

    def flag(self, key: str, default: Any = ABSENT) -> Any:
        """true or false, likewise."""
        return self._typed(key, default, bool, "true or false")

    def nullable(self, key: str, default: int | None) -> int | None:
        """As `integer`, where null means None and does not stand for the default."""
        given = key in self.fields and self.fields[key] is None
        return None if given else self.integer(key, default)

    def table(self, key: str) -> "ConfigJson | None":
        """An object; None where it is null, empty or left out."""
        value = self.fields.get(key)
        if value is not None and not isinstance(value, dict):
            self.refuse(key, "expected an object")
        return ConfigJson(self.path, value, f"{self.place}{key}.") if value else None

    def one_of(self, key: str, values: Mapping[str, Any], default: str) -> Any:
        """What the field's text stands for."""
        value = self.fields.get(key, default)
        if not isinstance(value, str) or value not in values:
            self.refuse(key, f"which is not supported; only {json.dumps([*values])[1:-1]} is")
        return values[value]

    def check_off(self, options: Mapping[str, tuple[Any, ...]]) -> None:
        """Refuses an option that the model does not have. options: values that switch it off, as
        leaving it out does."""
        for key, off in options.items():
            if key in self.fields and self.fields[key] not in off:
                self.refuse(key, f"which is not supported; only {json.dumps(off[-1])} is")

    def refuse(self, key: str, why: str) -> NoReturn:
        value = json.dumps(self.fields.get(key))
        raise InputError(f"{self.path}: {self.place}{key} is {value}, {why}")

    def _typed(self, key: str, default: Any, kind: Any, expected: str) -> Any:
        value = self.fields.get(key, default)
        if value is ABSENT:
            raise InputError(f"{self.path}: field '{self.place}{key}' is missing")
        if key not in self.fields:
            return value
        right = isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
        if not right or (kind is not bool and not 0 < value <= sys.float_info.max):
            self.refuse(key, f"expected {expected}")
        return value


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file of the model's folder."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give the folder of a model") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object")
    return content
