"""Records are checked by pydantic models; what pydantic says of a wrong field becomes one line."""

from typing import Annotated, Any, Literal, NoReturn, TypeVar, get_args, get_origin

from pydantic import AfterValidator, AliasChoices, BaseModel, ValidationError
from pydantic.fields import FieldInfo

from vcjax.errors import InputError, hint


class Fields(BaseModel, strict=True, extra="forbid"):
    """The fields of a JSON object: of the exact types, all known.

    A field's `description` says what is expected where its type does not. Validators raise
    ValueError with a text that goes on from the field's name: "is blank; expected text".
    """


F = TypeVar("F", bound=Fields)


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("is blank; expected text")
    return value


Text = Annotated[str, AfterValidator(_not_blank)]

# Types of pydantic's errors -> what was expected.
EXPECTED = {
    "string_type": "a string",
    "list_type": "a list",
    "dict_type": "a JSON object",
    "model_type": "a JSON object",
}


def checked(model: type[F], value: Any, where: str, path: str = "") -> F:
    """The value as the model has it. where: its record's place; path: to it inside the record.

    Raises InputError for the first wrong field; unknown ones go first, since the name of a missing
    one may be mistyped.
    """
    try:
        return model.model_validate(value)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False)
        error: Any = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    loc = error["loc"]
    name = path + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    fail(where, f"field '{name.lstrip('.')}' {_problem(model, error)}")


def _problem(model: type[Fields], error: Any) -> str:
    """What is wrong with a field, and what was expected."""
    value, context = error["input"], error.get("ctx", {})
    field = model.model_fields.get(error["loc"][0]) if len(error["loc"]) == 1 else None
    expected = _expected(field) if field else None
    match error["type"]:
        case "value_error":
            return str(context["error"])
        case "missing":
            return f"is missing; expected {expected}"
        case "extra_forbidden":
            known = [name for item in model.model_fields.items() for name in _names(*item)]
            return f"is unknown; {hint(error['loc'][0], known)}"
        case "literal_error":
            shown = repr(value) if isinstance(value, str) else kind(value)
            return f"is {shown}; expected {context['expected']}"
    return f"is {kind(value)}; expected {expected or EXPECTED.get(error['type'], error['msg'])}"


def _expected(field: FieldInfo) -> str | None:
    """By the field's description or type; None for other types than those of a JSON record."""
    if field.description:
        return field.description
    if get_origin(field.annotation) is Literal:
        return " or ".join(map(repr, get_args(field.annotation)))
    types: dict[Any, str] = {str: "a string", list: "a list", dict: "a JSON object"}
    return types.get(get_origin(field.annotation) or field.annotation)


def _names(name: str, field: FieldInfo) -> list[Any]:
    aliases = field.validation_alias
    return aliases.choices if isinstance(aliases, AliasChoices) else [name]


def kind(value: Any) -> str:
    """What a value is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    names = {str: "a string", int: "a number", float: "a number", dict: "an object"}
    return names.get(type(value), type(value).__name__)  # a table also holds bytes and dates


def fail(where: str, problem: str) -> NoReturn:
    raise InputError(f"{where}: {problem}")
