"""What is not approved: files that are no segmentation, results of something else, series that are not the source."""

import gzip
import json

import factories
import numpy as np
import pytest
import scene
import SimpleITK as sitk
from tools import nativedl


@pytest.fixture
def accepted(reviewed):
    reviewed.decide(Liver="accepted", Kidney="accepted")
    reviewed.slicer.save(reviewed.node, reviewed.edited, True)
    return reviewed


def refused(reviewed, capsys, *more, code=3, **settings):
    """Return the one line with which the edited file, as it lies there, is refused."""
    assert nativedl(*reviewed.command(*more, **settings)) == code
    *_, line = capsys.readouterr().err.strip().splitlines()
    assert not (reviewed.folder / "approved").exists()
    assert not [path for path in reviewed.folder.iterdir() if path.name.startswith(".")]
    return line


def replaced(old, new):
    def edit(path):
        content = path.read_bytes()
        assert old in content
        path.write_bytes(content.replace(old, new, 1))

    return edit


def without(key):
    def edit(path):
        header, blank, voxels = path.read_bytes().partition(b"\n\n")
        lines = header.split(b"\n")
        kept = [line for line in lines if not line.startswith(key)]
        assert len(kept) < len(lines)
        path.write_bytes(b"\n".join(kept) + blank + voxels)

    return edit


def without_voxels(path):
    path.write_bytes(path.read_bytes().partition(b"\n\n")[0] + b"\n\n")


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def endless(path):
    header = path.read_bytes().partition(b"\n\n")[0].replace(b"encoding: raw", b"encoding: gzip")
    path.write_bytes(header + b"\n\n" + gzip.compress(bytes(2**28), 1))


def real_values(path):
    image = sitk.ReadImage(str(path))
    cast = sitk.Cast(image, sitk.sitkFloat32)
    for key in image.GetMetaDataKeys():
        cast.SetMetaData(key, image.GetMetaData(key))
    sitk.WriteImage(cast, str(path))


HOSTILE = {
    "missing": (lambda path: path.unlink(), "cannot be read (No such file"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "cannot be read (Is a directory)"),
    "empty": (lambda path: path.write_bytes(b""), "is not a segmentation that Slicer has saved"),
    "text": (lambda path: path.write_text("hello"), "is not a segmentation that Slicer has saved"),
    "only a first line": (lambda path: path.write_bytes(b"NRRD0004\n"), "cannot be read"),
    "without voxels": (without_voxels, "cannot be read"),
    "truncated": (cut, "cannot be read"),
    "an image": (lambda path: sitk.WriteImage(sitk.Image(4, 4, 4, sitk.sitkUInt8), str(path)), "but no segmentation"),
    "of real values": (real_values, "holds values that are not whole numbers"),
    "huge": (replaced(b"\nsizes: 24 20 6", b"\nsizes: 99999 99999 99999"), "claims 99999 x 99999 x 99999 voxels"),
    "detached": (replaced(b"encoding: raw", b"encoding: raw\ndata file: /dev/zero"), "has its voxels in another file"),
    "detached, in old words": (replaced(b"encoding: raw", b"encoding: raw\nDataFile: a.raw"), "in another file"),
    "in a layer that is not there": (replaced(b"Segment1_Layer:=0", b"Segment1_Layer:=7"), "is in layer 7, but there"),
    "in a layer below the first": (replaced(b"Segment1_Layer:=0", b"Segment1_Layer:=-1"), "is in layer -1, but there"),
    "in no layer": (replaced(b"Segment1_Layer:=0", b"Segment1_Layer:=x"), "Layer of segment 'Kidney' is 'x', not a"),
    "the background": (replaced(b"Segment1_LabelValue:=2", b"Segment1_LabelValue:=0"), "label value 0, which is the"),
    "of another result": (replaced(b"NativeDL.SegmentNumber:2|", b"NativeDL.SegmentNumber:9|"), "is segment 9 of a"),
    "undecided": (replaced(b"NativeDL.Review:accepted|", b"NativeDL.Review:maybe|"), "NativeDL.Review is 'maybe', not"),
    "of a size that is none": (replaced(b"\nsizes: ", b"\nsizes: 0 "), "cannot be read"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_is_no_whole_segmentation_is_refused_in_one_line(accepted, name, capsys):
    edit, message = HOSTILE[name]
    accepted.slicer.save(accepted.node, accepted.edited, True)
    # Slicer compresses; what is edited here is plain.
    plain = sitk.ReadImage(str(accepted.edited))
    sitk.WriteImage(plain, str(accepted.edited), useCompression=False)
    edit(accepted.edited)

    line = refused(accepted, capsys)

    assert message in line
    assert line.count(str(accepted.edited)) == 1


def test_compressed_voxels_are_not_unpacked_beyond_their_number(accepted, capsys):
    sitk.WriteImage(sitk.ReadImage(str(accepted.edited)), str(accepted.edited), useCompression=False)
    endless(accepted.edited)

    # A quarter of a gigabyte of background, of which the header asks for three kilobytes.
    assert nativedl(*accepted.command()) == 0

    assert "no segment is left to be approved" in capsys.readouterr().err


def test_a_drawn_segment_must_say_what_it_is(reviewed, capsys):
    scene.add_segment(reviewed.node, "Lesion", "")
    reviewed.decide(Liver="accepted", Kidney="accepted")
    reviewed.slicer.save(reviewed.node, reviewed.edited)

    assert "segment 'Lesion': does not say what it is; choose a terminology" in refused(reviewed, capsys)


@pytest.mark.parametrize(
    "entry",
    [
        "nonsense",
        "~^^~^^",
        "list~SCT^123037004^Anatomical Structure~SCT^^Bone~^^",
        "list~SCT^123037004^Anatomical Structure~SCT^1^" + 65 * "x",
        "list~SCT^123037004^Anatomical Structure~SCT^1^a\\b",
        "list~SCT^123037004^Anatomical Structure~" + 17 * "x" + "^1^Bone",
    ],
)
def test_a_terminology_that_dicom_cannot_hold_is_none(reviewed, entry, capsys):
    scene.add_segment(reviewed.node, "Lesion", entry)
    reviewed.decide(Liver="accepted", Kidney="accepted")
    reviewed.slicer.save(reviewed.node, reviewed.edited)

    assert "segment 'Lesion': does not say what it is" in refused(reviewed, capsys)


def test_an_automatic_segment_without_terminology_is_what_the_registry_says(accepted):
    scene.segments(accepted.node)["Kidney"].RemoveTag("TerminologyEntry")

    assert accepted.approve() == 0

    assert accepted.rows["Kidney"].type["meaning"] == "Kidney"
    assert accepted.rows["Kidney"].algorithm_type == "AUTOMATIC"


@pytest.mark.parametrize("key", [b"Segment1_Layer", b"Segment1_Color:", b"Segment1_Name:", b"Segment1_Extent"])
def test_what_slicer_can_do_without_may_be_missing(accepted, key):
    accepted.slicer.save(accepted.node, accepted.edited, True)
    if key == b"Segment1_Layer":
        key = b"Segment0_Layer"
    without(key)(accepted.edited)

    assert nativedl(*accepted.command()) == 0

    names = [row["name"] for row in accepted.approved["segments"]]
    assert names == (["Liver", "Segment_2", "Spleen"] if key == b"Segment1_Name:" else ["Liver", "Kidney", "Spleen"])


@pytest.mark.parametrize("color", [b"nan 0 0", b"red", b"7 -3 0.5"])
def test_a_colour_that_is_none_is_no_reason_to_refuse(accepted, color):
    replaced(b"Segment0_Color:=0.156863 0.54902 0.156863", b"Segment0_Color:=" + color)(accepted.edited)

    assert nativedl(*accepted.command()) == 0

    assert accepted.rows["Liver"].color == ([255, 0, 128] if color.startswith(b"7") else [128, 128, 128])


def test_bytes_that_are_no_text_do_not_end_in_a_defect(accepted):
    replaced(b"Segment0_Name:=Liver", b"Segment0_Name:=Li\xff\xfever\x07\x1b[31m")(accepted.edited)

    assert nativedl(*accepted.command()) == 0

    assert accepted.approved["segments"][0]["name"] == "Li\ufffd\ufffdver [31m"


def changed_report(reviewed, change):
    path = reviewed.out / "report.json"
    report = json.loads(path.read_text())
    change(report)
    path.write_text(json.dumps(report))


REPORTS = {
    "of an older version": lambda report: report.pop("algorithm"),
    "without series": lambda report: report.pop("series"),
    "without segments": lambda report: report.update(segments=None),
    "with a segment without number": lambda report: report["segments"][0].update(number=0),
    "with a segment without type": lambda report: report["segments"][0].update(type=None),
    "with a colour that is none": lambda report: report["segments"][0].update(color=[1, 2]),
    "with a code that is none": lambda report: report["segments"][0].update(type={"worth": 1}),
    "with a SEG of another kind": lambda report: report["segmentation"].update(type="PICTURE"),
    "with a SEG without UID": lambda report: report["segmentation"].update(sop_instance_uid="../../etc"),
    "with parameters that are none": lambda report: report["algorithm"].update(parameters=3),
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_that_is_none_is_refused_in_one_line(accepted, name, capsys):
    changed_report(accepted, REPORTS[name])

    assert "report.json: is not the report of a run that can be approved" in refused(accepted, capsys)


def test_a_folder_without_result_is_refused(accepted, capsys):
    (accepted.out / "report.json").unlink()

    assert "report.json: cannot be read (No such file" in refused(accepted, capsys)


def test_a_result_without_its_label_map_is_refused(accepted, capsys):
    (accepted.out / "segmentation.nii.gz").unlink()

    assert "segmentation.nii.gz: does not exist" in refused(accepted, capsys)


def test_a_label_map_of_another_grid_is_refused(accepted, capsys):
    path = accepted.out / "segmentation.nii.gz"
    sitk.WriteImage(sitk.ReadImage(str(path))[1:, :, :], str(path))

    assert "segmentation.nii.gz: is not on the slices of series" in refused(accepted, capsys)


def test_a_result_of_an_image_without_dicom_origin_has_no_seg(accepted, capsys):
    changed_report(accepted, lambda report: report["series"].update(series_instance_uid=None))

    assert "is of an image that does not come from DICOM" in refused(accepted, capsys)


def test_a_result_that_found_nothing_can_be_drawn_on(reviewed):
    changed_report(reviewed, lambda report: report.update(segmentation=None))
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve() == 0

    assert reviewed.approved["predecessor"] is None


def test_another_series_is_not_the_source(accepted, capsys):
    factories.ct_series(accepted.folder / "other")

    line = refused(accepted, capsys, "--input", accepted.folder / "other")

    assert "holds no image series" in line


def test_another_series_uid_is_not_that_of_the_result(accepted, capsys):
    assert "series 1.2.3: the result in" in refused(accepted, capsys, "--series", "1.2.3")


def test_the_source_must_be_named_once(accepted, capsys):
    listing = accepted.folder / "list.txt"
    command = [*accepted.command("--files", listing), "--database", accepted.folder]

    assert nativedl(*command) == 2
    assert "name where the series is" in capsys.readouterr().err


def test_a_peer_that_nobody_knows_is_refused_before_anything_is_done(accepted, capsys):
    peers = accepted.folder / "pacs.json"
    peers.write_text(json.dumps({"peers": []}))

    assert "NOBODY" in refused(accepted, capsys, "--to", "NOBODY", "--pacs", peers, code=2)


def test_a_reviewer_without_name_is_refused(accepted, capsys):
    assert "--reviewer: the name is empty" in refused(accepted, capsys, reviewer=" ^ ", code=2)


def test_voxels_of_a_grid_far_away_are_all_outside(accepted, capsys):
    image = sitk.ReadImage(str(accepted.edited))
    count = np.count_nonzero(sitk.GetArrayViewFromImage(image) == 1)
    image.SetOrigin([value + 2000 for value in image.GetOrigin()])
    sitk.WriteImage(image, str(accepted.edited))

    assert nativedl(*accepted.command()) == 0

    assert count > 0
    assert "no segment is left to be approved" in capsys.readouterr().err
    assert not (accepted.folder / "approved").exists()
