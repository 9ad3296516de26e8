"""Stands in for gcloud, xpk, docker, sbatch, srun, scontrol: python stand_in.py TOOL ARGUMENTS...

Records its arguments, and refuses options that the real tool does not have: exit code 2, as theirs.
gcloud keeps the state of one TPU in a file, and its ssh and scp reach a folder a worker. What a
test wants to happen lies in $STAND_IN/plan.json.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(os.environ["STAND_IN"])
PLAN = json.loads((HERE / "plan.json").read_text())

# Of gcloud 528. Switches end in !, required options in *.
EVERYWHERE = "zone* project quiet!"
CREATE = "spot! network subnetwork internal-ips! service-account labels reserved!"
GCLOUD = {
    "tpu-vm list": "filter format",
    "tpu-vm create": f"{CREATE} accelerator-type version* preemptible! topology type",
    "tpu-vm delete": "async!",
    "tpu-vm start": "async!",
    "tpu-vm ssh": "worker command ssh-flag internal-ip!",
    "tpu-vm scp": "worker scp-flag recurse! compress! internal-ip!",
    "queued-resources list": "filter format",
    "queued-resources create": f"{CREATE} accelerator-type runtime-version* node-id node-count "
    "node-prefix topology type valid-until-duration guaranteed!",
    "queued-resources delete": "async! force!",
    "queued-resources ssh": "worker node command* ssh-flag batch-size",
    "queued-resources scp": "worker node scp-flag recurse! batch-size",
}
# Of xpk 1.16 and docker build; of Slurm's manual pages.
OTHERS = {
    "xpk": "workload* cluster* command* tpu-type* docker-image num-slices restart-on-exit-codes "
    "max-restarts termination-grace-period-seconds env-file env priority zone project",
    "docker build": "platform file tag",
    "docker push": "",
    "sbatch": "job-name requeue! open-mode signal chdir nodes gpus-per-node ntasks-per-node "
    "cpus-per-task partition account time output",
    "srun": "kill-on-bad-exit wait cpus-per-task",
    "scontrol": "",
}


def parse(options: str, arguments: list[str], rest: bool = False) -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for option in options.split():
        name, switch, required = option.rstrip("!*"), option[-1] == "!", option[-1] == "*"
        if switch:
            parser.add_argument(f"--{name}", action="store_true")
        else:
            parser.add_argument(f"--{name}", required=required)
    parser.add_argument("words", nargs=argparse.REMAINDER if rest else "*")
    return parser.parse_args(arguments)


def gcloud(arguments: list[str]) -> int:
    assert arguments[:2] == ["compute", "tpus"], arguments
    kind, verb, *arguments = arguments[2:]
    options = parse(f"{EVERYWHERE} {GCLOUD[f'{kind} {verb}']}", arguments)
    state = HERE / "state"
    if verb == "list":
        waiting = PLAN.get("waiting", [])
        if waiting and state.exists():
            state.write_text(waiting.pop(0))
            (HERE / "plan.json").write_text(json.dumps(PLAN))
        print(state.read_text() if state.exists() else "")
    elif verb == "create":
        if PLAN.get("create"):
            return PLAN["create"]
        if kind == "queued-resources":
            assert bool(options.node_id) != bool(options.node_count), "one of the two"
        state.write_text("READY" if kind == "tpu-vm" else "ACTIVE")
    elif verb == "delete":
        (HERE / "deleting").touch()
        time.sleep(PLAN.get("delete_seconds", 0))
        state.unlink()
    elif verb == "scp":
        *sources, destination = options.words
        assert destination.endswith(":"), destination
        for worker in workers(options.worker):
            for source in sources:
                shutil.copy(source, worker)
    elif verb == "ssh":
        codes = [on_worker(worker, options.command) for worker in workers(options.worker)]
        if options.command.endswith("follow") and PLAN.get("after_follow"):
            state.write_text(PLAN["after_follow"].pop(0))
            (HERE / "plan.json").write_text(json.dumps(PLAN))
            return 255
        return next((code for code in codes if code), 0)
    return 0


def workers(which: str) -> list[Path]:
    assert which == "all"
    return [HERE / f"worker{i}" for i in range(PLAN.get("workers", 1))]


def on_worker(home: Path, command: str) -> int:
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    return subprocess.run(["sh", "-c", command], cwd=home, env=environment).returncode


def main(tool: str, arguments: list[str]) -> int:
    with open(HERE / "calls.jsonl", "a") as calls:
        calls.write(json.dumps([tool, *arguments]) + "\n")
    if tool == "gcloud":
        return gcloud(arguments)
    if tool == "xpk":
        assert arguments[:2] == ["workload", "create"]
        parse(OTHERS["xpk"], arguments[2:])
    elif tool == "docker":
        parse(OTHERS[f"docker {arguments[0]}"], arguments[1:])
    else:
        words = parse(OTHERS[tool], arguments, rest=True).words
        if tool == "srun":
            return subprocess.run(words).returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
