"""What all launchers share."""

import subprocess
from pathlib import Path

import pytest

COMMON = Path(__file__).parents[2] / "launch/common.sh"


@pytest.mark.parametrize("before", ["child=\\$!", "set +m", "set -m"])
def test_a_signal_reaches_a_command_that_is_just_being_started(tmp_path, before):
    """Else it would run on with nobody to wait for it, and hold the output open."""
    script = tmp_path / "launcher.sh"
    script.write_text(
        f"""
        . {COMMON}
        set -T
        trap '[[ $BASH_COMMAND != "{before}" ]] || kill -HUP $$' DEBUG
        attend sleep 60
        """
    )
    done = subprocess.run(["bash", script], capture_output=True, text=True, timeout=30)
    assert done.returncode == 128 + 15, done.stderr
