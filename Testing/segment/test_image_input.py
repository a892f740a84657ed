"""Volumes without DICOM origin, and lists of files, through the command line."""

import json
import struct

import factories
import numpy as np
import pytest
import SimpleITK as sitk
from tools import nativedl

SPACING, ORIGIN = (1.0, 1.0, 2.0), (-20.0, -16.0, 100.0)
SUFFIXES = [".nrrd", ".nii.gz", ".nii", ".mha"]


def oblique(*angles):
    transform = sitk.Euler3DTransform()
    transform.SetRotation(*angles)
    return tuple(transform.GetMatrix())


def volume(voxels=None, direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)):
    image = sitk.GetImageFromArray(factories.block() if voxels is None else voxels)
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    image.SetDirection(direction)
    return image


def saved(path, image):
    sitk.WriteImage(image, str(path))
    return path


def run(registry, out, *arguments):
    return nativedl("run", "--output", out, *arguments, registry=registry)


def report(out):
    return json.loads((out / "report.json").read_text())


def labels(out):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(out / "segmentation.nii.gz")))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_image_gives_everything_but_a_seg_and_the_report_says_why(tmp_path, registry, suffix, capsys):
    image, out = saved(tmp_path / f"image{suffix}", volume()), tmp_path / "out"

    assert run(registry, out, "--image", image, "--model", "bright") == 0

    written = {"segmentation.nii.gz", "segmentation.seg.nrrd", "preview.png", "report.json"}
    assert {path.name for path in out.iterdir()} == written
    assert set(report(out)["files"]) == written
    assert report(out)["segmentation"] is None
    assert report(out)["no_seg_because"].startswith("the image does not come from DICOM")
    assert report(out)["source"] == "image"
    assert report(out)["series"]["series_instance_uid"] is None
    assert np.mean(labels(out) == (factories.block() > 150)) > 0.97
    assert "it is taken to be CT, as bright is for that" in capsys.readouterr().err


@pytest.mark.parametrize("pixel", ["int16", "uint16", "int32", "float32", "float64"])
def test_an_image_is_segmented_like_the_series_it_was_made_from(tmp_path, registry, series, pixel):
    saved(
        tmp_path / "image.nrrd", volume(np.maximum(factories.block(), 0 if pixel == "uint16" else -1000).astype(pixel))
    )

    run(registry, tmp_path / "a", "--image", tmp_path / "image.nrrd", "--model", "bright", "--modality", "CT")
    run(registry, tmp_path / "b", "--input", series)

    assert np.array_equal(labels(tmp_path / "a"), labels(tmp_path / "b"))
    assert report(tmp_path / "a")["segments"][0] == report(tmp_path / "b")["segments"][0]
    assert not any("modality" in warning for warning in report(tmp_path / "a")["warnings"])


@pytest.mark.parametrize("angles", [(0, 0, 0), (0.3, -0.2, 0.5), (1.2, 0.4, 2.8)])
@pytest.mark.parametrize("mirrored", [None, 0, 1, 2])
def test_oblique_and_left_handed_images_are_segmented_where_the_voxels_are(tmp_path, registry, angles, mirrored):
    direction = np.array(oblique(*angles)).reshape(3, 3)
    if mirrored is not None:
        direction[:, mirrored] *= -1
    image = saved(tmp_path / "image.nrrd", volume(direction=tuple(direction.ravel())))

    assert run(registry, tmp_path / "out", "--image", image, "--model", "bright") == 0

    found = sitk.ReadImage(str(tmp_path / "out" / "segmentation.nii.gz"))
    assert np.mean(sitk.GetArrayViewFromImage(found) == (factories.block() > 150)) > 0.97
    assert np.allclose(found.GetDirection(), direction.ravel(), atol=1e-5)
    assert np.allclose(found.GetOrigin(), ORIGIN, atol=1e-4)


def test_values_of_another_modality_are_not_called_hounsfield_units(tmp_path, registry, capsys):
    image = saved(tmp_path / "image.nrrd", volume())

    assert run(registry, tmp_path / "out", "--image", image, "--model", "bright", "--modality", "MR") == 0

    assert "may not fit: is for CT, the series is MR" in capsys.readouterr().err
    assert "mean_value" in report(tmp_path / "out")["segments"][0]


def test_an_image_in_which_nothing_is_found_says_both(tmp_path, registry, capsys):
    image = saved(tmp_path / "image.nrrd", volume(np.full((6, 32, 40), -1000, np.int16)))

    assert run(registry, tmp_path / "out", "--image", image, "--model", "bright") == 0

    assert report(tmp_path / "out")["outcome"] == "empty"
    assert "does not come from DICOM" in report(tmp_path / "out")["no_seg_because"]
    assert "found none of its segments" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--image needs --model: without DICOM there is no body part"),
        (["--model", "bright", "--to", "PACS"], "--to needs a DICOM series"),
        (["--model", "bright", "--keep-empty"], "--keep-empty needs a DICOM series"),
        (["--model", "bright", "--input", "."], "name one source"),
    ],
)
def test_what_an_image_cannot_give_is_refused_at_once(tmp_path, registry, arguments, message, capsys):
    # The image is not even there: nothing was opened.
    assert run(registry, tmp_path / "out", "--image", tmp_path / "image.nrrd", *arguments) == 2

    assert message in capsys.readouterr().err


def test_a_series_says_its_own_modality(tmp_path, registry, series, capsys):
    assert run(registry, tmp_path / "out", "--input", series, "--modality", "MR") == 2

    assert "a modality is named for an image file only" in capsys.readouterr().err


def sheared(path):
    saved(path, volume())
    lines = path.read_bytes().split(b"\n")
    lines = [b"space directions: (1,0,0) (0.2,1,0) (0,0,2)" if b"space directions" in line else line for line in lines]
    path.write_bytes(b"\n".join(lines))


def with_header(path, old, new):
    saved(path, volume())
    path.write_bytes(path.read_bytes().replace(old, new, 1))


def truncated(path):
    saved(path, volume())
    path.write_bytes(path.read_bytes()[:3000])


BAD = {
    "is missing": (lambda path: None, "does not exist"),
    "is text": (lambda path: path.write_text("hello"), "is not a volume that can be read"),
    "is flat": (lambda path: saved(path, volume()[:, :, 0]), "has 2 axes; a volume has 3"),
    "moves": (lambda path: saved(path, sitk.JoinSeries(volume(), volume())), "has 4 axes; a volume has 3"),
    "is coloured": (
        lambda path: saved(path, sitk.Compose(volume(), volume(), volume())),
        "more than one value in a voxel",
    ),
    "is complex": (
        lambda path: saved(path, sitk.RealAndImaginaryToComplex(*[sitk.Cast(volume(), sitk.sitkFloat32)] * 2)),
        "more than one value in a voxel",
    ),
    "has infinities": (
        lambda path: saved(path, volume(np.where(factories.block() > 150, np.inf, 0).astype(np.float32))),
        "of its 7680 values are not finite numbers",
    ),
    "is beyond single precision": (lambda path: saved(path, volume(np.full((6, 32, 40), 1e300))), "7680 of its 7680"),
    "is sheared": (sheared, "its axes are not perpendicular (off by 0.196)"),
    "is truncated": (truncated, "cannot be read"),
    "is singular": (lambda path: with_header(path, b"(0,1,0)", b"(1,0,0)"), "are not perpendicular (off by 1.000)"),
    "is huge": (lambda path: with_header(path, b"sizes: 40 32 6", b"sizes: 900000 900000 900000"), "claims 900000 x"),
    "is microscopic": (lambda path: with_header(path, b"(1,0,0)", b"(1e-9,0,0)"), "no patient is like that"),
    "is nowhere": (lambda path: with_header(path, b"(-20,-16,100)", b"(-20,-16,9e9)"), "no patient is like that"),
    "has no origin": (lambda path: with_header(path, b"(-20,-16,100)", b"(nan,-16,100)"), "cannot be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_an_image_that_is_no_volume_is_refused_in_one_line(tmp_path, registry, name, capsys):
    make, message = BAD[name]
    make(tmp_path / "image.nrrd")

    code = run(registry, tmp_path / "out", "--image", tmp_path / "image.nrrd", "--model", "bright")

    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert code == 3, error
    assert message in error
    assert error.count(str(tmp_path)) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [(292, float("nan"), "its spacing, origin or axes are not numbers"), (284, 0.4, "its axes are not perpendicular")],
    ids=["nowhere", "sheared"],
)
def test_a_nifti_file_without_a_place_is_refused_in_one_line(tmp_path, registry, place, value, message, capfd):
    image = saved(tmp_path / "image.nii", volume())
    header = bytearray(image.read_bytes())
    if place == 284:
        # Without the quaternion, the rows of the affine say where the voxels lie.
        header[252:254] = b"\0\0"
    header[place : place + 4] = struct.pack("<f", value)
    image.write_bytes(header)

    assert run(registry, tmp_path / "out", "--image", image, "--model", "bright") == 3

    assert message in capfd.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_dicom_file_is_not_an_image_without_origin(tmp_path, registry, series, capsys):
    image = next(series.iterdir())

    assert run(registry, tmp_path / "out", "--image", image, "--model", "bright") == 3

    assert "is DICOM; as that, a SEG can refer to it; give it with --input" in capsys.readouterr().err


def test_the_report_describes_algorithm_and_segments_well_enough_to_do_without_the_registry(tmp_path, registry, series):
    run(registry, tmp_path / "out", "--input", series)

    written = report(tmp_path / "out")
    assert written["no_seg_because"] is None
    assert written["algorithm"] == {
        "name": "bright",
        "version": "1.2.3",
        "title": "Bright block",
        "source": "NativeDL registry (onnx)",
        "serial": written["weights_sha256"][:16],
        "parameters": {"step": "0.5", "min_volume": "0.05", "device": written["device"]},
    }
    (segment,) = written["segments"]
    assert segment["color"] == [40, 140, 40]
    assert segment["category"] == {"value": "123037004", "scheme": "SCT", "meaning": "Anatomical Structure"}
    assert segment["type"] == {"value": "10200004", "scheme": "SCT", "meaning": "Liver"}
    assert (segment["type_modifier"], segment["region"], segment["region_modifier"]) == (None, None, None)
