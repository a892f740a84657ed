"""Files that are no whole segmentation are refused in one line, and what they may lack is no reason to refuse them."""

import gzip

import numpy as np
import pytest
import scene
import SimpleITK as sitk
from tools import nativedl


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
    "only a first line": (lambda path: path.write_bytes(b"NRRD0004\n"), "is not a segmentation"),
    "without voxels": (without_voxels, "cannot be read"),
    "truncated": (cut, "cannot be read"),
    "an image": (lambda path: sitk.WriteImage(sitk.Image(4, 4, 4, sitk.sitkUInt8), str(path)), "but no segmentation"),
    "of real values": (real_values, "holds values that are not whole numbers"),
    "huge": (replaced(b"\nsizes: 24 20 6", b"\nsizes: 99999 99999 99999"), "claims 99999 x 99999 x 99999 voxels"),
    "detached": (replaced(b"encoding: raw", b"encoding: raw\ndata file: /dev/zero"), "has its voxels in another file"),
    "detached, in old words": (replaced(b"encoding: raw", b"encoding: raw\nDataFile: a.raw"), "in another file"),
    "detached, behind a line of 2 MiB": (
        replaced(b"encoding: raw", b"# " + b"x" * 2**21 + b"\nencoding: raw\ndata file: /dev/zero"),
        "in another file",
    ),
    "detached, with spaces": (replaced(b"encoding: raw", b"encoding: raw\n data  file : /dev/zero"), "in another file"),
    "detached, after an end that not every reader sees": (
        replaced(b"encoding: raw", b"encoding: raw\r\r\rdata file: /dev/zero"),
        "is not a segmentation that Slicer has saved",
    ),
    "with a field of its own": (replaced(b"encoding: raw", b"encoding: raw\nline skip: 1"), "field 'line skip'"),
    "without an end": (lambda path: path.write_bytes(b"NRRD0005\n# " + b"x" * 2**25), "is not a segmentation"),
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

    line = accepted.refused(capsys)

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

    assert "segment 'Lesion': does not say what it is; choose a terminology" in reviewed.refused(capsys)


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

    assert "segment 'Lesion': does not say what it is" in reviewed.refused(capsys)


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


def test_voxels_of_a_grid_far_away_are_all_outside(accepted, capsys):
    image = sitk.ReadImage(str(accepted.edited))
    count = np.count_nonzero(sitk.GetArrayViewFromImage(image) == 1)
    image.SetOrigin([value + 2000 for value in image.GetOrigin()])
    sitk.WriteImage(image, str(accepted.edited))

    assert nativedl(*accepted.command()) == 0

    errors = capsys.readouterr().err
    assert f"segment 'Liver': {count} voxels lie outside the source" in errors
    assert "no segment is left to be approved" in errors
    assert not (accepted.folder / "approved").exists()
