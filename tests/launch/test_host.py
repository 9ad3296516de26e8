import shutil
import sys
from pathlib import Path

import pytest

LAUNCH = Path(__file__).parents[2] / "launch"
SHOW = """import sys, os
print(sys.argv[1:])
print(os.environ.get("LIBTPU_INIT_ARGS", "none"))
print(os.environ.get("XLA_FLAGS", "none"))
sys.exit(75)
"""


@pytest.mark.parametrize(
    ("device", "variable", "flag"),
    [
        ("tpu", "LIBTPU_INIT_ARGS", "--xla_jf_spmd_threshold_for_windowed_einsum_mib"),
        ("gpu", "XLA_FLAGS", "--xla_gpu_enable_latency_hiding_scheduler"),
    ],
)
def test_installs_sets_the_flags_and_becomes_the_command(bench, device, variable, flag):
    shutil.copy(LAUNCH / "host.sh", bench.checkout / "launch")
    bench.write("checkout/vcjax/main.py", SHOW)
    with open(bench.checkout / "launch" / "environment.sh", "a") as stub:
        stub.write(f'cd "$(dirname "${{BASH_SOURCE[0]}}")/.."\npython={sys.executable}\n')
    given = {variable: "--given=1"}
    code, output = bench.run("host.sh", device, *bench.flags, **given)
    assert code == 75
    installed, arguments, *variables = output.splitlines()
    assert installed == f"installed: {device}" and arguments == str(list(bench.flags))
    ours, theirs = variables if device == "tpu" else variables[::-1]
    assert ours.split()[0].startswith(flag) and ours.endswith(" --given=1") and theirs == "none"
