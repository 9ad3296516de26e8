"""Every key of a config: its type, its default, its range, and what of them fits together.

Validators raise ValueError; its text goes on from the key: ": 1.5; it is a share".
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from vcjax.data.sources import is_world, split_source
from vcjax.schema.shown import shown
from vcjax.schema.values import (
    Amount,
    ArmName,
    Count,
    Filled,
    Lead,
    Listed,
    Name,
    Names,
    Part,
    Positive,
    Profile,
    Rate,
    Remat,
    Share,
    StageName,
    Text,
    Texts,
    Url,
    VariableName,
    Weight,
)


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


class Shape(Section):
    """The sizes of a model that starts from nothing (model="scratch"), a Llama with tied
    embeddings."""

    num_layers: Count = 4
    embed_dim: Count = 96
    mlp_dim: Count = 256
    num_heads: Count = 4
    context_length: Count = 128

    @model_validator(mode="after")
    def _divides(self) -> "Shape":
        if self.embed_dim % (2 * self.num_heads):
            raise ValueError(
                f".embed_dim: {self.embed_dim} does not divide over {self.num_heads} heads of an "
                "even size; give a multiple of 2 x num_heads"
            )
        return self


class Mesh(Section):
    """Devices along each axis; -1 takes what the others leave."""

    replica: int = 1
    fsdp: int = -1
    tensor: int = 1
    sequence: int = 1


class Curve(Section):
    """Contrasts against a number in which their arms differ; its name is that number's."""

    series: dict[Name, dict[Name, float]] = dict()  # name -> {contrast: number}
    fewer: Texts = ()  # (a, b): how many times fewer a needs for what b has at its largest number

    @model_validator(mode="after")
    def _fits_together(self) -> "Curve":
        if not self.series:
            raise ValueError(".series: there is none; give name -> {contrast: number}")
        for name, levels in self.series.items():
            if len(levels) < 2:
                raise ValueError(
                    f".series.{name}: a curve needs 2 levels or more, contrast: number"
                )
            if twice := [x for x in levels.values() if [*levels.values()].count(x) > 1]:
                raise ValueError(f".series.{name}: two contrasts at {twice[0]:g}; leave one out")
        if not self.fewer:
            return self
        if len({*self.fewer}) != 2 or len(self.fewer) != 2 or {*self.fewer} - {*self.series}:
            raise ValueError(f".fewer: {shown(self.fewer)}; give two of {', '.join(self.series)}")
        for name in self.fewer:
            if min(self.series[name].values()) < 0:
                raise ValueError(f".series.{name}: with `fewer` no level may be below 0")
        return self


class Sampling(Section):
    """How answers in free text are drawn."""

    temperature: Annotated[float, Field(ge=0)] = 0.0  # 0: the likeliest token each time
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Count = 64
    samples: Count = 1  # answers to each question
    slots: Count = 8  # answers at once of each model

    @model_validator(mode="after")
    def _fits_together(self) -> "Sampling":
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(
                f".samples: {self.samples}, but at temperature 0 all are equal; give a temperature"
            )
        return self


class Judge(Section):
    """Who scores the sampled answers of open probes, from 1 to 10."""

    by: Literal["none", "base", "phrases", "endpoint"] = "base"  # base: the untouched model
    url: Url = ""  # of an endpoint: its base URL, with OpenAI's chat completions below it
    model: Text = ""  # of an endpoint: the name of its model
    key: VariableName = ""  # of an endpoint: the environment variable that holds its key
    requests: Count = 8  # to an endpoint, at once
    max_tokens: Count = 1024  # of a reply of an endpoint
    most_failed: Part = 0.1  # judgements that may fail; above it the report shows no rate

    @model_validator(mode="after")
    def _fits_together(self) -> "Judge":
        if self.by != "endpoint":
            for key in ("url", "model", "key"):
                if getattr(self, key):
                    raise ValueError(f".{key}: only an endpoint has one; leave it out")
            return self
        for key in ("url", "model"):
            if not getattr(self, key).strip():
                raise ValueError(f".{key}: it is empty; an endpoint needs it")
        return self


class Evaluation(Section):
    """An Inspect task that the run's models are to be asked, and how often."""

    task: Filled = ""
    args: dict[Name, Text] = dict()  # of the task
    epochs: Count = 1  # samples of each prompt
    temperature: Annotated[float, Field(ge=0)] = 0.0
    max_tokens: Count = 1024


class Experiment(Section):
    """The top level."""

    name: Filled = ""  # a workdir belongs to one name
    # A packaged name, .gguf file, folder, hub id[@revision], or "scratch": random weights.
    model: Filled = "smollm2-135m-instruct"
    shape: Shape = Shape()  # of model="scratch"
    # The model's own; or a name in vcjax/data/templates, or a .jinja file.
    chat_template: Text = ""
    # What {model_name} and {provider_name} stand for in specs.
    names: Names = dict(model_name="SmolLM", provider_name="Hugging Face")
    # And in an `other_spec`: an assistant that the model is not.
    other_names: Names = dict(model_name="Orion", provider_name="Northwind Labs")
    seeds: Count = 1
    recipe: Recipe = Recipe()
    # Name -> pretrain(...), rationale(...), behavior(...) or adapter(...).
    stages: dict[
        StageName,
        Annotated[Pretrain | Rationale | Behavior | Adapter, Field(discriminator="kind")],
    ] = dict()
    # Name -> stages in order; () is the untouched model; the last may be "name@update".
    arms: dict[ArmName, Texts] = dict()
    # Arm -> a file, as a spec, that its models read as system prompt whenever they are asked.
    system_prompts: dict[ArmName, Filled] = dict()
    contrasts: dict[Name, dict[str, Weight]] = dict()  # name -> {arm: weight}
    primary: Text = ""  # the contrast that answers the question, chosen before the run
    exclude: Texts = ()  # ids of probes that every comparison leaves out
    development: Texts = ()  # Markdown, a list item for each run that the recipe was tuned in
    # Arm or contrast -> the explanation it rules out, for the report.
    rules_out: dict[str, Text] = dict()
    curves: dict[Name, Curve] = dict()  # of contrasts, for the report
    toward: Text = ""  # the value that rates and margins point to
    probes: Texts = ()  # probe files, relative to the config file
    # The answer's beginning; the option's text follows.
    lead: Lead = "I prefer"
    # Which held-out choices answer the question: a value against another, or against neither.
    primary_probes: Literal["values", "neutral"] = "values"
    sampling: Sampling = Sampling()  # of answers in free text
    judge: Judge = Judge()  # of open probes
    evaluations: dict[Name, Evaluation] = dict()  # that the plan counts; run by themselves
    # auto: bfloat16 where the machine has it, else float32.
    compute_dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    remat: Remat = "full"
    mesh: Mesh = Mesh()
    checkpoint_every: Count = 20  # updates
    keep_checkpoints: Count = 2
    log_every: Count = 5  # updates
    eval_every: Count = 20  # updates between losses on the held-out documents
    # Updates of each stage to write an XProf trace of: "3", or "10:13", four.
    profile: Profile = ""
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
