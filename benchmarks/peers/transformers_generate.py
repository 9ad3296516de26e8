"""The part of `transformers` in sampling.py: `generate`, greedy, with its own cache.

    python benchmarks/peers/transformers_generate.py FOLDER rows:TYPE:COUNT ...

Arguments and last line as those of sampling_vcjax.py.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
import transformers


def generate(model: Any, prompts: list[list[int]], new: int) -> dict[str, Any]:
    longest = max(map(len, prompts))
    tokens, mask = torch.zeros(2, len(prompts), longest, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        tokens[row, longest - len(prompt) :] = torch.tensor(prompt)
        mask[row, longest - len(prompt) :] = 1
    settings = dict(do_sample=False, eos_token_id=None, pad_token_id=0)
    with torch.inference_mode():
        model.generate(tokens, attention_mask=mask, max_new_tokens=2, **settings)  # warms up
        began = time.perf_counter()
        texts = model.generate(tokens, attention_mask=mask, max_new_tokens=new, **settings)
        seconds = time.perf_counter() - began
    return dict(seconds=[seconds], amount=(texts.shape[1] - longest) * len(prompts))


def main() -> None:
    folder = Path(sys.argv[1])
    settings = json.loads((folder / "settings.json").read_text())
    done = {}
    for work in sys.argv[2:]:
        _, dtype, count = work.split(":")
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder / "model", dtype=getattr(torch, dtype)
        ).eval()
        done[work] = generate(model, settings["prompts"][: int(count)], settings["new_tokens"])
    print(json.dumps(done))


if __name__ == "__main__":
    main()
