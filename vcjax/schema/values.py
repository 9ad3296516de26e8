"""What the value of a key may be: types with their checks.

Validators raise ValueError; its text goes on from the key: ": 1.5; it is a share".
"""

import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from vcjax.data import sources
from vcjax.models.remat import SAVED
from vcjax.schema.shown import shown


def _share(value: float) -> float:
    if not 0 <= value < 1:
        raise ValueError(f": {value}; it is a share, 0 <= x < 1")
    return value


def _part(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f": {value}; it is a share, 0 <= x <= 1")
    return value


def _rate(value: float) -> float:
    if value <= 0:
        raise ValueError(f": {value}; it must be above 0, else the stage would train nothing")
    return value


def _text(value: str) -> str:
    if not value.isascii() and re.search(r"[\ud800-\udfff]", value):
        raise ValueError(f": {value!r} is no valid Unicode; expected text")
    return value


def _filled(value: str) -> str:
    if not value.strip():
        raise ValueError(": it is empty; expected text")
    return value


def _place(value: str) -> str:
    if problem := sources.fault(value):
        raise ValueError(f": {value!r}; {problem}")
    return value


def _name(value: str) -> str:
    is_short = 0 < len(value.encode(errors="replace")) <= 100
    if not is_short or not value.isprintable() or re.search(r"[\s/\\.]", value):
        raise ValueError(
            f": {shown(value)} cannot name files; expected 1 to 100 printable characters "
            "without spaces, '/', '\\' and '.'"
        )
    return value


def _arm_name(value: str) -> str:
    if "-" in value:
        raise ValueError(f": {value!r} may not hold '-'; it names files")
    return value


def _stage_name(value: str) -> str:
    if "@" in value:
        raise ValueError(f": {value!r} may not hold '@'; in an arm an update stands behind it")
    return value


def _lead(value: str) -> str:
    if value != value.strip():
        raise ValueError(
            f": {value!r} begins or ends with a space; leave it out, one stands before each option"
        )
    return value


def _remat(value: str) -> str:
    if value not in SAVED:
        raise ValueError(f": {value!r} is not one of {', '.join(SAVED)}")
    return value


def _profile(value: Any) -> Any:
    profiled_updates(value)
    return value


def _url(value: str) -> str:
    # It is saved and shown, so it may hold no secret; the messages do not repeat it.
    try:
        parts = urlsplit(value)
        is_known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # as of a port that is no number
        is_known = False
    if value and not (is_known and re.fullmatch(r"[!-~]+", value)):
        raise ValueError(": it is no URL; give one as https://HOST/v1")
    if re.search("[@?#]", value):
        raise ValueError(
            ": it has a user, '?' or '#', where a secret could stand; give scheme, host and path"
        )
    return value


def _variable_name(value: str) -> str:
    # Who gives the key itself must not find it in a message, nor in the config that is saved.
    if not re.fullmatch(r"([A-Z][A-Z0-9_]{0,63})?", value):
        raise ValueError(
            ": it is no name of an environment variable in capital letters; give that name, as "
            "OPENAI_API_KEY, and never the key itself"
        )
    return value


def _names(value: dict[str, str]) -> dict[str, str]:
    if missing := {"model_name", "provider_name"} - value.keys():
        raise ValueError(f": it lacks {', '.join(sorted(missing))}")
    return value


def _renames(value: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    olds = [old.casefold() for old, _ in value]
    if twice := [old for old, _ in value if olds.count(old.casefold()) > 1]:
        raise ValueError(f": {twice[0]!r} comes twice; case does not matter, leave one out")
    return value


def profiled_updates(profile: str | int) -> range:
    """The updates, from 1, of "3" or of "10:13" (the last one included); of "", none."""
    text = str(profile)
    if not text:
        return range(0)
    parts = re.fullmatch(r"(\d{1,9})(?::(\d{1,9}))?", text)
    first, last = (int(parts[1]), int(parts[2] or parts[1])) if parts else (0, 0)
    if not 1 <= first <= last:
        raise ValueError(f": {text}; give an update, as 3, or the first and the last, as 10:13")
    return range(first, last + 1)


Text = Annotated[str, AfterValidator(_text)]
Filled = Annotated[Text, AfterValidator(_filled)]
Place = Annotated[Filled, AfterValidator(_place)]
Name = Annotated[str, AfterValidator(_name)]
Listed = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
Texts = Annotated[tuple[Filled, ...], Listed]
Names = Annotated[dict[str, Text], AfterValidator(_names)]
# (old, new) names; a config file gives a dict, whose keys a ConfigDict would not take with a dot.
Renames = Annotated[
    tuple[Annotated[tuple[Filled, Filled], Listed], ...], Listed, AfterValidator(_renames)
]
Share = Annotated[float, AfterValidator(_share)]
Part = Annotated[float, AfterValidator(_part)]  # a share that may be all
Weight = Annotated[float, Field(ge=-1e6, le=1e6)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
Amount = Annotated[int, Field(ge=0)]
Rate = Annotated[float, AfterValidator(_rate)]
StageName = Annotated[Name, AfterValidator(_stage_name)]
ArmName = Annotated[Name, AfterValidator(_arm_name)]
Lead = Annotated[Text, AfterValidator(_lead)]
Remat = Annotated[str, AfterValidator(_remat)]
Profile = Annotated[Any, AfterValidator(_profile)]
Url = Annotated[Text, AfterValidator(_url)]  # or empty
VariableName = Annotated[Text, AfterValidator(_variable_name)]  # or empty
