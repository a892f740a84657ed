"""Many clients at a time: each gets what is its own."""

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor

import factories
import numpy as np
import SimpleITK as sitk
from pydicom import dcmread
from servers import wait_until
from tools import nativedl

CLIENTS = 8


def _own_series(folder, number):
    """Write a series that no other is like in size, place and content."""
    shape = (5 + number, 24 + 2 * number, 30 + number)
    voxels = np.full(shape, -1000, np.int16)
    voxels[1 : 3 + number % 3, 4 : 8 + number, 5 + number : 20] = 300
    return factories.ct_series(folder, voxels, origin=(10.0 * number, -5.0, 100.0))


def test_eight_clients_at_a_time_get_each_the_result_of_its_own_series(service, registry, tmp_path):
    cohort = [_own_series(tmp_path / f"series{number}", number) for number in range(CLIENTS)]

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda files: service.predict(files, "?model=bright&format=zip"), cohort))

    assert [answer.status_code for answer in answers] == [200] * CLIENTS
    for number, (files, answer) in enumerate(zip(cohort, answers, strict=True)):
        here, there = tmp_path / f"here{number}", tmp_path / f"there{number}"
        assert (
            nativedl("run", "--input", files[0].parent, "--model", "bright", "--output", here, registry=registry) == 0
        )
        zipfile.ZipFile(io.BytesIO(answer.content)).extractall(there)
        source, seg = dcmread(files[0]), dcmread(there / "segmentation.dcm")
        assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID
        assert seg.StudyInstanceUID == source.StudyInstanceUID
        assert seg.PixelData == dcmread(here / "segmentation.dcm").PixelData
        expected, got = (sitk.ReadImage(folder / "segmentation.nii.gz") for folder in (here, there))
        assert sitk.GetArrayViewFromImage(expected).any()
        np.testing.assert_array_equal(sitk.GetArrayViewFromImage(expected), sitk.GetArrayViewFromImage(got))
        assert expected.GetOrigin() == got.GetOrigin()
    wait_until(lambda: not service.leftovers(), "nothing is left")
    assert service.workers() == []


def test_who_finds_all_places_taken_is_told_when_to_come_again(in_background, serve, slow, series):
    service = serve("--jobs", 1, "--queue", 1)
    for _ in range(2):
        in_background(service.predict, *slow)
    _wait_for(service, taken=2)

    answer = service.predict(series)

    assert (answer.status_code, answer.json()["code"]) == (503, "busy")
    assert int(answer.headers["Retry-After"]) >= 1
    assert len(service.workers()) == 1


def _wait_for(service, taken):
    wait_until(lambda: service.get("/health").json()["taken"] == taken, f"{taken} places are taken")
    wait_until(service.workers, "a worker runs")
