"""regions.json: written and read back, and refused where it is not what it should be."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
from drawing import ALGORITHM, KIDNEY, LIVER

from NativeDLLib.core.errors import InputError
from NativeDLLib.regions.propose import propose
from NativeDLLib.regions.region import RegionSet, read_regions, write_regions
from NativeDLLib.results.report import ReportedSeries


@pytest.fixture
def regions(axial):
    series, frame = axial.series, axial.series.text("FrameOfReferenceUID")
    given = ReportedSeries(series.text("StudyInstanceUID"), series.uid)
    found = propose(axial.series, axial.labels, [LIVER, KIDNEY])
    found[0] = replace(found[0], status="validated")
    return RegionSet(given, frame, ALGORITHM, ((LIVER, "AUTOMATIC"), (KIDNEY, "SEMIAUTOMATIC")), tuple(found))


@pytest.fixture
def path(regions, tmp_path):
    write_regions(tmp_path / "regions.json", regions)
    return tmp_path / "regions.json"


def test_what_is_written_is_read(regions, path):
    read = read_regions(path)

    assert replace(read, regions=()) == replace(regions, regions=(), segments=read.segments)
    assert [(s.number, s.name, s.type_modifier, kind) for s, kind in read.segments] == [
        (1, "Liver", None, "AUTOMATIC"),
        (2, "Right kidney", KIDNEY.type_modifier, "SEMIAUTOMATIC"),
    ]
    for one, other in zip(read.regions, regions.regions, strict=True):
        assert (one.points == other.points).all()
        assert replace(one, points=None) == replace(other, points=None)


def test_no_region_is_a_set_too(regions, tmp_path):
    write_regions(tmp_path / "none.json", replace(regions, regions=()))

    assert read_regions(tmp_path / "none.json").regions == ()


def change(name):
    """Return a change of one place in the file: a path of keys, and what to put there."""
    *steps, value = name
    return lambda data: _put(data, steps, value)


def _put(data, steps, value):
    for step in steps[:-1]:
        data = data[step]
    data[steps[-1]] = value


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (("schema_version", "9"), "schema_version"),
        (("series", "series_instance_uid", "../../etc"), "does not match"),
        (("segments", []), "segments"),
        (("segments", 0, "name", "a\\b"), "does not match"),
        (("segments", 0, "color", 1, 256), "greater than the maximum"),
        (("segments", 1, "number", 1), "two segments have the same number"),
        (("segments", 0, "algorithm_type", "MAGIC"), "MAGIC"),
        (("regions", 0, "status", "signed"), "signed"),
        (("regions", 0, "segment", 7), "segment 7"),
        (("regions", 0, "id", "1.1.1\n"), "does not match"),
        (("regions", 1, "id", "1.1.1"), "two regions have the same id"),
        (("regions", 0, "frame", 0), "regions[0]"),
        (("regions", 0, "surprise", 1), "surprise"),
        (("regions", 0, "points", [[0, 0, 0], [1, 1, 1]]), "too short"),
        (("regions", 0, "points", [[0, 0], [1, 1], [2, 2]]), "three coordinates"),
        (("regions", 0, "points", [[0, 0, 0], [1, 1], [2, 2, 2]]), "three coordinates"),
        (("regions", 0, "points", [["0", "0", "0"]] * 3), "three coordinates"),
        (("regions", 0, "points", [[[0]] * 3] * 3), "three coordinates"),
        (("regions", 0, "points", [[0, 0, 10**30]] * 3), "three coordinates"),
        (("regions", 0, "points", [[0, 0, 1e6]] * 3), "where no patient is"),
        (("regions", 0, "points", [None] * 3), "three coordinates"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(path, place, told):
    data = json.loads(path.read_text())
    changed = copy.deepcopy(data)
    change(place)(changed)
    path.write_text(json.dumps(changed))

    with pytest.raises(InputError) as refused:
        read_regions(path)

    assert told in str(refused.value)
    assert str(path) in str(refused.value)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize("text", ["", "[", "[]", '{"regions": NaN}', "[" * 100_000, '"\\ud800"', '{"a": 1, "a": 2}'])
def test_what_is_no_such_file_is_refused(path, text):
    path.write_text(text)

    with pytest.raises(InputError, match=r"regions\.json"):
        read_regions(path)


@pytest.mark.slow
def test_a_whole_body_of_a_million_points_is_read(regions, path):
    angles = np.linspace(0, 2 * np.pi, 1000, endpoint=False)
    points = np.round(np.stack([np.cos(angles) * 80, np.sin(angles) * 80, angles * 0], -1), 4)
    many = [replace(regions.regions[0], id=str(i), points=points) for i in range(1000)]
    write_regions(path, replace(regions, regions=tuple(many)))

    assert sum(len(region.points) for region in read_regions(path).regions) == 1_000_000
