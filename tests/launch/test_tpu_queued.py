TPU = ("--name=pod", "--zone=us-west4-a", "--accelerator-type=v5litepod-16", "--spot")
TPU = (*TPU, "--runtime-version=v2-alpha")
RUN = ("--config=c.py", "--workdir=gs://bucket/run")


def test_waits_runs_everywhere_and_deletes(bench):
    bench.plan(waiting=["WAITING_FOR_RESOURCES", "PROVISIONING", "PROVISIONING", "ACTIVE"])
    code, output = bench.run("tpu_queued.sh", *TPU, "--", *bench.flags)
    assert code == 0, output
    assert bench.verbs == ["create", "scp", "install", "start", "follow", "delete"]
    assert {"--node-id=pod", "--spot"} < set(bench.calls[1])
    assert output.count("pod is PROVISIONING: waiting") == 1
    reached = [call for call in bench.calls if call[4] in ("scp", "ssh")]
    assert all({"--worker=all", "--node=all"} < set(call) for call in reached)
    assert "--force" in bench.calls[-1]
    assert bench.hosts[0]["flags"] == ["tpu", "--distributed", *bench.flags]


def test_several_slices(bench):
    assert bench.run("tpu_queued.sh", *TPU, "--node-count=2", "--", *RUN)[0] == 0
    assert {"--node-count=2", "--node-prefix=pod"} < set(bench.calls[1])


def test_preempted_it_asks_again_and_goes_on_in_the_same_workdir(bench):
    bench.plan(after_follow=["SUSPENDED"] * 4)  # more often than it may crash
    code, output = bench.run("tpu_queued.sh", *TPU, "--", *RUN)
    assert code == 0 and "pod is SUSPENDED" in output
    assert bench.verbs.count("create") == bench.verbs.count("delete") == 5
    assert all(host == bench.hosts[0] for host in bench.hosts) and len(bench.hosts) == 5


def test_a_lost_connection_is_taken_up_again(bench):
    bench.plan(after_follow=["ACTIVE"])
    assert bench.run("tpu_queued.sh", *TPU, "--", *RUN)[0] == 0
    assert bench.verbs.count("create") == 1 and bench.verbs.count("follow") == 2


def test_a_request_that_failed_ends_it(bench):
    bench.plan(waiting=["FAILED"])
    code, output = bench.run("tpu_queued.sh", *TPU, "--", *RUN)
    assert code == 2 and "the request failed" in output
    assert bench.verbs == ["create", "delete"]


def test_dry_run_calls_nothing(bench):
    code, output = bench.run("tpu_queued.sh", *TPU, "--dry_run", "--", *RUN)
    assert (code, bench.calls, bench.hosts) == (0, [], [])
    assert "queued-resources create pod" in output and "tpu_worker.sh follow" in output
