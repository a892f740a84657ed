"""What the bundled models take for a series of the usual size, everything included."""

import json
import sys

import pytest

from benchmarks.compare import Setting
from benchmarks.inputs import phantom
from benchmarks.measure import run_process

pytestmark = pytest.mark.campaign


@pytest.mark.parametrize("model", ["liver-ct-demo", "vertebra-ct-demo"])
def test_a_series_of_300_slices_takes_20_seconds_and_1500_mib_at_most(tmp_path_factory, tmp_path, model):
    setting = Setting(folder=tmp_path_factory.getbasetemp() / "bench", quick=False, runs=1)
    series = phantom(setting, 300).dicom
    command = [sys.executable, "-m", "NativeDLLib", "run", "--input", series, "--model", model]

    costs = [
        run_process([*command, "--output", tmp_path / str(number), "--device", "cpu"], tmp_path / f"{number}.log")
        for number in range(3)
    ]

    assert json.loads((tmp_path / "0" / "report.json").read_text())["outcome"] == "segmented"
    assert min(cost.process_seconds for cost in costs) <= 20
    assert max(cost.peak_mib for cost in costs) <= 1500
