"""Small synthetic series, registries and networks. Every test makes its data here."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import encoders
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
CORONAL = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
SAGITTAL = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))

Edit = Callable[[Dataset, int], None]
Triple = tuple[float, float, float]


def ct_series(
    folder: Path,
    voxels: npt.NDArray[Any] | None = None,
    *,
    spacing: Triple = (1.0, 1.0, 2.0),
    origin: Triple = (-20.0, -16.0, 100.0),
    axes: Sequence[Sequence[float]] = AXIAL,
    backwards: bool = False,
    syntax: UID = ExplicitVRLittleEndian,
    edit: Edit | None = None,
) -> list[Path]:
    """Write a CT series.

    Parameters
    ----------
    voxels
        HU (z, y, x), z along the normal of `axes`; by default 6 slices of 32 x 40 with a bright block.
    spacing
        (x, y, z) in mm: between columns, between rows, between slices.
    axes
        Direction of the rows (x) and of the columns (y).
    backwards
        Whether file names and instance numbers run against the normal.
    edit
        Called with each data set and its index along the normal before it is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    voxels = block() if voxels is None else voxels
    row, column = (np.array(axis, float) for axis in axes)
    normal = np.cross(row, column)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    paths = []
    for index, plane in enumerate(voxels):
        dataset = _ct_header(study, series, frame)
        number = len(voxels) - index if backwards else index + 1
        dataset.InstanceNumber = number
        dataset.ImagePositionPatient = [f"{v:.6f}" for v in np.array(origin) + normal * spacing[2] * index]
        dataset.ImageOrientationPatient = [f"{v:.8f}" for v in (*row, *column)]
        dataset.PixelSpacing = [spacing[1], spacing[0]]
        dataset.SliceThickness = spacing[2]
        dataset.Rows, dataset.Columns = plane.shape
        dataset.PixelData = (plane.astype(np.int32) + 1024).astype(np.uint16).tobytes()
        if edit is not None:
            edit(dataset, index)
        paths.append(folder / f"IM{number:04d}")
        save(dataset, paths[-1], syntax)
    return paths


def several_volumes(folder: Path, *rows: dict[str, Any], shift: float = 0.0) -> Path:
    """Write one CT series that holds a volume for each row of attributes, in a folder each.

    The values of the volumes are 100 HU apart; `shift` is how much higher in mm each lies than the one before.
    """
    uids = {name: generate_uid() for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")}
    for number, row in enumerate(rows):

        def edit(dataset: Dataset, _: int, row: dict[str, Any] = row) -> None:
            for keyword, value in (uids | row).items():
                setattr(dataset, keyword, value)

        ct_series(
            folder / str(number), block() + 100 * number, origin=(-20.0, -16.0, 100.0 + number * shift), edit=edit
        )
    return folder


def enhanced_ct(
    path: Path,
    voxels: npt.NDArray[Any],
    *,
    spacing: Triple,
    origin: Triple,
    order: Sequence[int],
    axes: Sequence[Sequence[float]] = AXIAL,
    edit: Callable[[Dataset], None] | None = None,
) -> Path:
    """Write an enhanced CT whose frames are the planes of `voxels` (HU) in the given order."""
    dataset = _ct_header(generate_uid(), generate_uid(), generate_uid())
    dataset.SOPClassUID = EnhancedCTImageStorage
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        delattr(dataset, keyword)
    dataset.Rows, dataset.Columns = voxels.shape[1:]
    dataset.NumberOfFrames = len(order)
    dataset.InstanceNumber = 1
    row, column = (np.array(axis, float) for axis in axes)
    shared, frames = Dataset(), []
    shared.PixelMeasuresSequence = [_item(PixelSpacing=[spacing[1], spacing[0]], SliceThickness=spacing[2])]
    orientation = [f"{v:.8f}" for v in (*row, *column)]
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=orientation)]
    shared.PixelValueTransformationSequence = [_item(RescaleIntercept=-1024, RescaleSlope=1, RescaleType="HU")]
    for index in order:
        position = [f"{v:.6f}" for v in np.array(origin) + np.cross(row, column) * spacing[2] * index]
        frames.append(_item(PlanePositionSequence=[_item(ImagePositionPatient=position)]))
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = DicomSequence(frames)
    dataset.PixelData = (voxels[list(order)].astype(np.int32) + 1024).astype(np.uint16).tobytes()
    if edit is not None:
        edit(dataset)
    save(dataset, path, ExplicitVRLittleEndian)
    return path


def save(dataset: Dataset, path: Path, syntax: UID = ExplicitVRLittleEndian) -> None:
    """Write a data set as a DICOM file in a transfer syntax, compressing its pixel data where that asks for it."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID") or CTImageStorage
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID") or generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax.is_encapsulated else syntax
    little, implicit = syntax != ExplicitVRBigEndian, syntax == ImplicitVRLittleEndian
    dataset = FileDataset(
        str(path), dataset, file_meta=meta, preamble=b"\0" * 128, is_implicit_VR=implicit, is_little_endian=little
    )
    if not little:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    dataset.save_as(path, implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    if syntax.is_encapsulated:
        encoders.compress(path, syntax)


def deflate(file: Path, change: Callable[[bytes], bytes]) -> None:
    """Deflate a file in Explicit VR Little Endian after its data set was changed."""
    content = file.read_bytes()
    start = content.index(b"\x08\0\x05\0CS")
    meta = content[:start].replace(b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI\x16\x001.2.840.10008.1.2.1.99")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    file.write_bytes(meta + packer.compress(change(content[start:])) + packer.flush())


def block(shape: tuple[int, int, int] = (6, 32, 40)) -> npt.NDArray[np.int16]:
    """Return a volume of soft tissue in air with a bright block off its centre (HU, (z, y, x))."""
    voxels = np.full(shape, -1000, np.int16)
    z, y, x = shape
    voxels[:, 2 : y - 2, 2 : x - 2] = 30
    voxels[z // 3 : z - 1, y // 4 : y // 2, x // 4 : x // 2 + 2] = 300
    return voxels


def threshold_onnx(path: Path, threshold: float) -> Path:
    """Write an ONNX network that finds values above a threshold."""
    return pointwise_onnx(path, [0.0, 1.0], [0.0, -threshold])


def pointwise_onnx(path: Path, weights: Sequence[float], biases: Sequence[float]) -> Path:
    """Write an ONNX network whose logits are straight lines of each voxel's value, one line for each class."""
    import onnx
    from onnx import TensorProto, helper

    classes = len(weights)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "w", "b"], ["logits"])],
        "pointwise",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, "z", "y", "x"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", classes, "z", "y", "x"])],
        [
            helper.make_tensor("w", TensorProto.FLOAT, [classes, 1, 1, 1, 1], weights),
            helper.make_tensor("b", TensorProto.FLOAT, [classes], biases),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, path)
    return path


def threshold_module(threshold: float) -> Any:
    """Return the same network as a torch module."""
    import torch

    module = torch.nn.Conv3d(1, 2, 1)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1, 1))
        module.bias.copy_(torch.tensor([0.0, -threshold]))
    return module.eval()


def threshold_pt2(path: Path, threshold: float) -> Path:
    """Write the same network as a ``.pt2`` for patches of 16 x 16 x 16."""
    import torch

    batch = torch.export.Dim("batch", min=1, max=8)
    program = torch.export.export(
        threshold_module(threshold), (torch.zeros(2, 1, 16, 16, 16),), dynamic_shapes=({0: batch},)
    )
    torch.export.save(program, path)
    return path


def entry(**changes: Any) -> dict[str, Any]:
    """Return a registry entry of a threshold network that finds bright blocks."""
    code = {"value": "10200004", "scheme": "SCT", "meaning": "Liver"}
    result: dict[str, Any] = {
        "id": "bright",
        "version": "1.2.3",
        "title": "Bright block",
        "description": "Finds what is brighter than 150 HU.",
        "license": "Apache-2.0",
        "intended_use": "Tests.",
        "runtime": "onnx",
        "weights": {"file": "bright.onnx", "sha256": "0" * 64},
        "input": {
            "modality": "CT",
            "body_parts": ["ABDOMEN", "LIVER"],
            "keywords": ["liver", "abdomen", "bright block"],
            "channels": [{"name": "CT"}],
            "orientation": "LPS",
            "axes": "zyx",
            "spacing": [1.5, 1.0, 1.0],
            "intensity": {"clip": [-200, 400], "normalization": {"mean": 0.0, "std": 100.0}},
            "patch_size": [16, 16, 16],
        },
        "output": {
            "channels": 2,
            "activation": "softmax",
            "segments": [
                {
                    "label": 1,
                    "name": "Liver",
                    "color": [40, 140, 40],
                    "category": {"value": "123037004", "scheme": "SCT", "meaning": "Anatomical Structure"},
                    "type": code,
                }
            ],
        },
        "sliding_window": {"step": {"parameter": "step"}},
        "postprocessing": [{"step": "remove_small", "min_ml": {"parameter": "min_volume"}}],
        "parameters": [
            {
                "name": "step",
                "type": "number",
                "default": 0.5,
                "minimum": 0.25,
                "maximum": 1.0,
                "label": "Step",
                "help": "Distance between patches.",
            },
            {
                "name": "min_volume",
                "type": "number",
                "default": 0.05,
                "minimum": 0,
                "maximum": 1000,
                "unit": "mL",
                "label": "Smallest part",
                "help": "Smaller parts are removed.",
            },
        ],
    }
    if changes.get("runtime") == "nnunetv2":
        del result["input"]["axes"], result["output"]["activation"]
    return result | changes


def patient_entry(weights: Path, **changes: Any) -> dict[str, Any]:
    """Return an entry of a network that looks at images of patients at 3 mm, as the bundled models do."""
    result = entry(weights={"file": weights.name, "sha256": digest(weights)}, **changes)
    result["input"] |= {"spacing": [3.0, 3.0, 3.0], "patch_size": [64, 64, 64]}
    return result


def registry(folder: Path, *entries: dict[str, Any]) -> Path:
    """Write a registry with these entries, or with one of a working threshold network."""
    folder.mkdir(parents=True, exist_ok=True)
    if not entries:
        weights = threshold_onnx(folder / "bright.onnx", 1.5)
        entries = (entry(weights={"file": weights.name, "sha256": digest(weights)}),)
    path = folder / "registry.json"
    path.write_text(json.dumps({"schema_version": "1.0", "models": list(entries)}))
    return path


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _ct_header(study: str, series: str, frame: str) -> Dataset:
    dataset = _item(
        SpecificCharacterSet="ISO_IR 100",
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
        SOPClassUID=CTImageStorage,
        SOPInstanceUID=generate_uid(),
        StudyDate="20260102",
        StudyTime="101112",
        AccessionNumber="A1",
        Modality="CT",
        Manufacturer="Factory",
        ReferringPhysicianName="",
        StudyDescription="Abdomen",
        SeriesDescription="bright block",
        PatientName="Test^Patient",
        PatientID="P1",
        PatientBirthDate="19700101",
        PatientSex="O",
        BodyPartExamined="ABDOMEN",
        KVP="120",
        StudyInstanceUID=study,
        SeriesInstanceUID=series,
        StudyID="1",
        SeriesNumber=3,
        AcquisitionNumber=1,
        FrameOfReferenceUID=frame,
        PositionReferenceIndicator="",
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        BitsAllocated=16,
        BitsStored=16,
        HighBit=15,
        PixelRepresentation=0,
        RescaleIntercept=-1024,
        RescaleSlope=1,
        RescaleType="HU",
    )
    return dataset


def _item(**attributes: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset
