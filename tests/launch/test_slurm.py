import pytest

NODES = ("--nodes=2", "--gpus-per-node=h100:8")
RUN = ("--config=c.py", "--workdir=/scratch/x")


def test_submits(bench):
    code, output = bench.run("slurm.sh", *NODES, "--partition=a", "--", *bench.flags)
    assert code == 0, output
    [call] = bench.calls
    script = call.index("launch/slurm_job.sh")
    assert call[0] == "sbatch" and call[script + 1 :] == list(bench.flags)
    assert {*NODES, "--ntasks-per-node=8", "--requeue", "--partition=a"} < set(call[:script])
    assert f"--chdir={bench.checkout}" in call


def test_dry_run(bench):
    code, output = bench.run("slurm.sh", *NODES, "--dry_run", "--", *RUN, "--dry_run")
    assert (code, bench.calls) == (0, [])
    assert output.startswith("sbatch ") and output.endswith("--workdir=/scratch/x --dry_run\n")


def test_errors(bench):
    code, output = bench.run("slurm.sh", "--nodes=2", "--", *RUN)
    assert (code, bench.calls) == (2, []) and "give --gpus-per-node=..." in output


def test_job_installs_once_and_runs_on_all_gpus(bench):
    code, output = bench.run(
        "slurm_job.sh", *bench.flags, SLURM_JOB_ID="7", SLURM_CPUS_PER_TASK="8"
    )
    assert (code, output.count("installed: gpu")) == (0, 1)
    [call] = bench.calls
    assert call[0] == "srun" and "--cpus-per-task=8" in call
    assert bench.hosts[0]["flags"] == ["gpu", "--distributed", *bench.flags]


@pytest.mark.parametrize(
    ("codes", "end", "starts", "requeued"),
    [([75], 75, 1, True), ([2], 2, 1, False), ([1] * 9, 1, 4, False), ([137, 75], 75, 2, True)],
)
def test_job_is_queued_again_when_it_was_interrupted(bench, codes, end, starts, requeued):
    bench.codes(*codes)
    assert bench.run("slurm_job.sh", *RUN, SLURM_JOB_ID="7")[0] == end
    assert len(bench.hosts) == starts
    assert (["scontrol", "requeue", "7"] in bench.calls) == requeued
