"""Which series of a source are cases, and what is said of the rest."""

from pathlib import Path

import factories
import pytest
from pydicom.uid import SegmentationStorage, generate_uid

from NativeDLLib.batch.cohort import Wanted, from_database, from_folders
from NativeDLLib.core.errors import InputError
from NativeDLLib.core.progress import Progress
from NativeDLLib.source import Series


def cohort(*folders, **wanted):
    return from_folders(folders, Wanted(**wanted), Progress())


def with_values(**values):
    def edit(dataset, _):
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return edit


def read(case):
    return Series.read([*map(Path, case.files)], case.name)


def test_each_series_of_a_tree_is_a_case_named_by_its_uid(tmp_path):
    uids = [generate_uid() for _ in range(2)]
    for index, uid in enumerate(uids):
        factories.ct_series(tmp_path / "Doe^John" / str(index), edit=with_values(SeriesInstanceUID=uid))

    found = cohort(tmp_path)

    assert sorted(case.name for case in found.cases) == sorted(uids)
    assert not found.left_out
    for case in found.cases:
        assert case.source == ("--series", case.name)
        assert read(case).uid == case.name


def test_series_that_share_a_folder_or_are_spread_over_several_are_whole(tmp_path):
    flat, spread = generate_uid(), generate_uid()
    factories.ct_series(tmp_path / "a", edit=with_values(SeriesInstanceUID=flat))
    paths = factories.ct_series(tmp_path / "b", edit=with_values(SeriesInstanceUID=spread))
    for path in paths[:3]:
        path.rename(tmp_path / "a" / f"other{path.name}")

    found = {case.name: case for case in cohort(tmp_path).cases}

    assert found.keys() == {flat, spread}
    assert [len(read(case).instances) for case in found.values()] == [6, 6]
    assert [len(case.files) for case in found.values()] == [6, 6]


def test_a_damaged_folder_below_harms_no_series_above_it(tmp_path):
    factories.ct_series(tmp_path)
    (bad, *_) = factories.ct_series(tmp_path / "below")
    for path in (tmp_path / "below").iterdir():
        path.write_bytes(bad.read_bytes()[:700])

    series, unreadable = cohort(tmp_path).cases

    assert read(series)
    assert unreadable.name.startswith("unreadable-")
    assert len(unreadable.files) == 6


def test_one_damaged_file_of_a_series_is_not_left_out(tmp_path):
    paths = factories.ct_series(tmp_path)
    paths[2].write_bytes(paths[2].read_bytes()[:700])

    (case,) = cohort(tmp_path).cases

    with pytest.raises(InputError, match="IM0003: is a damaged DICOM file"):
        read(case)


def test_files_that_contradict_each_other_are_a_case_and_not_the_end(tmp_path):
    factories.ct_series(tmp_path / "good")
    factories.ct_series(tmp_path / "twice", edit=with_values(SOPInstanceUID="1.2.3"))

    found = cohort(tmp_path)

    assert len(found.cases) == 2
    assert sorted(len(case.files) for case in found.cases) == [6, 6]


def test_localizers_other_objects_and_other_files_are_counted_and_left_out(tmp_path):
    factories.ct_series(tmp_path / "ct")
    factories.ct_series(tmp_path / "scout", edit=with_values(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    factories.ct_series(tmp_path / "seg", factories.block()[:1], edit=with_values(SOPClassUID=SegmentationStorage))
    (tmp_path / "notes.txt").write_text("not DICOM")
    (tmp_path / "more").symlink_to(tmp_path.parent)
    (tmp_path / "ct" / "IM0009").symlink_to(tmp_path / "nowhere")

    found = cohort(tmp_path)

    assert len(found.cases) == 1
    assert str(found) == (
        "1 cases; left out: 1 Segmentation Storage objects, 1 broken links, pipes or devices, 1 links to folders, "
        "1 localizers, 1 other files"
    )


def test_series_are_chosen_by_modality_and_description(tmp_path):
    factories.ct_series(tmp_path / "a", edit=with_values(SeriesDescription="Liver PORTAL venous"))
    factories.ct_series(tmp_path / "b", edit=with_values(SeriesDescription="Lung"))
    factories.ct_series(tmp_path / "c", edit=with_values(Modality="MR"))

    assert len(cohort(tmp_path, modality="MR").cases) == 1
    portal = cohort(tmp_path, modality="CT", description="*portal*")
    assert [{Path(file).parent for file in case.files} for case in portal.cases] == [{tmp_path / "a"}]
    assert portal.left_out == {"MR series": 1, "series of another description": 1}


def test_a_series_without_a_uid_is_a_case_whose_job_says_so(tmp_path):
    factories.ct_series(tmp_path, edit=with_values(SeriesInstanceUID=""))

    (case,) = cohort(tmp_path).cases

    assert case.name.startswith("series-")
    with pytest.raises(InputError, match="SeriesInstanceUID"):
        Series.read([tmp_path])


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone: is not a folder"):
        cohort(tmp_path / "gone")


def test_the_image_series_of_slicers_database_are_cases(real_data):
    found = from_database(real_data / "slicer_dicom_database" / "ctkDICOM.sql", Wanted())

    assert found.left_out == {"SEG series": 2}
    assert len(found.cases) == 2
    for case in found.cases:
        assert case.source[0] == "--database"
        assert case.source[2:] == ("--series", case.name)
    (body,) = from_database(real_data / "slicer_dicom_database", Wanted("CT", "ct body*")).cases
    assert body.name == "2.25.190301725187792661401090012501411869866"
