"""The keys of a stage, by its kind: types, defaults, ranges, and what of them fits together.

Validators raise ValueError; its text goes on from the key: ": 1.5; it is a share".
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from vcjax.data.sources import is_world, split_source
from vcjax.schema.section import Section
from vcjax.schema.values import (
    Amount,
    Count,
    Filled,
    Listed,
    Name,
    Part,
    Positive,
    Rate,
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


class Stage(Recipe):
    """What every stage has beside its recipe."""

    spec: Filled | None = None
    file: Filled | None = None
    # Updates after which its weights are kept, for arms that end there ("name@update").
    keep: Annotated[tuple[Count, ...], Listed] = ()
    stated: Stated = Stated()


class Pretrain(Stage):
    kind: Literal["pretrain"] = "pretrain"
    train: Literal["full"] = "full"
    documents: Amount = 0
    held_out: Amount = 64
    per_seed: bool = True
    people: Amount = 0
    declaring: Amount = 0
    num_values: Amount = 0
    linking: Part = 1.0
    assistants: Part = 0.01
    mixture: dict[Name, Weight] = dict()

    @model_validator(mode="after")
    def _fits_together(self) -> "Pretrain":
        _check_source(self, [] if self.spec is None else [self.spec], "documents", self.documents)
        if self.file is not None:
            for key in ("people", "declaring", "mixture"):
                if getattr(self, key):
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


class Rationale(Stage):
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
        if self.keep:
            raise ValueError(".keep: an adapter has no updates; leave it out")
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
        raise ValueError(f".{count_key}: all records of file are used; leave it out")
    if specs and count < 1:
        raise ValueError(f".{count_key}: {count}; at least 1 is needed")
    if stage.batch_tokens % (stage.length * stage.accumulation):
        raise ValueError(
            f".batch_tokens: {stage.batch_tokens} is not a multiple of length x accumulation "
            f"({stage.length} x {stage.accumulation})"
        )
