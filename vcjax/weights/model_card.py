"""README.md of an exported folder: what it is, how it was trained, its figures, its licences.

It holds no path of this machine but the one that the user gave as the model.
"""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import huggingface_hub
import jinja2
from etils import epath

from vcjax import config as configs
from vcjax import record
from vcjax.data import templates
from vcjax.data.licences import NOT_STATED
from vcjax.data.sources import sources_of, split_source
from vcjax.models.lora import LoRA
from vcjax.record import Record
from vcjax.report import formatting, sources, tables, view
from vcjax.report.reading import missing_answers, read_answers
from vcjax.weights.pretrained import Pretrained
from vcjax.workdir import files, storage

LICENCE = re.compile(r"([\w.+-]+)( \(.*\))?")  # an identifier, perhaps with whose it is


def write(
    folder: Path,
    workdir: epath.Path,
    run: Record,
    arm: str | None,
    seed: int | None,
    chain: Sequence[str],
    end: int | None,
    lora: LoRA | None,
    format: str,
    pretrained: Pretrained,
    out: str,
) -> None:
    """Writes folder/README.md.

    run: the workdir's record; chain: the fingerprints of the stages that the weights went through;
    end: the update of the last one after which they were taken, None: its end; lora: of the adapter
    that is written or merged, None where there is none; out: the folder's final name.
    """
    pretraining = run.plan.pretraining(chain[-1]) if chain else None
    of = f" --arm={arm} --seed={seed}" if pretraining else ""
    body = _template().render(
        run=run,
        arm=arm,
        seed=seed,
        format=format,
        lora=lora,
        graft=configs.graft_of(run.config, arm),
        base=pretrained.name,
        base_sha256=pretrained.identity,
        base_licence=pretrained.licence,
        is_gguf=pretrained.path is not None and pretrained.folder is None,
        pretrained_by=pretraining and pretraining.name,
        base_command=f"--format=base{of} --out=base",
        workdir=storage.absolute(workdir).name,
        out=out,
        stages=[_stage(run, fingerprint) for fingerprint in chain],
        end=end,
        made_with=_made_with(workdir, run, chain),
        warnings=templates.warnings(pretrained.tokenizer),
        figures=None if arm is None else _figures(workdir, run),
    )
    front = _front_matter(pretrained, format).to_yaml()
    files.write_text(folder / "README.md", f"---\n{front}\n---\n\n{body}")


def _front_matter(pretrained: Pretrained, format: str) -> huggingface_hub.ModelCardData:
    """The YAML that the hub reads."""
    name, licence = pretrained.name, LICENCE.fullmatch(pretrained.licence)
    terms = {"license": "other", "license_name": pretrained.licence}
    return huggingface_hub.ModelCardData(
        base_model=name if Path(name).exists() else name.partition("@")[0],
        library_name="peft" if format == "peft" else "transformers",
        pipeline_tag="text-generation",
        tags=["vcjax", *(["lora"] if format == "peft" else [])],
        **({"license": licence[1].lower()} if licence else terms),
    )


def _made_with(workdir: epath.Path, run: Record, chain: Sequence[str]) -> list[dict[str, str]]:
    """What trained the stages of the chain, each environment once; else what planned the run."""
    trained_by = record.trained_by(workdir, run)
    environments: list[dict[str, str]] = []
    for fingerprint in chain:
        environments += [one for one in trained_by[fingerprint] if one not in environments]
    return environments or [run.environment]


def _stage(run: Record, fingerprint: str) -> dict[str, Any]:
    """A stage of the plan, with its other settings and the sources of its texts with their
    licences."""
    stage = run.plan.stages[fingerprint]
    settings = run.config["stages"][stage.name]
    also = {
        "thinking": settings.get("thinking", False),
        "compute_dtype": run.config["compute_dtype"],
    }
    stated = run.licences
    licences = {
        f"{key.removesuffix('.file')} {sources.shown(source)}": stated.get(
            split_source(source)[0], NOT_STATED
        )
        for key, source in sources_of(settings).items()
    }
    facts = {**dataclasses.asdict(stage), **dataclasses.asdict(stage.data)}
    facts |= {"recipe": {**stage.recipe, **also}, "licences": licences}
    facts["order"] = ", ".join(settings.get("order", ()))  # of its sources
    facts["rename"] = ", ".join(f"{old} to {new}" for old, new in settings.get("rename", ()))
    return {**facts, "sources": sources.rows(stage)}


def _figures(workdir: epath.Path, run: Record) -> dict[str, Any] | None:
    """The report's headline figures; None before all probes are scored."""
    config, folder = run.config, workdir / "probes"
    if missing_answers(folder, run, run.probes):
        return None
    results, _ = tables.make_tables(read_answers(folder, run, run.probes), config)
    groups = [group for group in view.groups(results, config) if group["headline"]]
    return {"answer": view.answer(results, config), **groups[0]} if groups else None


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown
        # A line break or | would end a table's row or cell.
        finalize=lambda value: " ".join(str(value).split()).replace("|", r"\|"),
    )
    environment.filters |= {"signed": formatting.signed, "interval": formatting.interval}
    return environment.get_template("model_card.md.jinja")
