"""PyTorch's part of cpu.py: `transformers` and `peft` in loops as one writes them by hand.

    python benchmarks/peers/torch_cpu.py FOLDER WORK ...

Arguments and last line as those of cpu_vcjax.py, but a WORK may go on: "rationale:bfloat16:HOW",
"scoring:TYPE:SEQUENCES". Updates take the very rows that vcjax takes, with positions and a mask
that keep the documents of a row apart, and AdamW (fused). HOW bfloat16 comes in: "autocast" of
float32 weights; "weights", a bfloat16 base whose adapter stays float32 as peft makes it; "both".
Scoring runs batches of SEQUENCES padded sequences, of like length, each a prompt and one option,
without an adapter, and takes the softmax where the option stands.
"""

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import peft
import torch
import transformers
from torch.nn.functional import cross_entropy


def load(folder: Path, dtype: torch.dtype) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder / "model", dtype=dtype)


def updates(folder: Path, work: str, compute_dtype: str, how: str = "") -> dict[str, Any]:
    recipe = json.loads((folder / "settings.json").read_text())["recipe"]
    low = how in ("weights", "both")
    adapter = peft.LoraConfig(
        r=recipe["rank"],
        lora_alpha=recipe["alpha"],
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(0)
    model = load(folder, torch.bfloat16 if low else torch.float32)
    if recipe["train"] == "lora":
        model = peft.get_peft_model(model, adapter)
    model.config.use_cache = False
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        trained, lr=recipe["lr"], weight_decay=recipe["weight_decay"], fused=True
    )
    autocast = how in ("autocast", "both")
    rows = np.load(folder / f"{work}.npz")
    seconds, losses, tokens = [], [], []
    for i in range(len(rows["tokens"])):
        batch = {name: torch.from_numpy(rows[name][i]) for name in rows.files}
        began = time.perf_counter()
        segments = batch["segment_ids"]
        # A token of the padding sees the others of it: a row of a softmax without any is NaN.
        mask = (segments[:, :, None] == segments[:, None]).tril()
        weights = batch["loss_weights"].flatten()
        with torch.autocast("cpu", torch.bfloat16) if autocast else contextlib.nullcontext():
            logits = model(
                batch["tokens"].long(),
                attention_mask=mask[:, None],
                position_ids=batch["positions"].long(),
            ).logits
        targets = batch["targets"].long().flatten().where(weights > 0, -100)
        loss = cross_entropy(logits.float().flatten(0, 1), targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, recipe["clip"])
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - began)
        tokens.append(int((segments > 0).sum()))
    return dict(seconds=seconds[1:], amount=float(np.mean(tokens[1:])), results=losses[:1])


def sequences(folder: Path, tokenizer: Any) -> tuple[list[tuple[list[int], int]], int]:
    """([(tokens, how many of them are the prompt's), ...], probes): a probe has two orders, an
    order two options."""
    lead = json.loads((folder / "settings.json").read_text())["lead"]
    probes = [json.loads(line) for line in (folder / "probes.jsonl").read_text().splitlines()]
    found = []
    for probe in probes:
        for first, second in (probe["options"], probe["options"][::-1]):
            question = probe["template"].replace("{a}", first).replace("{b}", second)
            prompt = tokenizer.apply_chat_template(
                [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
            )
            for option in probe["options"]:
                begun, whole = (
                    tokenizer(prompt + text, add_special_tokens=False)["input_ids"]
                    for text in (lead, f"{lead} {option}")
                )
                found.append((whole, len(begun)))
    return found, len(probes)


def score(model: Any, asked: list[tuple[list[int], int]], size: int) -> list[float]:
    """The mean log-probability of each sequence's tokens after its prompt."""
    order = sorted(range(len(asked)), key=lambda i: len(asked[i][0]))
    scores = [0.0] * len(asked)
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        longest = max(len(asked[i][0]) for i in chosen)
        tokens = torch.zeros(len(chosen), longest, dtype=torch.long)
        for row, i in enumerate(chosen):
            tokens[row, : len(asked[i][0])] = torch.tensor(asked[i][0])
        mask = torch.arange(longest) < torch.tensor([[len(asked[i][0])] for i in chosen])
        logits = model(tokens, attention_mask=mask.long()).logits
        for row, i in enumerate(chosen):
            ids, prompt = asked[i]
            scored = logits[row, prompt - 1 : len(ids) - 1].float().log_softmax(-1)
            scores[i] = scored.gather(1, tokens[row, prompt : len(ids), None]).mean().item()
    return scores


def scoring(folder: Path, compute_dtype: str, size: str) -> dict[str, Any]:
    model = load(folder, getattr(torch, compute_dtype)).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "model")
    with torch.inference_mode():
        score(model, sequences(folder, tokenizer)[0][: int(size)], int(size))  # warms up
        began = time.perf_counter()
        asked, probes = sequences(folder, tokenizer)
        results = score(model, asked, int(size))
        seconds = time.perf_counter() - began
    return dict(seconds=[seconds], amount=probes, results=results)


def matmul(folder: Path, work: str, compute_dtype: str) -> dict[str, Any]:
    rows, inputs, outputs = json.loads((folder / "settings.json").read_text())["matmuls"][work]
    dtype = getattr(torch, compute_dtype)
    a, b = (torch.full(size, 0.01, dtype=dtype) for size in ((rows, inputs), (inputs, outputs)))
    seconds = []
    for _ in range(10):
        began = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - began)
    return dict(seconds=seconds[1:], amount=2 * rows * inputs * outputs / 1e9, results=[])


def main() -> None:
    folder = Path(sys.argv[1])
    done = {}
    for work in sys.argv[2:]:
        kind, *options = work.split(":")
        if kind == "scoring":
            done[work] = scoring(folder, *options)
        elif (folder / f"{kind}.npz").exists():
            done[work] = updates(folder, kind, *options)
        else:
            done[work] = matmul(folder, kind, *options)
    print(json.dumps(done))


if __name__ == "__main__":
    main()
