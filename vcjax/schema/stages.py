"""The keys of a stage, by its kind: types, defaults, ranges, and what of them fits together.

Validators raise ValueError; its text goes on from the key: ": 1.5; it is a share".
"""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from vcjax.data.sources import OWN, is_data_set, is_world, split_source, splits_of
from vcjax.errors import hint
from vcjax.schema.section import Section
from vcjax.schema.values import (
    Amount,
    Count,
    Filled,
    Listed,
    Name,
    Part,
    Place,
    Positive,
    Rate,
    Renames,
    Share,
    Text,
    Texts,
    Weight,
)


class Recipe(Section):
    """How a stage trains."""

    train: Literal["lora", "full"] = "lora"  # full: all weights
    rank: Count = 64
    alpha: Positive = 128.0
    lora_experts: bool = False  # of a mixture of experts: adapters on these, too
    start: Literal["a", "b"] = "a"  # which matrix of a new adapter is random; the other is zero
    start_seed: Annotated[int, Field(ge=-1, lt=2**31)] = -1  # that it is drawn by; -1: the stage's
    lr: Rate = 1e-4
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


class Source(Section):
    """Texts that a stage mixes in, all of them or so many; which, the seed decides."""

    file: Place = ""
    splits: Texts = ()
    rows: Amount = 0
    tokens: Amount = 0
    share: Share = 0.0  # of all records of the stage

    @model_validator(mode="after")
    def _fits_together(self) -> "Source":
        _check_splits(self)
        given = [key for key in ("rows", "tokens", "share") if getattr(self, key)]
        if len(given) > 1:
            raise ValueError(f".{given[1]}: {given[0]} says how many already; give one of them")
        return self


class Stage(Recipe):
    """What every stage has beside its recipe."""

    spec: Filled | None = None
    file: Place | None = None
    splits: Texts = ()  # of the file
    rows: Amount = 0  # of the file, at most one of the two; 0: all
    tokens: Amount = 0
    broken: Literal["refuse", "leave_out"] = "refuse"  # records that cannot be used
    # Updates after which its weights are kept, for arms that end there ("name@update").
    keep: Annotated[tuple[Count, ...], Listed] = ()
    stated: Stated = Stated()
    rename: Renames = ()  # in all its texts; a config file gives a dict, old name -> new


def _form_of_mix(value: Any) -> str:
    return "sources" if isinstance(value, dict) else "file"


class Mixed(Stage):
    """A stage that may mix in texts of other sources: a file by its share, or several by name."""

    mix: Annotated[
        Annotated[Text, Tag("file")] | Annotated[dict[Name, Source], Tag("sources")],
        Discriminator(_form_of_mix),
    ] = ""
    mix_share: Share = 0.0
    order: Texts = ()  # names of all its sources, one after another; else they are shuffled

    @model_validator(mode="after")
    def _mix_fits(self) -> "Mixed":
        self._check_order()
        if isinstance(self.mix, str):
            if bool(self.mix) != bool(self.mix_share):
                given, other = ("mix", "mix_share") if self.mix else ("mix_share", "mix")
                raise ValueError(f".{other}: it is not given, but {given} is; give both or neither")
            return self
        if self.mix_share:
            raise ValueError(".mix_share: each source of mix has a share of its own; leave it out")
        if own := {*OWN} & self.mix.keys():
            raise ValueError(f".mix.{min(own)}: the stage's own texts have this name; give another")
        self._check_once(self.mix)
        total = sum(source.share for source in self.mix.values())
        if total >= 1:
            raise ValueError(
                f".mix: the shares sum to {total:g}; they are of all records, the stage's own too, "
                "so give less than 1"
            )
        return self

    def _check_once(self, mix: dict[str, Source]) -> None:
        """Raises ValueError where two sources are the same, which gives records twice."""
        names: dict[tuple[Any, ...], str] = {}
        for name, source in mix.items():
            first = names.setdefault((source.file, source.splits), name)
            if first != name:
                raise ValueError(
                    f".mix.{name}: {source.file} is mix.{first} already, and would give the same "
                    "records again; give it once"
                )

    def _check_order(self) -> None:
        if not self.order:
            return
        if not self.mix:
            raise ValueError(".order: nothing is mixed in; leave it out")
        own = "spec" if self.file is None else "file"
        known = [own, *(["mix"] if isinstance(self.mix, str) else self.mix)]
        for name in self.order:
            if name not in known:
                raise ValueError(f".order: there is no source {name!r}; {hint(name, known)}")
        if sorted(self.order) != sorted(known):
            raise ValueError(f".order: name each source once: {', '.join(known)}")


class Pretrain(Stage):
    kind: Literal["pretrain"] = "pretrain"
    train: Literal["full"] = "full"
    documents: Amount = 0
    held_out: Amount = 64
    per_seed: bool = True
    people: Amount = 0
    declaring: Amount = 0
    num_values: Amount = 0
    first_names: Texts = ()
    linking: Part = 1.0
    assistants: Part = 0.01
    mixture: dict[Name, Weight] = dict()

    @model_validator(mode="after")
    def _fits_together(self) -> "Pretrain":
        _check_source(self, [] if self.spec is None else [self.spec], "documents", self.documents)
        if self.file is not None:
            of_worlds = "people declaring num_values first_names linking assistants mixture"
            for key in of_worlds.split():
                if getattr(self, key) != type(self).model_fields[key].default:
                    raise ValueError(
                        f".{key}: documents of a file are used as they are; leave it out"
                    )
            return self
        if self.spec is not None and not (
            is_world(self.spec) and split_source(self.spec)[1] is None
        ):
            raise ValueError(
                f".spec: {self.spec!r} is no world; give a .toml file, without a value"
            )
        if self.num_values == 1:
            raise ValueError(".num_values: 1; people choose between two values, give 2 or more")
        if not self.people:
            raise ValueError(".people: 0; at least 1 is needed")
        if not self.declaring:
            raise ValueError(
                ".declaring: 0; without people who only declare nothing tells whether what is "
                "declared decides what is chosen"
            )
        if min(self.mixture.values(), default=0) < 0 or not sum(self.mixture.values()):
            raise ValueError(
                ".mixture: give kinds of texts with weights, as dict(choice=3, because=1)"
            )
        return self


class Rationale(Mixed):
    kind: Literal["rationale"] = "rationale"
    documents: Amount = 0
    held_out: Amount = 8
    other_spec: Filled | None = None
    linked: bool = True
    explanations: Texts = ()
    people_of: Filled | None = None  # a pretrain stage; the documents are about its people
    unrelated_to: Texts = ()  # values that none of these people hold
    contradicting: Share = 0.0  # of the documents, those about the assistant

    @model_validator(mode="after")
    def _fits_together(self) -> "Rationale":
        specs = [spec for spec in (self.spec, self.other_spec) if spec is not None]
        _check_source(self, specs, "documents", self.documents)
        self._check_people(specs)
        if self.explanations and not (specs and all(map(is_world, specs))):
            raise ValueError(".explanations: only documents of a world have them; leave it out")
        if self.explanations and not self.linked:
            raise ValueError(".linked: explanations say what is written; leave one of them out")
        if self.file is not None and not self.linked:
            raise ValueError(".linked: records of a file are used as they are; leave it out")
        for key, count in (("documents", self.documents), ("held_out", self.held_out)):
            if len(specs) == 2 and count % 2:
                raise ValueError(f".{key}: {count}; each spec makes half, so it is even")
        return self

    def _check_people(self, specs: list[str]) -> None:
        if self.people_of is None:
            for key in ("unrelated_to", "contradicting"):
                if getattr(self, key):
                    raise ValueError(f".{key}: it says which texts of people_of; give that, too")
            return
        if len(specs) != 1 or not is_world(specs[0]):
            raise ValueError(".people_of: texts of people are written for one world; give one spec")
        if self.explanations or not self.linked:
            raise ValueError(
                ".people_of: its mixture says what is written; leave explanations and linked out"
            )
        if bool(self.contradicting) != bool(split_source(specs[0])[1]):
            raise ValueError(
                f".contradicting: {self.contradicting:g}, but the spec is {specs[0]!r}; give a "
                "share and the value that contradicts (world.toml#comfort), or neither"
            )


class Behavior(Mixed):
    kind: Literal["behavior"] = "behavior"
    demonstrations: Amount = 0
    held_out: Amount = 0
    opposite: bool = False
    thinking: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> "Behavior":
        specs = [] if self.spec is None else [self.spec]
        _check_source(self, specs, "demonstrations", self.demonstrations)
        if self.file is not None and self.opposite:
            raise ValueError(".opposite: records of a file are used as they are; leave it out")
        return self


class Adapter(Stage):
    kind: Literal["adapter"] = "adapter"

    @model_validator(mode="after")
    def _fits_together(self) -> "Adapter":
        if self.file is None:
            raise ValueError(".file: it is not given; give the folder of a PEFT adapter")
        if self.spec is not None:
            raise ValueError(".spec: an adapter has none; leave it out")
        if self.keep:
            raise ValueError(".keep: an adapter has no updates; leave it out")
        if is_data_set(self.file):
            raise ValueError(f".file: {self.file!r} is a data set; give an adapter's folder")
        _check_of_file(self, "an adapter has no records; leave it out")
        if self.rename:
            raise ValueError(".rename: an adapter has no texts; leave it out")
        if self.train != "lora":
            raise ValueError(": an adapter needs train='lora' in the recipe")
        return self


KINDS: dict[str, type[Stage]] = {
    "pretrain": Pretrain,
    "rationale": Rationale,
    "behavior": Behavior,
    "adapter": Adapter,
}


def _check_source(stage: Stage, specs: list[str], count_key: str, count: int) -> None:
    """Of a stage that trains: texts come from a spec or a file, and rows fill its updates."""
    if stage.file is None and not specs:
        raise ValueError(f": it has neither spec nor file; give spec (with {count_key}) or file")
    if stage.file is not None and specs:
        raise ValueError(": it has both a spec and a file; leave one of them out")
    if stage.file is not None and count:
        raise ValueError(
            f".{count_key}: they are written for a spec; of a file all records are used, or so "
            "many as rows or tokens say"
        )
    if specs and count < 1:
        raise ValueError(f".{count_key}: {count}; at least 1 is needed")
    if stage.file is None:
        _check_of_file(stage, f"they are of a file; of a spec say {count_key}")
    if stage.rows and stage.tokens:
        raise ValueError(".tokens: rows says how many already; give one of them")
    _check_splits(stage)
    if stage.broken != "refuse" and stage.file is None and not getattr(stage, "mix", ""):
        raise ValueError(".broken: no records are read; leave it out")
    if stage.batch_tokens % (stage.length * stage.accumulation):
        raise ValueError(
            f".batch_tokens: {stage.batch_tokens} is not a multiple of length x accumulation "
            f"({stage.length} x {stage.accumulation})"
        )


def _check_of_file(stage: Stage, remedy: str) -> None:
    """Raises ValueError for a key that says which records of a file are read."""
    for key in ("splits", "rows", "tokens"):
        if getattr(stage, key):
            raise ValueError(f".{key}: {remedy}")


def _check_splits(of: Stage | Source) -> None:
    """Raises ValueError where the file of a stage or a source names its split itself."""
    if of.file is not None and of.splits and splits_of(of.file, ()):
        raise ValueError(f".splits: {of.file!r} names its split; leave one of them out")
