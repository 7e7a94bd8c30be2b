"""What else the machine does."""

import subprocess
import sys
import time

import pytest

from optkit.measure.watch import Watch


@pytest.mark.slow
def test_what_models_compute_is_not_called_others() -> None:
    watch = Watch(list)
    start = time.process_time()
    while time.process_time() - start < 0.2:
        watch.look()
    found = watch.found(6, 6)
    assert found.rounds == 6
    assert 0 <= found.others <= 1
    assert 0 <= found.stolen <= 1
    assert found.slowest_clock is None or 0 < found.slowest_clock <= 1


@pytest.mark.slow
def test_another_program_shows_and_a_models_process_does_not() -> None:
    code = "import time\nwhile True: pass"
    busy = subprocess.Popen([sys.executable, "-c", code])
    try:
        others, ours = Watch(list), Watch(lambda: [busy.pid])
        time.sleep(0.4)
        assert others.found(1, 1).others > ours.found(1, 1).others
    finally:
        busy.kill()
        busy.wait()
