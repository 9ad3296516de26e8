"""The models that a config's grafts name: checkpoints on which a run's adapters are asked, too."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from vcjax.errors import InputError
from vcjax.models.architecture import Architecture
from vcjax.weights import pretrained
from vcjax.weights.pretrained import Pretrained


def find(config: ConfigDict, own: Pretrained) -> dict[str, Pretrained]:
    """The models of a run by their names in config.grafts; own: the experiment's, named "".

    Each has its own tokenizer and chat template; where it has no template, the config's. Raises
    InputError where one cannot be read, or where an adapter of `own` does not fit it.
    """
    found = {"": own}
    for name, graft in config.grafts.items():
        if graft.model not in found:
            where = f"config.grafts.{name}.model"
            found[graft.model] = _find(graft.model, config.chat_template, where)
            _check_fits(found[graft.model], own, where)
    return found


def warnings(models: Mapping[str, Pretrained]) -> list[str]:
    """In what the other models of `find` are not computed as the experiment's own; sizes fit."""
    own, *others = models.values()
    return [
        f"config.grafts: {other.name} has another {', '.join(differ)} than {own.name}, where the "
        "adapters were trained"
        for other in others
        if (differ := [*_other_fields(own.architecture, other.architecture)])
    ]


def _other_fields(ours: Architecture, theirs: Architecture) -> Iterator[str]:
    for field in dataclasses.fields(Architecture):
        name = field.name
        if name != "vocab_size" and getattr(ours, name) != getattr(theirs, name):
            yield "period of layers (RoPE or windows)" if name == "period" else name


def _find(model: str, chat_template: str, where: str) -> Pretrained:
    try:
        found = pretrained.find(model)
        if chat_template and not found.tokenizer.chat_template:
            found = pretrained.find(model, chat_template)
    except InputError as error:
        raise InputError(str(error).replace("config.model:", f"{where}:", 1)) from None
    return found


def _check_fits(other: Pretrained, own: Pretrained, where: str) -> None:
    """Raises InputError where an adapter of `own` would not fit `other`, or would meet other
    tokens there. Control tokens alone may be added or lacking, as a chat model's are."""
    ours, theirs = own.architecture, other.architecture
    shapes: list[dict[str, Any]] = [
        {"layers": model.num_layers}
        | {f"{name}'s inputs and outputs": size for name, size in model.projections.items()}
        | {
            "heads": model.num_heads,
            "key and value heads": model.num_kv_heads,
            "experts": model.experts.count if model.experts else None,
        }
        for model in (ours, theirs)
    ]
    for what, size in shapes[0].items():
        if size != (there := shapes[1].get(what)):
            raise InputError(
                f"{where}: {other.name} is of another shape than {own.name} ({what}: {there}, not "
                f"{size}); an adapter fits models of its own shape alone"
            )
    our_ids, their_ids = (
        {**model.tokenizer.bpe.get_vocab(), **model.tokenizer.control} for model in (own, other)
    )
    control = own.tokenizer.control.keys() | other.tokenizer.control.keys()
    for token in sorted(our_ids.keys() | their_ids.keys()):
        our_id, their_id = our_ids.get(token), their_ids.get(token)
        if our_id != their_id and not (token in control and None in (our_id, their_id)):
            raise InputError(
                f"{where}: {other.name} has other tokens than {own.name} (the id of {token!r} is "
                f"{their_id}, not {our_id}); an adapter belongs to the tokens of its training"
            )
