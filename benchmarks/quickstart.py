"""The cheese quickstart's own figures: minutes, memory, start to the first update.

    .venv/bin/python benchmarks/quickstart.py [folder for the two runs]

Runs the whole quickstart as a user does, in an environment that was installed before, which fills
the cache of compiled programs; then starts it once more in another workdir and stops it at its
first update. The last line is one JSON object: every figure with its target and whether it holds.
Nothing else should run beside it.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import psutil

SCRIPT = Path(__file__).parents[1] / "launch/quickstart.sh"
MINUTES, GIGABYTES, SECONDS = 30.0, 6.0, 30.0  # the targets, on two cores


def start(workdir: Path, *arguments: str) -> psutil.Popen:
    return psutil.Popen(
        ["bash", str(SCRIPT), "--only=cheese", f"--workdir={workdir.resolve()}", *arguments]
    )


def run_whole(process: psutil.Popen) -> tuple[float, float]:
    """(minutes, peak gigabytes of resident memory) of a run from its start to its report."""
    started, peak = time.monotonic(), 0
    while process.poll() is None:
        try:
            peak = max(peak, process.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.2)
    if process.wait():
        sys.exit("the run failed")
    return (time.monotonic() - started) / 60, peak / 1e9


def seconds_to_first_update(workdir: Path) -> float:
    """From the command to the line of the first update in metrics.jsonl."""
    started = time.monotonic()
    process = start(workdir, "--config.log_every=1")
    while process.poll() is None:
        for path in workdir.glob("stages/*/metrics.jsonl"):
            if '"step": 1,' in path.read_text():
                process.kill()
                process.wait()
                return time.monotonic() - started
        time.sleep(0.05)
    sys.exit("the run ended before its first update")


def tokens_per_second(workdir: Path) -> float:
    """Of all stages: the tokens trained on over the seconds of the stages, compiling included."""
    stages = json.loads((workdir / "config.json").read_text())["plan"]["stages"]
    times = json.loads((workdir / "times.json").read_text())
    tokens = sum(s["data"]["tokens"] * s["recipe"]["epochs"] for s in stages.values())
    return tokens / sum(times[f"stages/{fingerprint}"]["seconds"] for fingerprint in stages)


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    minutes, gigabytes = run_whole(start(folder / "quickstart"))
    speed = tokens_per_second(folder / "quickstart")
    seconds = seconds_to_first_update(folder / "again")
    figures = {
        "minutes": {"value": round(minutes, 1), "target": f"<= {MINUTES:g}"},
        "peak_memory_gb": {"value": round(gigabytes, 2), "target": f"< {GIGABYTES:g}"},
        "seconds_to_first_update_warm": {"value": round(seconds, 1), "target": f"< {SECONDS:g}"},
    }
    holds = (minutes <= MINUTES, gigabytes < GIGABYTES, seconds < SECONDS)
    for figure, hold in zip(figures.values(), holds, strict=True):
        figure["holds"] = hold
    figures["training_tokens_per_second"] = {"value": round(speed), "target": None, "holds": None}
    print(json.dumps({**figures, "ok": all(holds)}))


if __name__ == "__main__":
    main()
