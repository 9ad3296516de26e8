"""The keys of a config: types, defaults, ranges, and what of them fits together; those of its
stages are in `stages.py`.

Validators raise ValueError; its text goes on from the key: ": 1.5; it is a share".
"""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from vcjax.schema.section import Section
from vcjax.schema.stages import Adapter, Behavior, Pretrain, Rationale, Recipe
from vcjax.schema.values import (
    ArmName,
    Count,
    Filled,
    Lead,
    Listed,
    Name,
    Names,
    Part,
    Place,
    Profile,
    Remat,
    StageName,
    Text,
    Texts,
    Url,
    VariableName,
    Weight,
)

SCRATCH = "scratch"  # config.model that starts from random weights


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
    fewer_than: str = ""  # a series: how many times fewer do others need for what it has at last

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
        if not self.fewer_than:
            return self
        if self.fewer_than not in self.series or len(self.series) == 1:
            raise ValueError(
                f".fewer_than: {self.fewer_than!r}; give one of two series or more: "
                f"{', '.join(self.series)}"
            )
        for name, levels in self.series.items():
            if min(levels.values()) < 0:
                raise ValueError(f".series.{name}: with `fewer_than` no level may be below 0")
        return self


class Graft(Section):
    """An arm that is asked on another checkpoint than it was trained on, or scaled."""

    arm: Filled = ""
    model: Text = ""  # as config.model, which it is where this is empty
    scale: Weight = 1.0  # times what the arm's adapters add


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


class ProbeFile(Section):
    """A file of probes, and what it does not say itself."""

    path: Place = ""
    lead: Lead = ""  # the beginning of answers to probes that have none of their own
    value: Text = ""  # that the rows of a published file measure
    rubric: Text = ""  # a file: what a judge of a published file's questions reads
    spec: Text = ""  # a file whose text stands at {spec} in the rubric
    splits: Texts = ()  # that are read of a folder or a data set with several


# A path, or what `config.probe_file` returns.
ProbeEntry = Annotated[
    Annotated[Place, Tag("path")] | Annotated[ProbeFile, Tag("file")],
    Discriminator(lambda given: "file" if isinstance(given, dict | ProbeFile) else "path"),
]


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
    # Name -> an arm on another base, or scaled: one more arm, which trains nothing of its own.
    grafts: dict[ArmName, Graft] = dict()
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
    # Probe files, relative to the config file; or probe_file(...).
    probes: Annotated[tuple[ProbeEntry, ...], Listed] = ()
    # What to do where training texts give probes away.
    overlap: Literal["refuse", "report"] = "refuse"
    # The answer's beginning; the option's text follows.
    lead: Lead = "I prefer"
    # Which held-out choices answer the question: a value against another, or against neither.
    primary_probes: Literal["values", "neutral"] = "values"
    sampling: Sampling = Sampling()  # of answers in free text
    judge: Judge = Judge()  # of open probes
    evaluations: dict[Name, Evaluation] = dict()  # that the plan counts; run by themselves
    published: Text = ""  # a file of others' figures, to stand beside the run's
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
