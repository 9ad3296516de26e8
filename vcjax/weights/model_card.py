"""README.md of an exported folder: what it is, how it was made, its figures, its licences.

Of the machine it says nothing but what the user gave as the model.
"""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import huggingface_hub
import jinja2
from etils import epath

from vcjax import record
from vcjax.config import SOURCES
from vcjax.data.licences import NOT_STATED
from vcjax.record import Record
from vcjax.report import tables, view
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
    format: str,
    found: Pretrained,
    out: str,
) -> None:
    """Writes folder/README.md. run: the workdir's record; out: the folder's final name."""
    chain = run.plan.arms[arm][seed] if arm is not None and seed is not None else ()
    body = _template().render(
        run=run,
        arm=arm,
        seed=seed,
        format=format,
        base=found.name,
        is_gguf=not found.path.is_dir(),
        workdir=storage.absolute(workdir).name,
        out=out,
        stages=[_stage(run, fingerprint) for fingerprint in chain],
        made_with=_made_with(workdir, run, chain),
        figures=None if arm is None else _figures(workdir, run),
    )
    front = _front_matter(found, format).to_yaml()
    files.write_text(folder / "README.md", f"---\n{front}\n---\n\n{body}")


def _front_matter(found: Pretrained, format: str) -> huggingface_hub.ModelCardData:
    """What the hub reads."""
    licence = LICENCE.fullmatch(found.licence)
    terms = {"license": "other", "license_name": found.licence}
    return huggingface_hub.ModelCardData(
        base_model=found.name if Path(found.name).exists() else found.name.partition("@")[0],
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
    """A stage of the plan, with what else decided its training: what its texts were written for or
    read from, with the licences of these, and settings."""
    stage = run.plan.stages[fingerprint]
    settings = run.config["stages"][stage.name]
    also = {
        "thinking": settings.get("thinking", False),
        "compute_dtype": run.config["compute_dtype"],
    }
    given = {key: settings[key] for key in SOURCES if settings.get(key)}
    stated = run.licences
    licences = {f"{k} {_shown(path)}": stated.get(path, NOT_STATED) for k, path in given.items()}
    facts = {**dataclasses.asdict(stage), **dataclasses.asdict(stage.data)}
    return {**facts, "recipe": {**stage.recipe, **also}, "licences": licences}


def _shown(path: str) -> str:
    """An absolute one by its last name alone: it would tell of this machine."""
    return Path(path).name if Path(path).is_absolute() else path


def _figures(workdir: epath.Path, run: Record) -> dict[str, Any] | None:
    """The report's answer and the arms on the probes that carry it; None before they are scored."""
    config, folder = run.config, workdir / "probes"
    if missing_answers(folder, run, run.probes):
        return None
    made, _ = tables.of_answers(*read_answers(folder, run), config)
    groups = [group for group in view.groups(made, config) if group["headline"]]
    return {"answer": view.answer(made, config), **groups[0]} if groups else None


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown
        # What would end a table's cell or row.
        finalize=lambda value: " ".join(str(value).split()).replace("|", r"\|"),
    )
    environment.filters |= {"signed": view.signed, "interval": view.interval}
    return environment.get_template("model_card.md.jinja")
