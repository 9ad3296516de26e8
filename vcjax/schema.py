"""Every key of a config: its type, its default, its range, and what of them fits together.

`check` validates a config whose stages are complete; `vcjax/config.py` builds and completes it. All
messages name the key, the value and what was expected.
"""

import re
import reprlib
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator
from pydantic import ValidationError as Refused

from vcjax.errors import InputError, hint, nearest
from vcjax.models.remat import SAVED

# Validators raise ValueError; its text goes on from the key: ": 1.5; it is a share".


def _share(value: float) -> float:
    if not 0 <= value < 1:
        raise ValueError(f": {value}; it is a share, 0 <= x < 1")
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


def _name(value: str) -> str:
    is_short = 0 < len(value.encode(errors="replace")) <= 100
    if not is_short or not value.isprintable() or re.search(r"[\s/\\.]", value):
        raise ValueError(
            f": {_shown(value)} cannot name files; expected 1 to 100 printable characters "
            "without spaces, '/', '\\' and '.'"
        )
    return value


def _arm_name(value: str) -> str:
    if "-" in value:
        raise ValueError(f": {value!r} may not hold '-'; it names files")
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


def _names(value: dict[str, str]) -> dict[str, str]:
    if missing := {"model_name", "provider_name"} - value.keys():
        raise ValueError(f": it lacks {', '.join(sorted(missing))}")
    return value


Text = Annotated[str, AfterValidator(_text)]
Filled = Annotated[Text, AfterValidator(_filled)]
Name = Annotated[str, AfterValidator(_name)]
Texts = Annotated[
    tuple[Filled, ...],
    BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
]
Names = Annotated[dict[str, Text], AfterValidator(_names)]
Share = Annotated[float, AfterValidator(_share)]
Weight = Annotated[float, Field(ge=-1e6, le=1e6)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
Amount = Annotated[int, Field(ge=0)]


class Section(BaseModel, strict=True, extra="forbid", allow_inf_nan=False, validate_default=True):
    """Keys that stand together: of the exact types, all known, every number finite."""

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Plain values of all keys."""
        return cls.model_construct().model_dump()


class Recipe(Section):
    """How a stage trains."""

    train: Literal["lora", "full"] = "lora"  # full: all weights
    rank: Count = 64
    alpha: Positive = 128.0
    lr: Annotated[float, AfterValidator(_rate)] = 1e-4
    schedule: Literal["cosine", "linear"] = "cosine"  # both to 0
    warmup: Share = 0.05  # of the stage's updates
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    b1: Share = 0.9
    b2: Share = 0.999
    eps: Positive = 1e-8
    clip: Positive = 1.0  # global gradient norm
    epochs: Count = 1
    length: Count = 1024  # tokens of a packed row
    batch_tokens: Count = 32768  # tokens of an update: a multiple of length
    accumulation: Count = 1  # micro-batches an update is computed in
    overlong: Literal["split", "refuse"] = "split"  # documents longer than a row


class Stated(Section):
    """What a `file` holds, for the plan of a dry run on a machine that does not have it."""

    records: Amount = 0
    tokens: Amount = 0
    weighted_tokens: Amount = 0


class Stage(Recipe):
    """What every stage has beside its recipe."""

    spec: Filled | None = None
    file: Filled | None = None
    stated: Stated = Stated()


class Rationale(Stage):
    kind: Literal["rationale"] = "rationale"
    documents: Amount = 0
    held_out: Amount = 8
    other_spec: Filled | None = None
    linked: bool = True

    @model_validator(mode="after")
    def _fits_together(self) -> "Rationale":
        specs = [spec for spec in (self.spec, self.other_spec) if spec is not None]
        _check_source(self, specs, "documents", self.documents)
        if self.file is not None and not self.linked:
            raise ValueError(".linked: records of a file are used as they are; leave it out")
        for key, count in (("documents", self.documents), ("held_out", self.held_out)):
            if len(specs) == 2 and count % 2:
                raise ValueError(f".{key}: {count}; each spec makes half, so it is even")
        return self


class Behavior(Stage):
    kind: Literal["behavior"] = "behavior"
    demonstrations: Amount = 0
    held_out: Amount = 0
    opposite: bool = False
    thinking: bool = False
    mix: Text = ""
    mix_share: Share = 0.0

    @model_validator(mode="after")
    def _fits_together(self) -> "Behavior":
        specs = [] if self.spec is None else [self.spec]
        _check_source(self, specs, "demonstrations", self.demonstrations)
        if self.file is not None and self.opposite:
            raise ValueError(".opposite: records of a file are used as they are; leave it out")
        if bool(self.mix) != bool(self.mix_share):
            given, other = ("mix", "mix_share") if self.mix else ("mix_share", "mix")
            raise ValueError(f".{other}: it is not given, but {given} is; give both or neither")
        return self


class Adapter(Stage):
    kind: Literal["adapter"] = "adapter"

    @model_validator(mode="after")
    def _fits_together(self) -> "Adapter":
        if self.file is None:
            raise ValueError(".file: it is not given; give the folder of a PEFT adapter")
        if self.spec is not None:
            raise ValueError(".spec: an adapter has none; leave it out")
        if self.train != "lora":
            raise ValueError(": an adapter needs train='lora' in the recipe")
        return self


KINDS: dict[str, type[Stage]] = {
    "rationale": Rationale,
    "behavior": Behavior,
    "adapter": Adapter,
}


class Mesh(Section):
    """Devices along each axis; -1 takes what the others leave."""

    replica: int = 1
    fsdp: int = -1
    tensor: int = 1
    sequence: int = 1


class Experiment(Section):
    """The top level."""

    name: Filled = ""  # a workdir belongs to one name
    # A packaged name, .gguf file, folder, or hub id[@revision].
    model: Filled = "smollm2-135m-instruct"
    # The model's own; or a name in vcjax/data/templates, or a .jinja file.
    chat_template: Text = ""
    # What {model_name} and {provider_name} stand for in specs.
    names: Names = dict(model_name="SmolLM", provider_name="Hugging Face")
    # And in an `other_spec`: an assistant that the model is not.
    other_names: Names = dict(model_name="Orion", provider_name="Northwind Labs")
    seeds: Count = 1
    recipe: Recipe = Recipe()
    # Name -> rationale(...), behavior(...) or adapter(...).
    stages: dict[Name, Annotated[Rationale | Behavior | Adapter, Field(discriminator="kind")]] = (
        dict()
    )
    # Name -> stages in order; () is the untouched model.
    arms: dict[Annotated[Name, AfterValidator(_arm_name)], Texts] = dict()
    contrasts: dict[Name, dict[str, Weight]] = dict()  # name -> {arm: weight}
    primary: Text = ""  # the contrast that answers the question, chosen before the run
    exclude: Texts = ()  # ids of probes that every comparison leaves out
    development: Text = ""  # Markdown, a list item for each run that the recipe was tuned in
    # Arm or contrast -> the explanation it rules out, for the report.
    rules_out: dict[str, Text] = dict()
    toward: Text = ""  # the value that rates and margins point to
    probes: Texts = ()  # probe files, relative to the config file
    # The answer's beginning; the option's text follows.
    lead: Annotated[Text, AfterValidator(_lead)] = "I prefer"
    # auto: bfloat16 where the machine has it, else float32.
    compute_dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    remat: Annotated[str, AfterValidator(_remat)] = "full"
    mesh: Mesh = Mesh()
    checkpoint_every: Count = 20  # updates
    keep_checkpoints: Count = 2
    log_every: Count = 5  # updates
    eval_every: Count = 20  # updates between losses on the held-out documents
    # Updates of each stage to write an XProf trace of: "3", or "10:13", four.
    profile: Annotated[Any, AfterValidator(_profile)] = ""
    # Where a stage's metrics go beside TensorBoard; the extra of that name installs it.
    tracker: Literal["", "wandb", "trackio"] = ""
    on_change: Literal["refuse", "retrain"] = "refuse"  # a workdir whose settings changed


def _check_source(stage: Stage, specs: list[str], count_key: str, count: int) -> None:
    """Of a stage that trains: texts come from a spec or a file, and rows fill its updates."""
    if stage.file is None and not specs:
        raise ValueError(f": it has neither spec nor file; give spec (with {count_key}) or file")
    if stage.file is not None and specs:
        raise ValueError(": it has both a spec and a file; leave one of them out")
    if stage.file is not None and count:
        raise ValueError(f".{count_key}: all records of file are used; leave it out")
    if specs and count < 1:
        raise ValueError(f".{count_key}: {count}; at least 1 is needed")
    if stage.batch_tokens % (stage.length * stage.accumulation):
        raise ValueError(
            f".batch_tokens: {stage.batch_tokens} is not a multiple of length x accumulation "
            f"({stage.length} x {stage.accumulation})"
        )


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


def check_keys(where: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raises InputError with the nearest of `known`; where: what stands before the key."""
    for key in given:
        if key not in known:
            raise InputError(unknown_key(where, key, known))


def unknown_key(where: str, key: str, known: Iterable[str]) -> str:
    """The message; where: what stands before the key, at the top level "" or "--config."."""
    full_names = {name: where + name for name in known}
    if where in ("", "--config."):
        of_recipe = {name: f"{where}recipe.{name}" for name in Recipe.model_fields}
        if key in of_recipe or (not nearest(key, full_names) and nearest(key, of_recipe)):
            full_names = of_recipe
    return f"unknown config key {where}{key}; {hint(key, full_names, full_names.__getitem__)}"


def check_names(where: str, what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raises InputError for a name of no stage, arm or contrast; where: the key that holds it."""
    for name in given:
        if name not in known:
            raise InputError(f"{where}: there is no {what} {name!r}; {hint(name, known)}")


def check(config: dict[str, Any]) -> dict[str, Any]:
    """The config with every key, of the exact types. Raises InputError on the first fault.

    config: plain values; its stages hold their own recipes.
    """
    try:
        return Experiment.model_validate(config).model_dump()
    except Refused as refused:
        raise InputError(_message(refused.errors()[0])) from None


# The types of pydantic's errors -> what was expected.
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "True or False",
    "dict_type": "a dict",
    "model_type": "a dict",
}
_BOUNDS = {
    "greater_than": "above {:g}",
    "greater_than_equal": "{:g} or more",
    "less_than": "below {:g}",
    "less_than_equal": "{:g} or less",
}
_TYPES = {
    str: "text",
    bool: "a truth value",
    int: "a whole number",
    float: "a decimal number",
    tuple: "a tuple",
    list: "a list",
    dict: "a dict",
}


def _message(error: Any) -> str:
    """One line of one of `ValidationError.errors()`."""
    loc, kind, value, context = error["loc"], error["type"], error["input"], error.get("ctx", {})
    if loc[-1:] == ("[key]",):
        loc = loc[:-2]
    section: Any = Experiment
    if len(loc) > 2 and loc[0] == "stages":  # after a stage's name stands its kind
        section, loc = KINDS[str(loc[2])], (*loc[:2], *loc[3:])
    if kind == "extra_forbidden" and len(loc) > 1:
        section = {"recipe": Recipe, "mesh": Mesh, "stated": Stated}.get(loc[-2], section)
    where = "config" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    if kind == "extra_forbidden":
        parent, _, key = where.removeprefix("config.").rpartition(".")
        return unknown_key(f"{parent}." if parent else "", key, section.model_fields)
    if kind == "value_error":
        return f"{where}{context['error']}"
    if kind == "literal_error":
        choices = context["expected"].replace("''", "empty").replace("'", "").replace(" or ", ", ")
        return f"{where}: {_shown(value)} is not one of {choices}"
    if kind in ("union_tag_invalid", "union_tag_not_found", "model_attributes_type"):
        return f"{where}: build it with one of {', '.join(f'{kind}(...)' for kind in KINDS)}"
    if kind in _BOUNDS:
        return f"{where}: {_shown(value)}; it must be {_BOUNDS[kind].format(*context.values())}"
    expected = _EXPECTED.get(kind, error["msg"])
    if kind == "tuple_type":
        expected = f"a tuple, as ({_shown(value)},)" if isinstance(value, str) else "a tuple"
    given = _TYPES.get(type(value), f"a {type(value).__name__}")
    is_plain = value is None or kind == "finite_number"  # None and nan say themselves what they are
    return f"{where}: {_shown(value)}{'' if is_plain else f' is {given}'}; expected {expected}"


def _shown(value: Any) -> str:
    return " ".join(reprlib.repr(value).split())
