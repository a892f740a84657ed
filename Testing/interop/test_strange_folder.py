"""A good CT among thirty foreign, broken and strange files gives what it gives alone, and names what it passes over."""

import json
import os
import shutil
import zipfile

import factories
import numpy as np
import pydicom
import tools
from pydicom.data import get_testdata_file
from pydicom.uid import MultiFrameGrayscaleWordSecondaryCaptureImageStorage, generate_uid

FOREIGN = ("liver_1frame.dcm", "test-SR.dcm", "rtstruct.dcm", "rtplan.dcm", "rtdose_1frame.dcm", "waveform_ecg.dcm")


def strange(folder):
    """Write thirty files, none of them a whole image of a CT, MR or PET series."""
    folder.mkdir()
    for name in FOREIGN:
        shutil.copy(get_testdata_file(name), folder)
    shutil.copy(get_testdata_file("dicomdirtests/DICOMDIR"), folder / "DICOMDIR")
    other = factories.ct_series(folder / "other")
    whole = other[0].read_bytes()
    for file in other:
        file.unlink()
    for number, length in enumerate((1, 100, 131, 132, 140, 200, 300, 400, 600, len(whole) - 2600, len(whole) - 100)):
        (folder / f"broken{number}").write_bytes(whole[:length])
    random = np.random.default_rng(3)
    (folder / "empty").touch()
    (folder / "zeros").write_bytes(bytes(4000))
    (folder / "noise").write_bytes(random.bytes(4000))
    (folder / "noise.dcm").write_bytes(bytes(128) + b"DICM" + random.bytes(400))
    (folder / "slice.gz").write_bytes(b"\x1f\x8b\x08" + random.bytes(100))
    (folder / "notes.txt").write_text("liver?")
    (folder / "data.json").write_text("{}")
    with zipfile.ZipFile(folder / "study.zip", "w") as archive:
        archive.writestr("IM0001", whole)
    (folder / os.fsdecode(b"M\xfcller")).write_text("Latin-1")
    (folder / "gone").symlink_to(folder / "nowhere")
    (folder / "linked").symlink_to(folder / "other", target_is_directory=True)
    for name, edit in (("capture", {"SOPClassUID": MultiFrameGrayscaleWordSecondaryCaptureImageStorage}), ("raw", {})):
        dataset = pydicom.dcmread(get_testdata_file("test-SR.dcm"))
        dataset.SOPClassUID = edit.get("SOPClassUID", "1.2.840.10008.5.1.4.1.1.66")
        dataset.SOPInstanceUID = generate_uid()
        factories.save(dataset, folder / name)
    assert sum(1 for path in folder.rglob("*") if not path.is_dir()) >= 29


def points(path):
    dataset = pydicom.dcmread(path)
    positions = [
        item.PlanePositionSequence[0].ImagePositionPatient for item in dataset.PerFrameFunctionalGroupsSequence
    ]
    return positions, dataset.pixel_array.tolist()


def test_thirty_strange_files_change_nothing_and_are_named(tmp_path):
    registry = factories.registry(tmp_path / "registry")
    factories.ct_series(tmp_path / "ct")
    shutil.copytree(tmp_path / "ct", tmp_path / "both" / "ct")
    strange(tmp_path / "both" / "strange")
    for name, place in (("alone", "ct"), ("among", "both")):
        code = tools.nativedl(
            "run", "--input", tmp_path / place, "--output", tmp_path / name, "--model", "bright", registry=registry
        )
        assert code == 0

    assert points(tmp_path / "among" / "segmentation.dcm") == points(tmp_path / "alone" / "segmentation.dcm")
    warnings = " ".join(json.loads((tmp_path / "among" / "report.json").read_text())["warnings"])
    for named in (
        "other DICOM object(s)",
        "damaged file(s) of other series",
        "no DICOM",
        "link(s) to folders",
        "do not say",
    ):
        assert named in warnings
