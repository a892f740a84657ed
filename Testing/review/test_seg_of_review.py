"""What `make_segmentation` does with a review, without the command around it."""

import factories
import highdicom as hd
import numpy as np
import pytest

from NativeDLLib.dicom.provenance import Predecessor, Review
from NativeDLLib.dicom.seg import SOP_CLASSES, Algorithm, make_segmentation
from NativeDLLib.registry.load import make_model
from NativeDLLib.source import Series

ALGORITHM = Algorithm("bright", "1.2.3", "A title of many words " * 4, "NativeDL registry (onnx)", "0123456789abcdef")


def segments(folder):
    entry = factories.entry()
    (first,) = entry["output"]["segments"]
    entry["output"] = {"segments": [first, first | {"label": 2, "name": "Kidney"}]}
    return make_model(entry, folder / "registry.json").segments


def overlapping():
    masks = np.zeros((6, 32, 40, 2), bool)
    masks[2:5, 8:16, 10:22, 0] = True
    masks[3:6, 12:25, 3:30, 1] = True
    return masks


def test_masks_that_overlap_lie_on_the_frames_of_a_scrambled_source(tmp_path):
    order = (3, 0, 5, 1, 4, 2)
    path = factories.enhanced_ct(
        tmp_path / "enhanced", factories.block(), spacing=(1, 1, 2), origin=(0, 0, 0), order=order
    )
    series = Series.read([path])
    review = Review("Doe^Jane", "reviewed", ("SEMIAUTOMATIC", "MANUAL"))

    make_segmentation(series, overlapping(), segments(tmp_path), ALGORITHM, review=review).save_as(tmp_path / "seg.dcm")

    seg = hd.seg.segread(tmp_path / "seg.dcm")
    uid = series.text("SOPInstanceUID")
    found = seg.get_pixels_by_source_frame(uid, range(1, 7), assert_missing_frames_are_empty=True)
    assert np.array_equal(found.astype(bool), overlapping()[list(order)])
    assert [s.SegmentAlgorithmType for s in seg.SegmentSequence] == ["SEMIAUTOMATIC", "MANUAL"]


def test_a_long_title_leaves_room_for_the_status(tmp_path):
    series = Series.read(factories.ct_series(tmp_path / "series"))
    review = Review("Doe^Jane", "reviewed", ("AUTOMATIC", "AUTOMATIC"))

    seg = make_segmentation(series, overlapping(), segments(tmp_path), ALGORITHM, review=review)

    assert len(seg.SeriesDescription) == 64
    assert seg.SeriesDescription.endswith(" (reviewed)")


def test_the_predecessor_is_referred_to_by_its_own_kind(tmp_path):
    series = Series.read(factories.ct_series(tmp_path / "series"))
    predecessor = Predecessor(SOP_CLASSES["LABELMAP"], "1.2.3", "1.2.3.4")
    review = Review("Doe^Jane", "reviewed", ("AUTOMATIC", "AUTOMATIC"), predecessor)

    seg = make_segmentation(series, overlapping(), segments(tmp_path), ALGORITHM, review=review)

    (source,) = seg.SourceInstanceSequence
    assert source.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.66.7"
    assert [item.SeriesInstanceUID for item in seg.ReferencedSeriesSequence] == [series.uid, "1.2.3"]


@pytest.mark.parametrize(
    ("labels", "kind"),
    [(overlapping(), "LABELMAP"), (overlapping()[..., :1], "BINARY"), (overlapping().astype(np.uint8), "BINARY")],
)
def test_masks_that_no_seg_can_hold_are_a_mistake(tmp_path, labels, kind):
    series = Series.read(factories.ct_series(tmp_path / "series"))

    with pytest.raises(ValueError, match="label map is"):
        make_segmentation(series, labels, segments(tmp_path), ALGORITHM, kind=kind)
