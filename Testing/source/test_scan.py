import itertools
import os
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import factories
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.data import get_testdata_file
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from NativeDLLib.core.errors import InputError
from NativeDLLib.source import Series
from NativeDLLib.source import scan as scanning
from NativeDLLib.source.scan import scan


def voxels(paths, uid=None):
    return sitk.GetArrayFromImage(Series.read(paths, uid).image()[0])


def without_preamble(path, syntax):
    """Rewrite a file as the bare data set that old software stored."""
    dataset = pydicom.dcmread(path)
    little = syntax != ExplicitVRBigEndian
    bare = pydicom.dataset.Dataset(dataset)
    if not little:
        bare.PixelData = np.frombuffer(bare.PixelData, "<u2").astype(">u2").tobytes()
    bare.save_as(path, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=little)
    assert path.read_bytes()[128:132] != b"DICM"


def test_a_series_is_found_at_any_depth_under_any_names(tmp_path):
    files = factories.ct_series(tmp_path / "in")
    for index, file in enumerate(files):
        deep = tmp_path.joinpath("in", *"abcdef"[:index])
        deep.mkdir(parents=True, exist_ok=True)
        file.rename(deep / f"{index}.no dicom ø")

    assert np.array_equal(voxels([tmp_path]), factories.block())


def test_a_series_is_found_from_a_list_of_files_in_any_order(tmp_path):
    files = factories.ct_series(tmp_path)

    assert np.array_equal(voxels([files[i] for i in (3, 0, 5, 1, 4, 2)]), factories.block())


@pytest.mark.parametrize("seconds", [0.0, 0.005])
def test_headers_are_read_in_their_order_and_from_slow_storage_side_by_side(tmp_path, monkeypatch, seconds):
    files = [tmp_path / f"{number:03}.txt" for number in range(60)]
    for file in files:
        file.write_text("no image")
    read, threads, company, clock = [], set(), threading.Barrier(3), itertools.count()

    def header(path):
        threads.add(threading.current_thread())
        read.append(path)
        # The first three that are read side by side wait for each other.
        if seconds and path in files[16:19]:
            company.wait(30)

    monkeypatch.setattr(scanning, "read_header", header)
    ticking = SimpleNamespace(perf_counter=lambda: seconds * next(clock), thread_time=lambda: 0.0)
    monkeypatch.setattr(scanning, "time", ticking)
    found = scan(files)

    assert len(found.no_dicom) == 60
    assert len(threads) > 3 if seconds else threads == {threading.main_thread()}
    assert read[:16] == files[:16]
    assert sorted(read) == files


def test_a_file_that_is_named_twice_counts_once(tmp_path):
    files = factories.ct_series(tmp_path)

    series = Series.read([tmp_path, *files])

    assert len(series.instances) == 6
    assert series.warnings == ()


def test_other_files_among_the_images_are_left_out(tmp_path):
    factories.ct_series(tmp_path)
    (tmp_path / "notes.txt").write_text("liver?")
    (tmp_path / "data.json").write_text("{}")
    (tmp_path / "empty").touch()
    (tmp_path / "short").write_bytes(b"\x08\x00")
    (tmp_path / "group 8 by chance").write_bytes(b"\x08\x00" + bytes(range(200)))
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")

    found = scan([tmp_path])

    assert len(found.no_dicom) == 5
    assert found.damaged == []
    assert np.array_equal(voxels([tmp_path]), factories.block())


def test_other_objects_among_the_images_are_left_out(tmp_path):
    factories.ct_series(tmp_path)
    for name in ("liver_1frame.dcm", "test-SR.dcm", "rtstruct.dcm", "dicomdirtests/DICOMDIR"):
        shutil.copy(get_testdata_file(name), tmp_path)

    found = scan([tmp_path])

    assert len(found.other_objects) == 4
    assert len(found.series) == 1


def test_a_folder_without_images_says_what_it_holds_instead(tmp_path):
    (tmp_path / "notes.txt").write_text("liver?")
    shutil.copy(get_testdata_file("test-SR.dcm"), tmp_path)

    with pytest.raises(
        InputError, match=r"holds no CT, MR or PET image \(1 other DICOM objects \(Comp.* SR Storage\), 1 other"
    ):
        Series.read([tmp_path])


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian], ids=lambda s: s.name)
def test_files_without_preamble_are_read(tmp_path, syntax):
    for file in factories.ct_series(tmp_path):
        without_preamble(file, syntax)

    assert np.array_equal(voxels([tmp_path]), factories.block())


def test_a_file_without_transfer_syntax_is_read_as_what_it_is(tmp_path):
    for file in factories.ct_series(tmp_path):
        dataset = pydicom.dcmread(file)
        del dataset.file_meta.TransferSyntaxUID
        dataset.save_as(file, implicit_vr=False, little_endian=True, enforce_file_format=False)

    assert np.array_equal(voxels([tmp_path]), factories.block())


def test_a_copy_of_a_file_is_left_out_with_a_warning(tmp_path):
    files = factories.ct_series(tmp_path)
    shutil.copy(files[2], tmp_path / "again")

    series = Series.read([tmp_path])

    assert len(series.instances) == 6
    assert series.warnings == (f"{tmp_path / 'again'} is a copy of {files[2]} and was left out",)


def test_two_files_that_claim_to_be_the_same_instance_are_refused(tmp_path):
    uid = generate_uid()
    files = factories.ct_series(
        tmp_path, edit=lambda ds, i: setattr(ds, "SOPInstanceUID", uid) if i in (1, 4) else None
    )

    with pytest.raises(
        InputError, match=f"^{files[4]}: has the SOP Instance UID {uid} of {files[1]} but other content"
    ):
        Series.read([tmp_path])


def test_of_several_series_one_has_to_be_chosen_from_a_list(tmp_path):
    factories.ct_series(tmp_path / "a")
    factories.ct_series(tmp_path / "b", factories.block((4, 32, 40)))
    uids = [pydicom.dcmread(tmp_path / name / "IM0001").SeriesInstanceUID for name in "ab"]

    with pytest.raises(InputError) as caught:
        Series.read([tmp_path])

    assert "holds 2 image series, choose one" in str(caught.value)
    assert f"{uids[0]} (CT 'bright block', 6 instances)" in str(caught.value)
    assert f"{uids[1]} (CT 'bright block', 4 instances)" in str(caught.value)
    assert len(Series.read([tmp_path], uids[1]).instances) == 4


def test_a_series_that_is_not_there_is_answered_with_those_that_are(tmp_path):
    factories.ct_series(tmp_path)

    with pytest.raises(InputError, match=r"holds no image series 1\.2\.3; it holds 1\.2\.826\..*6 instances"):
        Series.read([tmp_path], "1.2.3")


@pytest.mark.parametrize("length", [133, 160, 200, 330, 345, 380, 420, 600])
def test_a_file_that_breaks_off_before_it_says_what_it_is_of_is_named(tmp_path, length):
    files = factories.ct_series(tmp_path)
    files[5].write_bytes(files[5].read_bytes()[:length])

    series = Series.read([tmp_path])

    assert len(series.instances) == 5
    (warning,) = series.warnings
    assert "1 damaged file(s) do not say what they are of" in warning
    assert str(files[5]) in warning


def test_a_file_that_breaks_off_is_a_fault_of_its_series_alone(tmp_path):
    files = factories.ct_series(tmp_path / "a")
    factories.ct_series(tmp_path / "b")
    files[5].write_bytes(files[5].read_bytes()[:1120])
    uids = [pydicom.dcmread(tmp_path / name / "IM0001").SeriesInstanceUID for name in "ab"]

    with pytest.raises(InputError, match=f"^{files[5]}: is a damaged DICOM file"):
        Series.read([tmp_path], uids[0])
    series = Series.read([tmp_path], uids[1])
    assert len(series.instances) == 6
    assert series.warnings == ("passed over: 1 damaged file(s) of other series: IM0006",)


@pytest.mark.parametrize("content", [b"", bytes(500), bytes(range(256)), b"\x1f\x8b" + bytes(98)])
def test_an_empty_or_foreign_file_in_place_of_a_slice_is_named(tmp_path, content):
    files = factories.ct_series(tmp_path)
    files[5].write_bytes(content)

    assert Series.read([tmp_path]).warnings == ("passed over: 1 file(s) that are no DICOM: IM0006",)


def test_half_of_a_series_behind_a_link_is_named(tmp_path):
    files = factories.ct_series(tmp_path / "in")
    (tmp_path / "elsewhere").mkdir()
    for file in files[4:]:
        file.rename(tmp_path / "elsewhere" / file.name)
    (tmp_path / "in" / "part2").symlink_to(tmp_path / "elsewhere", target_is_directory=True)

    series = Series.read([tmp_path / "in"])

    assert len(series.instances) == 4
    assert series.warnings == ("passed over: 1 link(s) to folders: part2",)


def test_slices_behind_broken_links_are_named(tmp_path):
    files = factories.ct_series(tmp_path / "in")
    for file in files[4:]:
        file.unlink()
        file.symlink_to(tmp_path / "annex" / file.name)

    assert Series.read([tmp_path / "in"]).warnings == (
        f"passed over: {len(files) - 4} broken link(s), pipe(s) or device(s): IM0005, IM0006",
    )


@pytest.mark.parametrize("case", ["with_parametricmap", "with_deflated_seg", "with_seg"])
def test_objects_of_other_kinds_from_the_field_are_set_aside(real_data, case):
    series = Series.read([real_data / "field_cases" / "dicom" / case])

    assert len(series.instances) == 6
    assert series.warnings[0].startswith("passed over: 1 other DICOM object(s): ")


def test_a_doubled_instance_is_a_fault_of_its_series_alone(real_data):
    folder = real_data / "field_cases" / "dicom" / "batchdup"
    found, outcomes = scan([folder]), []
    for uid in found.series:
        try:
            outcomes.append(len(Series.read([folder], uid).instances))
        except InputError as error:
            outcomes.append("other content" in str(error))

    assert sorted(outcomes) == [True, 6, 6]


def test_files_that_differ_in_their_file_meta_alone_are_copies(real_data):
    series = Series.read([real_data / "field_cases" / "dicom" / "dupmeta"])

    assert len(series.instances) == 6
    assert all("is a copy of" in warning for warning in series.warnings)


def test_a_deflated_file_that_breaks_off_is_named(tmp_path):
    files = factories.ct_series(tmp_path, syntax=DeflatedExplicitVRLittleEndian)
    files[5].write_bytes(files[5].read_bytes()[:-20])

    with pytest.raises(InputError, match=f"^{files[5]}: is a damaged DICOM file"):
        Series.read([tmp_path])


def test_an_image_that_no_longer_says_so_is_named_and_not_left_out(tmp_path):
    files = factories.ct_series(tmp_path)
    content = files[5].read_bytes()
    at = content.rindex(b"1.2.840.10008.5.1.4.1.1.2")
    files[5].write_bytes(content[:at] + content[at:].replace(b"1.1.2\0", b"1.1.7\0", 1))

    with pytest.raises(InputError, match=f"^{files[5]}: is damaged: its file header says SOP class .*1.2, its"):
        Series.read([tmp_path])


def test_an_image_whose_class_is_unreadable_is_named_and_not_left_out(tmp_path):
    files = factories.ct_series(tmp_path)
    files[5].write_bytes(files[5].read_bytes().replace(b"1.2.840.10008.5.1.4.1.1.2\0", b"1.2.840.10008.5.1.4.1.1.[\0"))

    with pytest.raises(InputError, match=rf"^{files[5]}: is damaged: its SOP class is '1.2.840.10008.5.1.4.1.1.\['"):
        Series.read([tmp_path])


def test_an_object_of_another_class_in_the_series_is_left_out_with_a_warning(tmp_path):
    files = factories.ct_series(
        tmp_path, edit=lambda ds, i: setattr(ds, "SOPClassUID", SecondaryCaptureImageStorage) if i == 5 else None
    )

    series = Series.read([tmp_path])

    assert len(series.instances) == 5
    assert series.warnings == (
        f"{files[5]} is of the series but no CT, MR or PET image (Secondary Capture Image Storage): left out",
    )


def test_of_damaged_files_alone_the_first_is_named(tmp_path):
    files = factories.ct_series(tmp_path)
    for file in files:
        file.write_bytes(file.read_bytes()[:200])

    with pytest.raises(InputError, match=f"^{files[0]}: is a damaged "):
        Series.read([tmp_path])


def test_a_path_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(InputError, match=f"^{tmp_path / 'nowhere'}: does not exist"):
        Series.read([tmp_path / "nowhere"])


def test_links_lead_to_no_other_folder(tmp_path):
    factories.ct_series(tmp_path / "in")
    factories.ct_series(tmp_path / "elsewhere")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)

    assert len(scan([tmp_path / "in"]).series) == 1


def test_a_folder_that_cannot_be_searched_is_refused(tmp_path):
    factories.ct_series(tmp_path)
    # A path longer than the system takes: nobody can open it, the administrator included.
    handle = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=handle)
        inner = os.open("d" * 250, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    os.close(handle)

    with pytest.raises(InputError, match="cannot be searched"):
        scan([tmp_path])


def test_a_localizer_in_a_series_is_left_out_with_a_warning(real_data):
    series = Series.read([real_data / "field_cases" / "dicom" / "loc_in_series"])

    assert len(series.instances) == 6
    assert "1 localizer(s) among 7 instances left out" in series.warnings[0]


def test_a_dicomdir_as_input_is_named_with_the_way_out():
    with pytest.raises(InputError, match="is the index of a disc: give the folder that it lies in"):
        Series.read([Path(get_testdata_file("dicomdirtests/DICOMDIR"))])
