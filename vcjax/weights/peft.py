"""LoRA adapters in the format of `peft`, out and in."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vcjax.errors import InputError
from vcjax.models import transformer
from vcjax.models.lora import LoRA
from vcjax.models.transformer import Model
from vcjax.weights.families.family import PROJECTIONS, expert_name
from vcjax.weights.huggingface import open_file
from vcjax.weights.huggingface_out import save
from vcjax.weights.placement import check_finite
from vcjax.workdir import files, hashes

PyTree = Any

CONFIG, WEIGHTS, PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
NAME = re.compile(  # of a tensor; "default" is the adapter's name, which `peft` leaves out
    r"base_model\.model\.(?:model|model\.language_model|language_model\.model)\."
    r"layers\.(\d+)\.(.+)\.lora_([AB])\.(?:default\.)?weight"
)

# Keys of adapter_config.json that may have any value, or one of these. All others, also those of
# later versions of `peft`, must be off (null, false or empty).
FREE = (
    *("r", "lora_alpha", "target_modules", "exclude_modules", "task_type", "lora_dropout"),
    *("base_model_name_or_path", "revision", "peft_version", "auto_mapping", "inference_mode"),
    *("megatron_core", "qalora_group_size", "layers_pattern", "eva_config", "runtime_config"),
    *("peft_type", "layers_to_transform", "ensure_weight_tying"),
)
ONE_OF = {
    "bias": ("none",),
    # Other methods (PiSSA, OLoRA, LoftQ, ...) change the base's weights at the start.
    "init_lora_weights": (True, False, None, "gaussian", "eva", "orthogonal"),
}


def write_adapter(
    folder: Path,
    adapter: PyTree,
    lora: LoRA,
    base: str | None,
    revision: str | None = None,
    inside: str = "model",
) -> None:
    """Writes adapter_config.json and adapter_model.safetensors, as `peft` 0.21 would.

    adapter: {projection: {a: float32[layer, inputs, rank], b: float32[layer, rank, outputs]}}; of
    experts [layer, expert, ...], each written by itself, which `peft` puts together. base,
    revision: the model that it belongs to, as `from_pretrained` takes them; None: `peft` is to be
    told. inside: as in `Family`; other parts of a multimodal base get no adapter.
    """
    targets: Any = sorted(_short_names(adapter))
    if inside != "model":
        targets = rf"{re.escape(inside)}\..*\.({'|'.join(targets)})"
    tensors = {
        _name(layer, path, letter, inside): np.ascontiguousarray(stacked[layer, *expert].T)
        for path, (module, expert) in _places(adapter).items()
        for letter, stacked in (("A", adapter[module]["a"]), ("B", adapter[module]["b"]))
        for layer in range(len(stacked))
    }
    save(tensors, folder / WEIGHTS)
    config: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "revision": revision,
        "r": lora.rank,
        "lora_alpha": int(lora.alpha) if lora.alpha == int(lora.alpha) else lora.alpha,
        "lora_dropout": 0.0,
        "target_modules": targets,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "use_dora": False,
        "use_rslora": False,
        "modules_to_save": None,
        "layers_to_transform": None,
        "rank_pattern": {},
        "alpha_pattern": {},
    }
    files.write_json(folder / CONFIG, config)


def lora_of(folder: Path) -> LoRA:
    """Rank and alpha of an adapter of `peft`; InputError where it uses what is not supported."""
    config = _read_config(folder)
    rank: Any = config.get("r")
    alpha: Any = config.get("lora_alpha")
    if type(rank) is int and rank > 0 and type(alpha) in (int, float) and alpha > 0:
        return LoRA(rank, float(alpha))
    raise InputError(
        f"{folder / CONFIG}: r is {json.dumps(rank)} and lora_alpha {json.dumps(alpha)}; "
        "expected a whole number and a number, above 0"
    )


def read_adapter(folder: Path, model: Model, untouched: PyTree = None) -> PyTree:
    """An adapter of `peft` as {"adapter": ...}: float32 host arrays, laid out as `untouched`.

    model: with the adapter's own `lora_of`. untouched: the adapter that a first stage would start
    from. Its weights stand for modules and layers that the folder's adapter leaves out, where they
    add nothing; None: zeros do. Raises InputError where the adapter uses what is not supported, or
    belongs to another model.
    """
    if untouched is None:
        untouched = jax.tree.map(lambda x: np.zeros(x.shape), transformer.trained_shapes(model))
    adapter = jax.tree.map(lambda x: np.array(x, np.float32), untouched["adapter"])
    config, adapted = _read_config(folder), _short_names(adapter)
    targets = config.get("target_modules") or []
    for target in targets if isinstance(targets, list) else []:  # a pattern: its tensors will tell
        if not isinstance(target, str) or target.split(".")[-1] not in adapted:
            raise InputError(
                f"{folder / CONFIG}: target_modules has {target!r}; vcjax adapts only "
                f"{', '.join(adapted)}"
            )
    chosen = _chosen_layers(config)
    path = folder / WEIGHTS
    if not path.is_file() and (folder / PICKLE).is_file():
        raise InputError(
            f"{folder / PICKLE}: it is a pickle, which vcjax does not read; load it with peft and "
            "save it again (save_pretrained writes .safetensors)"
        )
    file = open_file(path)
    places = _places(adapter)
    found: dict[tuple[int, str], set[str]] = {}
    for name in file.keys():  # noqa: SIM118 (it is no dict)
        match = NAME.fullmatch(name)
        if match is None or match[2] not in places:
            of_experts = match is not None and match[2].startswith("mlp.experts.")
            also = "; set recipe(lora_experts=True) for those of experts" if of_experts else ""
            raise InputError(
                f"{path}: tensor {name!r} is none of LoRA on {', '.join(adapted)}; "
                f"vcjax adapts only these{also}"
            )
        layer, letter = int(match[1]), match[3]
        module, expert = places[match[2]]
        stacked = adapter[module][letter.lower()]
        if layer >= len(stacked):
            raise InputError(f"{path}: tensor {name!r}: the model has {len(stacked)} layers")
        if chosen is not None and layer not in chosen:
            raise InputError(
                f"{folder / CONFIG}: layers_to_transform is {chosen}, but {WEIGHTS} has the tensor "
                f"{name!r}, which peft would leave out; name its layer or remove it"
            )
        tensor, expected = file.get_tensor(name), stacked.shape[:-3:-1]
        if tensor.shape != expected or tensor.dtype.name not in ("float32", "float16", "bfloat16"):
            raise InputError(
                f"{path}: tensor {name!r} is {tensor.dtype}{[*tensor.shape]}; expected floats "
                f"{[*expected]}; the adapter belongs to another model"
            )
        stacked[layer, *expert] = check_finite(tensor, name, path).T
        found.setdefault((layer, match[2]), set()).add(letter)
    for (layer, place), letters in found.items():
        for letter in {"A", "B"} - letters:
            raise InputError(f"{path}: tensor {_name(layer, place, letter)!r} is missing")
    if not found:
        raise InputError(f"{path}: there is no tensor in it")
    return {"adapter": adapter}


def identity(folder: Path) -> str:
    """A sha256 of the adapter's settings and weights."""
    digest = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise InputError(f"{folder}: no {name}; give the folder of a peft LoRA adapter")
        digest.update(bytes.fromhex(hashes.sha256(folder / name)))
    return digest.hexdigest()


def other_base(folder: Path, model: str) -> str | None:
    """The base that the adapter names, where that is not `model` (a file, folder or hub id).

    Shapes alone do not tell: a chat model and its base have the same.
    """
    base = files.read_json(folder / CONFIG).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        return None
    theirs, ours = (name.rstrip("/").split("/")[-1].lower() for name in (base, model))
    ours = ours.partition("@")[0]  # the hub's revision
    return None if ours == theirs or ours.startswith(f"{theirs}.") else base


def _read_config(folder: Path) -> dict[str, Any]:
    """adapter_config.json; InputError where it uses what is not supported."""
    path = folder / CONFIG
    config = files.read_json(path)
    if not isinstance(config, dict):
        raise InputError(f"{path}: no such file or no JSON object; give the folder of an adapter")
    if config.get("peft_type") != "LORA":
        has = "missing, as in adapters that are not of peft (mlx-lm's)"
        if "peft_type" in config:
            has = f"{json.dumps(config['peft_type'])}, which is not supported"
        raise InputError(f'{path}: peft_type is {has}; only "LORA" is')
    for key, value in config.items():
        allowed = ONE_OF.get(key)
        if allowed is not None and value in allowed:
            continue
        if key in FREE or (allowed is None and not value):
            continue
        hint = f"; only {json.dumps(allowed[0])} is" if allowed else ""
        raise InputError(f"{path}: {key} is {json.dumps(value)}, which is not supported{hint}")
    return config


def _places(adapter: PyTree) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The path of each adapted module in a layer -> (projection, (expert,) or ())."""
    places: dict[str, tuple[str, tuple[int, ...]]] = {}
    for module, matrices in adapter.items():
        _, *experts, _, _ = matrices["a"].shape
        if not experts:
            places[PROJECTIONS[module]] = module, ()
        for expert in range(sum(experts)):
            places[expert_name(module, expert)] = module, (expert,)
    return places


def _chosen_layers(config: Mapping[str, Any]) -> list[int] | None:
    """The layers that peft would put the adapter on; None: all that have tensors."""
    chosen = config.get("layers_to_transform")
    return [chosen] if isinstance(chosen, int) else chosen or None


def _name(layer: int, path: str, letter: str, inside: str = "model") -> str:
    return f"base_model.model.{inside}.layers.{layer}.{path}.lora_{letter}.weight"


def _short_names(adapter: PyTree) -> list[str]:
    return [path.split(".")[-1] for name, path in PROJECTIONS.items() if name in adapter]
