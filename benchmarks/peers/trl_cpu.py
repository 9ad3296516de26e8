"""TRL's part of cpu.py: supervised fine-tuning as its users do it, timed update by update.

    python benchmarks/peers/trl_cpu.py FOLDER WORK ...

Arguments and last line as those of torch_cpu.py. SFTTrainer packs the documents itself (best fit)
into rows of the same length and puts as many into an update; it keeps the documents of a row apart
by their positions. In demonstrations only what the assistant says has weight. HOW bfloat16 comes
in is as there. Its tokens include the first one of each document, which nothing predicts: the
others do not count these.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import datasets
import peft
import torch
import transformers
import trl


class Clock(transformers.TrainerCallback):
    """The seconds of every update."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_begin(self, *args, **kwargs):
        self.began = time.perf_counter()

    def on_step_end(self, *args, **kwargs):
        self.seconds.append(time.perf_counter() - self.began)


def updates(folder: Path, work: str, how: str = "") -> dict[str, Any]:
    settings = json.loads((folder / "settings.json").read_text())
    recipe = settings["recipe"]
    dtype = torch.bfloat16 if how in ("weights", "both") else torch.float32
    clock = Clock()
    trainer = trl.SFTTrainer(
        model=transformers.AutoModelForCausalLM.from_pretrained(folder / "model", dtype=dtype),
        args=trl.SFTConfig(
            output_dir=str(folder / "trl"),
            use_cpu=True,
            per_device_train_batch_size=settings["rows"][work],
            max_length=recipe["length"],
            packing=True,
            max_steps=settings["updates"][work],
            learning_rate=recipe["lr"],
            weight_decay=recipe["weight_decay"],
            max_grad_norm=recipe["clip"],
            optim="adamw_torch_fused",
            gradient_checkpointing=False,
            bf16=how in ("autocast", "both"),
            dataloader_pin_memory=False,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=datasets.load_dataset(
            "json", data_files=str(folder / f"{work}.jsonl"), split="train", cache_dir=folder / "hf"
        ),
        processing_class=transformers.AutoTokenizer.from_pretrained(folder / "model"),
        peft_config=peft.LoraConfig(
            r=recipe["rank"],
            lora_alpha=recipe["alpha"],
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
        callbacks=[clock],
    )
    trainer.train()
    tokens = [line["num_tokens"] for line in trainer.state.log_history if "loss" in line]
    amount = (tokens[-1] - tokens[0]) / (len(tokens) - 1)
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    return dict(seconds=clock.seconds[1:], amount=amount, results=losses[:1])


def main() -> None:
    folder = Path(sys.argv[1])
    done = {}
    for work in sys.argv[2:]:
        kind, _, *how = work.split(":")
        done[work] = updates(folder, kind, *how)
    print(json.dumps(done))


if __name__ == "__main__":
    main()
