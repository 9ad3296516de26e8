"""Judges the answers to open probes: a file of judgements for each arm and seed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import pandas as pd
from etils import epath

from vcjax import config as configs
from vcjax.asking.models import Asker
from vcjax.errors import InputError
from vcjax.judges import base, judging, phrases, rubric
from vcjax.judges.judgement import Judgement
from vcjax.probes import answer_files, probe_files
from vcjax.probes.probe_files import Probes
from vcjax.report import reading
from vcjax.weights.pretrained import Pretrained
from vcjax.workdir import preemption, processes


def check(probes: Probes, pretrained: Pretrained, config: Mapping[str, Any]) -> None:
    """Raises InputError where the config's judge could not judge answers to these probes; to be
    called before training."""
    questions = [*probe_files.questions(probes, "open")]
    by = config["judge"]["by"]
    if not questions:
        return
    judging.check(config["judge"])
    if by == "phrases":
        for probe in questions:
            phrases.check(probe.toward, probe.against, probe.where)
    if by == "base" and config["model"] == configs.SCRATCH:
        raise InputError(
            "config.judge.by: 'base', but a model that starts from random weights knows nothing "
            "before its pretraining; choose another judge, or 'none'"
        )
    if by == "base":
        base.check(
            pretrained.tokenizer, [rubric.render(p.rubric, p.question, "") for p in questions]
        )


def subfolders(workdir: epath.Path) -> list[str]:
    """The folders of the workdir with answers to open probes: the run's own, and of probes that
    were asked after it. Raises InputError where there are none."""
    folders = [workdir / "probes", *sorted((workdir / "probes").glob("*"))]
    found = [f"{folder.relative_to(workdir)}" for folder in folders if [*folder.glob("*.open.*")]]
    if not found:
        raise InputError(f"{workdir}: the run has no open probes, so there is nothing to judge")
    return found


def check_answers(asker: Asker, subfolders: Iterable[str]) -> None:
    """Raises InputError where the judge is "phrases", and a probe that was answered has none."""
    if asker.record.config["judge"]["by"] != "phrases":
        return
    for folder in (asker.workdir / subfolder for subfolder in subfolders):
        for arm, seed in _answered(asker, folder):
            for row in _answers(folder, arm, seed).drop_duplicates(["file", "id"]).itertuples():
                where = f"{row.file}: probe '{row.id}'"
                phrases.check(row.phrases_for, row.phrases_against, where)


def judge(asker: Asker, subfolder: str) -> None:
    """Judges the answers in this folder of the workdir; those with current judgements are
    skipped."""
    settings, folder = asker.record.config["judge"], asker.workdir / subfolder
    if settings["by"] == "none":
        return

    def on_first() -> list[tuple[str, int]]:
        return [
            (arm, seed)
            for arm, seed in _answered(asker, folder)
            if not (
                reading.is_judged(folder, arm, seed, _path(folder, arm, seed), settings)
                and (settings["by"] != "endpoint" or _all_replied(folder, arm, seed))
            )
        ]

    stale = processes.on_first(on_first)
    if not stale:
        return
    preemption.stop_if_noticed()
    tables = [_answers(folder, arm, seed) for arm, seed in stale]
    judged = judging.judge(
        pd.concat(tables, ignore_index=True),
        settings,
        asker.workdir,
        lambda texts: _by_base(asker, texts),
    )
    begin = 0
    for (arm, seed), answers in zip(stale, tables, strict=True):
        rows = judged.iloc[begin : begin + len(answers)].reset_index(drop=True)
        begin += len(answers)
        path = answer_files.own_path(folder, arm, seed, "judged")
        of = _path(folder, arm, seed)
        answer_files.write(path, rows, reading.judged_by(of, settings))
    failed = judged["failure"].ne("").sum()
    print(f"judge: {judging.name(settings)}, {len(judged):,} answers, {failed:,} not judged")


def _all_replied(folder: epath.Path, arm: str, seed: int) -> bool:
    """Whether an endpoint replied to all that is judged here; where it was ill it is asked anew."""
    rows = answer_files.read(answer_files.own_path(folder, arm, seed, "judged")).to_pandas()
    return not (rows["failure"].ne("") & rows["reply"].eq("")).any()


def _answered(asker: Asker, folder: epath.Path) -> list[tuple[str, int]]:
    """The arms and seeds whose answers to open probes lie in this folder."""
    models = [(model.arm, model.seed) for model in asker.models()]
    return [(arm, seed) for arm, seed in models if _path(folder, arm, seed).exists()]


def _answers(folder: epath.Path, arm: str, seed: int) -> pd.DataFrame:
    return answer_files.read(_path(folder, arm, seed)).to_pandas()


def _path(folder: epath.Path, arm: str, seed: int) -> epath.Path:
    return answer_files.own_path(folder, arm, seed, "open")


def _by_base(asker: Asker, texts: Sequence[str]) -> list[Judgement]:
    loaded = asker.load("")
    model, params, frozen = loaded.untouched(asker.workdir, asker.record.plan)
    with jax.set_mesh(loaded.mesh):
        return base.judge(params, frozen, model, loaded.pretrained.tokenizer, texts)
