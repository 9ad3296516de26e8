import signal

import pytest

RUN = ("--config=c.py", "--workdir=runs/x")


def test_one_node(bench):
    code, output = bench.run("gpu.sh", "--", *bench.flags)
    assert code == 0, output
    assert [host["flags"] for host in bench.hosts] == [["gpu", *bench.flags]]


def test_several_nodes(bench):
    options = ("--coordinator=node0:1234", "--nodes=2", "--node=1")
    assert bench.run("gpu.sh", *options, "--", *RUN)[0] == 0
    [host] = bench.hosts
    assert host["flags"] == ["gpu", "--distributed", *RUN]
    assert host["jax"] == ["node0:1234", "2", "1"]


@pytest.mark.parametrize(
    ("codes", "starts"),
    [([75, 75, 75, 75, 0], 5), ([2], 1), ([1] * 9, 4), ([137] * 9, 4), ([1, 75, 0], 3)],
)
def test_starts_again(bench, codes, starts):
    bench.codes(*codes)
    assert bench.run("gpu.sh", "--", *RUN)[0] == codes[-1]
    assert len(bench.hosts) == starts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_lets_the_run_save_and_does_not_start_it_again(bench, number):
    bench.codes("hang")
    process = bench.start("gpu.sh", "--", *RUN)
    bench.interrupt(process, number)
    assert bench.end(process)[0] == 75
    assert len(bench.hosts) == 1


def test_dry_run(bench):
    code, output = bench.run("gpu.sh", "--dry_run", "--", *RUN, "--dry_run")
    assert (code, bench.hosts) == (0, [])
    assert output == "bash launch/host.sh gpu --config=c.py --workdir=runs/x --dry_run\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--nodes=2"], "give --coordinator=..."), (["--gpus=2"], "--gpus=2: unknown")],
)
def test_errors(bench, options, message):
    code, output = bench.run("gpu.sh", *options, "--", *RUN)
    assert (code, bench.hosts) == (2, []) and message in output
