"""A model of the registry as a tool like any other."""

import factories
import pytest

from NativeDLLib.core.progress import Progress
from NativeDLLib.dicom.seg import EmptySegmentationError
from NativeDLLib.registry import effective, load_registry
from NativeDLLib.segment.run import SegmentationTool
from NativeDLLib.source import Series
from NativeDLLib.tools.tool import Machine, Storage


@pytest.fixture
def tool(registry):
    (model,) = load_registry(registry)
    return SegmentationTool(model, Machine("cpu"), Storage())


def series_with(tmp_path, **attributes):
    def edit(dataset, _):
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)

    return Series.read(factories.ct_series(tmp_path / "series", edit=edit))


def test_a_tool_says_what_it_is(tool):
    assert tool.description() == "Finds what is brighter than 150 HU."
    assert tool.version_id() == "bright 1.2.3"


def test_a_tool_says_whether_a_series_is_for_it_and_why(tool, tmp_path):
    verdict = tool.can_process_image(series_with(tmp_path))

    assert verdict.ok
    assert "BodyPartExamined is ABDOMEN" in verdict.reason


def test_a_tool_says_why_a_series_is_not_for_it(tool, tmp_path):
    verdict = tool.can_process_image(series_with(tmp_path, Modality="PT"))

    assert not verdict.ok
    assert verdict.reason == "is for CT, the series is PT"


def test_a_result_has_metadata_without_patient_data(tool, tmp_path):
    result = tool.process(series_with(tmp_path), effective(tool.model), Progress())

    assert result.tool_name == "bright 1.2.3"
    assert result.metadata["outcome"] == "segmented"
    assert result.metadata["weights_sha256"] == tool.model.weights.sha256
    assert "Patient" not in str(result.metadata)
    (dataset,) = result.to_dicom()
    assert dataset.DeviceSerialNumber == tool.model.weights.sha256[:16]


def test_buffered_pixels_outlive_the_result_that_they_are_of(tool, tmp_path):
    result = tool.process(series_with(tmp_path), effective(tool.model), Progress())
    expected = result.to_dicom()[0].PixelData

    stream = result.to_dicom(buffered=True)[0].PixelData
    del result

    assert stream.read() == expected


def test_an_empty_result_is_the_callers_decision(tool, tmp_path):
    parameters = effective(tool.model, ("test", {"min_volume": 1000}))

    result = tool.process(series_with(tmp_path), parameters, Progress())

    assert result.is_empty
    with pytest.raises(EmptySegmentationError, match="found none of its 1 segments"):
        result.to_dicom()
