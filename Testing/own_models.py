"""What the tests of adding models share: what an administrator answers, and a network's own labels of a series."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from tools import nativedl

from NativeDLLib.models.add.install import install, user_registry
from NativeDLLib.models.add.model_files import read_source
from NativeDLLib.models.add.questions import require_complete

PURPOSE = {"body_parts": ["ABDOMEN", "LIVER"], "keywords": []}
CONTRACT = {"axes": "zyx", "orientation": "LPS", "spacing": [2.0, 1.0, 1.0], "intensity": {"normalization": "none"}}
IDENTITY = {"title": "Bright block", "license": "Ours", "intended_use": "Tests."}
OTHER = {
    "label": 2,
    "type": {"value": "78961009", "scheme": "SCT", "meaning": "Spleen"},
    "category": {"value": "123037004", "scheme": "SCT", "meaning": "Anatomical Structure"},
    "color": [200, 20, 20],
}
# nnU-Net's own answer is asked for images as they are stored.
STORED = {"orientation": "stored", **PURPOSE}
TWO_LABELS = IDENTITY | {"input": STORED, "output": {"segments": [OTHER]}}


def answers(**changes):
    """Return what an administrator says of a network of one segment that takes CT as it is."""
    given = {
        "input": {"modality": "CT", "patch_size": [16, 16, 16], **PURPOSE, **CONTRACT},
        "output": {"activation": "softmax", "segments": [{"label": 1, "name": "liver"}]},
    }
    return IDENTITY | given | changes


def refusal(error, *arguments, **options):
    """Return the one line with which reading what is to be added is refused."""
    with pytest.raises(error) as caught:
        read_source(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def written(path, data):
    """Write data as JSON, and return the path."""
    path.write_text(json.dumps(data))
    return path


def labels_of_run(series, model_id, out, registry=None):
    """Run a model as a person would, and return its label map (z, y, x)."""
    assert nativedl("run", "--input", series, "--model", model_id, "--output", out, registry=registry) == 0
    return sitk.GetArrayFromImage(sitk.ReadImage(str(out / "segmentation.nii.gz")))


def own_labels(logits):
    """Return the most likely class of each voxel, of logits (1, classes, z, y, x)."""
    return np.argmax(logits[0], axis=0)


def add_model(source, answers, registry=None, *, architecture=None, replace=False):
    """Add a model in one call, where the command asks a person in between."""
    draft = read_source(source, architecture=architecture)
    draft.merge(dict(answers), "answers")
    require_complete(draft)
    return install(draft, registry or user_registry(), replace=replace)
