"""SIGKILL at random moments and inside saves changes nothing in the result."""

import random
import signal
import subprocess
import time

import small_run
import small_world


def test_kills_leave_the_result_bit_identical(tmp_path, tiny_gguf):
    config = small_run.write(tmp_path / "files", tiny_gguf)

    def disturb(arguments, cache, workdir):
        rng = random.Random(7)
        for number in (2, 5):
            yield kill_in_stage(arguments, cache, workdir, number, rng.uniform(0, 0.5))
        for _ in range(2):
            yield kill_inside_save(arguments, cache, workdir)

    check_bit_identical(config, tmp_path, disturb)


def test_kills_of_a_pretraining_and_of_what_follows_it_do_too(tmp_path):
    config = small_world.write(tmp_path / "files")

    def disturb(arguments, cache, workdir):
        yield kill_inside_save(arguments, cache, workdir)
        [pretraining] = workdir.glob("stages/*")
        yield kill_inside_save(arguments, cache, workdir)
        assert pretraining.exists()
        yield kill_in_stage(arguments, cache, workdir, 3, 0.2)

    check_bit_identical(config, tmp_path, disturb)


def check_bit_identical(config, folder, disturb):
    """Runs a config undisturbed, and with kills; disturb: arguments, cache, workdir -> whether each
    of its kills came while the run was at work."""
    cache = folder / "cache"
    done = small_run.call(small_run.command(config, folder / "undisturbed"), cache)
    assert done.returncode == 0, done.stderr

    disturbed = folder / "disturbed"
    arguments = small_run.command(config, disturbed)
    kills = [*disturb(arguments, cache, disturbed)]
    assert sum(kills) >= 2, "the kills came too late to test anything"
    done = small_run.call(arguments, cache)
    assert done.returncode == 0, done.stderr

    expected, found = (small_run.result(folder / n) for n in ("undisturbed", "disturbed"))
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
    stages = list((disturbed / "stages").iterdir())
    assert all(len(list((s / "checkpoints").iterdir())) == 1 for s in stages), "only the last stays"


def kill_in_stage(arguments, cache, workdir, number, delay) -> bool:
    """Kills it some seconds after the number-th stage began. Whether it was still at work."""
    with run(arguments, cache) as process:
        while process.poll() is None and len(list(workdir.glob("stages/*"))) < number:
            time.sleep(0.01)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL


def kill_inside_save(arguments, cache, workdir) -> bool:
    """Waits until Orbax writes a checkpoint that is not renamed yet."""
    with run(arguments, cache) as process:
        while process.poll() is None:
            if any(workdir.glob("stages/*/checkpoints/*tmp*")):
                process.send_signal(signal.SIGKILL)
                return process.wait() == -signal.SIGKILL
    return False


def run(arguments, cache) -> subprocess.Popen:
    return subprocess.Popen(
        arguments,
        env=small_run.environment(cache),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
