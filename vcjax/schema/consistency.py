"""What stages, arms and contrasts of a config say of one another; raises InputError."""

from ml_collections import ConfigDict

from vcjax.data.sources import split_source
from vcjax.errors import InputError
from vcjax.schema.check import check_names
from vcjax.schema.keys import SCRATCH


def check_stages(config: ConfigDict) -> None:
    later = [stage for stage in config.stages.values() if stage.kind != "pretrain"]
    for key in ("train", "rank", "alpha", "lora_experts"):
        values = {str(stage[key]) for stage in later}
        if len(values) > 1:
            raise InputError(
                f"config.stages: they differ in {key} ({', '.join(sorted(values))}); a stage goes "
                "on with the weights of the one before, so all of an experiment must agree"
            )
    for name, stage in config.stages.items():
        if stage.get("people_of"):
            world = split_source(stage.spec or stage.other_spec)[0]
            check_names(
                f"config.stages.{name}.people_of",
                "pretrain stage of this world",
                [stage.people_of],
                [n for n, s in config.stages.items() if s.kind == "pretrain" and s.spec == world],
            )


def check_grafts(config: ConfigDict) -> None:
    """Of a config whose arms are those that train; their stages need not be known yet."""
    for name, graft in config.grafts.items():
        where = f"config.grafts.{name}"
        if name in config.arms:
            raise InputError(f"{where}: an arm has this name; give the graft another")
        check_names(f"{where}.arm", "arm", [graft.arm], config.arms)
        names = [stage.partition("@")[0] for stage in config.arms[graft.arm]]
        stages = [config.stages[stage] for stage in names if stage in config.stages]
        if stages and stages[-1].train == "full" and stages[-1].kind != "pretrain":
            raise InputError(
                f"{where}.arm: {graft.arm!r} trains all weights (train='full'), so there is no "
                "adapter to take; choose an arm of adapters"
            )
        if graft.model and (config.model == SCRATCH or (stages and stages[0].kind == "pretrain")):
            raise InputError(
                f"{where}.model: {graft.arm!r} begins with a pretraining, and its adapter belongs "
                "to what that left; leave it out"
            )
        if graft.scale != 1 and all(stage.kind == "pretrain" for stage in stages):
            raise InputError(f"{where}.scale: {graft.arm!r} has no adapter to scale; leave it out")


def check_arms(config: ConfigDict) -> None:
    if not config.arms:
        raise InputError("config.arms: there is no arm; give at least one, name -> stages")
    check_names("config.system_prompts", "arm", config.system_prompts, config.arms)
    for arm, given in config.arms.items():
        stages = [name.partition("@")[0] for name in given]
        check_names(f"config.arms.{arm}", "stage", stages, config.stages)
        _check_ends(config, arm)
        kinds = [config.stages[name].kind for name in stages]
        for name, kind in zip(stages[1:], kinds[1:], strict=True):
            if kind == "pretrain":
                raise InputError(f"config.arms.{arm}: the pretraining {name!r} can only come first")
        for name in stages:
            people_of = config.stages[name].get("people_of")
            if people_of not in (None, stages[0]):
                raise InputError(
                    f"config.arms.{arm}: {name!r} is about the people of {people_of!r}, but the "
                    f"arm begins with {stages[0]!r}; begin it with {people_of!r}"
                )
        if config.model == SCRATCH and kinds[:1] != ["pretrain"]:
            raise InputError(
                f"config.arms.{arm}: model={SCRATCH!r} knows nothing before a pretrain(...) stage; "
                "begin the arm with one"
            )


def _check_ends(config: ConfigDict, arm: str) -> None:
    """Of an arm whose stages are known: raises InputError for an update where none can be."""
    for place, given in enumerate(config.arms[arm], start=1):
        name, at, update = given.partition("@")
        where, keep = f"config.arms.{arm}: {given!r}", config.stages[name].get("keep")
        if at and place < len(config.arms[arm]):
            raise InputError(
                f"{where}: only its last stage may end at an update; a stage goes on with what the "
                "one before it left at its end"
            )
        if at and config.stages[name].kind == "adapter":
            raise InputError(f"{where}: an adapter has no updates; leave '@{update}' out")
        if at and not (update.isascii() and update.isdigit()):
            raise InputError(f"{where}: {update!r} is no update; give a number, as {name}@50")
        if at and int(update) not in keep:
            kept = f"it keeps {', '.join(map(str, keep))}" if keep else "it keeps none"
            raise InputError(
                f"{where}: config.stages.{name}.keep does not have the update {update} ({kept}); "
                "add it there"
            )


def check_contrasts(config: ConfigDict) -> None:
    for contrast, weights in config.contrasts.items():
        where, total = f"config.contrasts.{contrast}", sum(weights.values())
        if not weights:
            raise InputError(f"{where}: it has no weights; give some, arm -> weight, that sum to 0")
        check_names(where, "arm", weights, config.arms)
        if abs(total) > 1e-9:
            raise InputError(f"{where}: its weights sum to {total:g}; they must sum to 0")
        if not any(weights.values()):
            raise InputError(f"{where}: all its weights are 0; give two arms other weights")
    known = [*config.arms, *config.contrasts]
    check_names("config.rules_out", "arm or contrast", config.rules_out, known)
    if not (config.contrasts or config.primary):
        return  # `probe_files.check` refuses choices then
    if not config.primary:
        raise InputError("config.primary: name the contrast that decides, one of config.contrasts")
    check_names("config.primary", "contrast", [config.primary], config.contrasts)
    for name, curve in config.curves.items():
        for series, levels in curve.series.items():
            where = f"config.curves.{name}.series.{series}"
            check_names(where, "contrast", levels, config.contrasts)
