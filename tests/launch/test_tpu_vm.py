import signal
import stat
import subprocess
import tarfile

import pytest

TPU = ("--name=pod", "--zone=us-west4-a", "--accelerator-type=v5litepod-16", "--version=v2-alpha")
RUN = ("--config=c.py", "--workdir=gs://bucket/run")


def test_makes_runs_everywhere_and_deletes(bench):
    bench.plan(workers=2)
    code, output = bench.run("tpu_vm.sh", *TPU, "--spot", "--project=p", "--", *bench.flags)
    assert code == 0, output
    assert bench.verbs == ["create", "scp", "install", "start", "follow", "delete"]
    assert not (bench.path / "state").exists()
    create = next(call for call in bench.calls if call[4] == "create")
    assert {*TPU[1:], "--spot", "--project=p"} < set(create)
    # Quotes, spaces and parentheses arrive as they were.
    assert [host["flags"] for host in bench.hosts] == 2 * [["tpu", "--distributed", *bench.flags]]
    assert "installed: tpu" in output and "log of start" in output


def test_dry_run_calls_nothing(bench):
    code, output = bench.run("tpu_vm.sh", *TPU, "--dry_run", "--", *bench.flags)
    assert (code, bench.calls, bench.hosts) == (0, [], [])
    commands = [line.split()[:5] for line in output.splitlines() if line.startswith("gcloud")]
    assert [words[4] for words in commands] == [
        "list",
        "create",
        "scp",
        "ssh",
        "ssh",
        "ssh",
        "delete",
    ]
    assert "--dry_run" in output  # vcjax's own, in the command for the workers


def test_checkout_is_copied_without_what_is_not_needed(bench):
    for name in (".git/HEAD", ".git/config", ".venv-3.12/x", "runs/x", "configs/data/x.jsonl"):
        bench.write(f"checkout/{name}", "")
    assert bench.run("tpu_vm.sh", *TPU, "--", *RUN)[0] == 0
    with tarfile.open(bench.path / "worker0" / "vcjax.tar.gz") as archive:
        names = set(archive.getnames())
    assert {"./.git/HEAD", "./launch/host.sh", "./configs/data/x.jsonl"} < names
    assert not names & {"./.git/config", "./.venv-3.12", "./runs"}


def test_token_goes_in_a_file_that_is_read_once(bench):
    bench.codes("hang")
    process = bench.start("tpu_vm.sh", *TPU, "--", *RUN)
    sent = bench.path / "worker0" / "vcjax.env"
    bench.wait_for(sent.exists)
    assert stat.S_IMODE(sent.stat().st_mode) & 0o077 == 0
    bench.interrupt(process, signal.SIGINT)
    bench.end(process)
    assert [host["token"] for host in bench.hosts] == [bench.token]
    assert not sent.exists()


def test_takes_the_one_that_is_there_and_keeps_it(bench):
    bench.write("state", "READY")
    code, output = bench.run("tpu_vm.sh", *TPU, "--", *RUN)
    assert (code, bench.verbs) == (0, ["scp", "install", "start", "follow"])
    assert "pod is kept, and costs" in output


@pytest.mark.parametrize(
    ("state", "option", "ends"), [("READY", "--delete", True), ("", "--keep", False)]
)
def test_delete_and_keep(bench, state, option, ends):
    if state:
        bench.write("state", state)
    assert bench.run("tpu_vm.sh", *TPU, option, "--", *RUN)[0] == 0
    assert (bench.verbs[-1] == "delete") == ends


@pytest.mark.parametrize(
    ("codes", "end"),
    [([75, 0], 0), ([1, 0], 0), ([2, 0], 2)],  # how often: test_gpu.py, the loop is the same
)
def test_starts_again_but_not_after_an_error(bench, codes, end):
    bench.codes(*codes)
    assert bench.run("tpu_vm.sh", *TPU, "--", *RUN)[0] == end
    assert bench.verbs.count("start") == len(bench.hosts) == (1 if end else 2)
    assert bench.verbs.count("create") == bench.verbs.count("delete") == 1
    assert all(host == bench.hosts[0] for host in bench.hosts)  # the token too


def test_a_preempted_one_is_made_anew(bench):
    bench.plan(after_follow=["PREEMPTED"])
    assert bench.run("tpu_vm.sh", *TPU, "--", *RUN)[0] == 0
    assert bench.verbs.count("create") == bench.verbs.count("delete") == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_deletes(bench, number):
    bench.codes("hang")
    process = bench.start("tpu_vm.sh", *TPU, "--", *RUN)
    bench.interrupt(process, number)
    code, output = bench.end(process)
    assert code != 0 and "deleting pod" in output
    assert bench.verbs[-1] == "delete" and bench.verbs.count("start") == 1


def test_a_second_interruption_does_not_stop_the_deletion(bench):
    bench.codes("hang")
    bench.plan(delete_seconds=1)
    process = bench.start("tpu_vm.sh", *TPU, "--", *RUN)
    bench.interrupt(process, signal.SIGINT)
    bench.wait_for((bench.path / "deleting").exists)
    bench.interrupt(process, signal.SIGINT)
    bench.end(process)
    assert not (bench.path / "state").exists()


def test_kept_it_runs_on_after_an_interruption_and_is_found_again(bench):
    bench.codes("hang")
    command = ("tpu_vm.sh", *TPU, "--keep", "--", *RUN)
    process = bench.start(*command)
    bench.interrupt(process, signal.SIGINT)
    assert "deletes it: gcloud compute tpus tpu-vm delete pod" in bench.end(process)[1]
    again = bench.start(*command)
    assert any(line == "log of start 1\n" for line in again.stdout)
    bench.interrupt(again, signal.SIGTERM)
    bench.end(again)
    assert len(bench.hosts) == 1 and "delete" not in bench.verbs


def test_what_was_not_made_is_not_deleted(bench):
    bench.plan(create=1)
    assert bench.run("tpu_vm.sh", *TPU, "--", *RUN)[0] == 1
    assert bench.verbs == ["create"] * 4


def test_wrong_options_of_gcloud_are_not_tried_again(bench):
    assert bench.run("tpu_vm.sh", *TPU, "--acelerator-type=x", "--", *RUN)[0] == 2
    assert bench.verbs == ["create"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (TPU, "give vcjax's flags after --"),
        ((*TPU, "--config=c.py", "--", *RUN), "--config: vcjax's own flags come after --"),
        ((*TPU[1:], "--", *RUN), "give --name=..."),
        ((*TPU, "--", "--config=c.py", "--workdir=runs/x"), "--workdir=gs://BUCKET/FOLDER"),
        ((*TPU, "--keep", "--delete", "--", *RUN), "give one of them"),
        ((*TPU, "pod", "--", *RUN), "pod: options have the form"),
    ],
)
def test_errors_come_before_anything_is_called(bench, arguments, message):
    code, output = bench.run("tpu_vm.sh", *arguments)
    assert (code, bench.calls) == (2, [])
    assert output.startswith("error: ") and message in output and output.count("\n") == 1


@pytest.mark.parametrize("script", ["tpu_vm.sh", "tpu_queued.sh", "gpu.sh", "slurm.sh"])
def test_help(bench, script):
    help = subprocess.run(  # from a folder that is not the checkout
        ["bash", script, "--help"], cwd=bench.checkout / "launch", capture_output=True, text=True
    )
    assert help.returncode == 0 and f"  bash launch/{script} " in help.stdout
    assert "--dry_run" in help.stdout and "set -e" not in help.stdout
