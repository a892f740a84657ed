"""Pixels that are several planes at once, or that no slope and intercept turn into values, are refused by name."""

import factories
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage

from NativeDLLib.core.errors import InputError
from NativeDLLib.source import Series


def setting(**attributes):
    def edit(dataset):
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)

    return edit


def siemens_mosaic(dataset):
    dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 36)


def modality_lut(dataset):
    table = Dataset()
    table.LUTDescriptor, table.LUTData, table.ModalityLUTType = [4, 0, 16], bytes(8), "US"
    dataset.ModalityLUTSequence = [table]


REFUSED = {
    "mosaic": (setting(ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]), r"is a mosaic in one image \(MOSAIC\)"),
    "mosaic of several volumes": (
        setting(ImageType=["DERIVED", "PRIMARY", "DIFFUSION", "ADC", "ND", "NORM", "MOSAIC"]),
        r"is a mosaic in one image \(MOSAIC\); convert it to one image for each slice",
    ),
    "mosaic of United Imaging": (setting(ImageType=["ORIGINAL", "PRIMARY", "M", "VFRAME"]), r"is a mosaic .*VFRAME"),
    "mosaic by its private header": (siemens_mosaic, "is a mosaic of 36 slices in one image"),
    "colour map": (setting(PhotometricInterpretation="PALETTE COLOR"), "is not a grey-scale image, but PALETTE COLOR"),
    "colours": (setting(PhotometricInterpretation="RGB", SamplesPerPixel=3), "is not a grey-scale image, but RGB"),
    "samples": (setting(SamplesPerPixel=3), "is not a grey-scale image"),
    "high bit": (setting(BitsStored=12, HighBit=15), "HighBit is 15, and not one less than BitsStored, which is 12"),
    "modality LUT": (modality_lut, "has a Modality LUT Sequence in place of a rescale slope and intercept"),
}
KINDS = ["CT", "MR", "enhanced CT", "enhanced MR"]


def written(folder, kind, edit):
    folder.mkdir(exist_ok=True)
    if kind.startswith("enhanced"):
        grid = {"spacing": (1.0, 1.0, 2.0), "origin": (0.0, 0.0, 0.0), "order": range(6)}
        files = [factories.enhanced_ct(folder / "E", factories.block(), **grid)]
    else:
        files = factories.ct_series(folder)
    for file in files:
        dataset = pydicom.dcmread(file)
        dataset.Modality = kind[-2:]
        if kind.endswith("MR"):
            dataset.SOPClassUID = EnhancedMRImageStorage if len(files) == 1 else MRImageStorage
        edit(dataset)
        dataset.save_as(file)
    return files


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_refused_by_name(tmp_path, kind, what):
    edit, reason = REFUSED[what]
    files = written(tmp_path, kind, edit)

    with pytest.raises(InputError, match=f"^{files[0]}: {reason}"):
        Series.read([tmp_path])


@pytest.mark.parametrize("kind", KINDS)
def test_an_ordinary_image_of_the_kind_is_read(tmp_path, kind):
    written(tmp_path, kind, setting(BitsStored=12, HighBit=11))

    assert Series.read([tmp_path]).grid.size == (40, 32, 6)


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("mosaic1", "is a mosaic of 36 slices in one image"),
        ("highbit15", "HighBit is 15"),
        ("modlut", "has a Modality LUT Sequence"),
        ("modlutmr", "has a Modality LUT Sequence"),
    ],
)
def test_cases_from_the_field(real_data, case, reason):
    with pytest.raises(InputError, match=reason):
        Series.read([real_data / "field_cases" / "dicom" / case])
