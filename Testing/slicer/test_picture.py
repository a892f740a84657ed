"""The picture of README and manual: a real CT with the contours of a result, and the panel beside it."""

import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage.measure import find_contours

from Testing.slicer import panel as panels

WINDOW = (-160.0, 240.0)
RED_BAR, BAR = (243, 74, 51), 30
TWICE = 2


def slice_view(slicer, node, volume, height):
    """Draw the axial slice that holds most of a segmentation, with its contours, as Slicer's red view does."""
    values = slicer.util.arrayFromVolume(volume).astype(float)
    masks = {}
    for index in range(node.GetSegmentation().GetNumberOfSegments()):
        name = node.GetSegmentation().GetNthSegmentID(index)
        color = tuple(round(255 * part) for part in node.GetSegmentation().GetSegment(name).GetColor())
        masks[color] = slicer.util.arrayFromSegmentBinaryLabelmap(node, name, volume)
    slice_index = int(np.argmax(sum(mask.sum((1, 2)) for mask in masks.values())))
    low, high = WINDOW
    grey = np.clip((values[slice_index] - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    side = TWICE * (height - BAR)
    image = Image.fromarray(grey).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    scale = side / len(grey)
    for color, mask in masks.items():
        inside = Image.fromarray((mask[slice_index] > 0).astype(np.uint8) * 255).resize(image.size)
        image.paste(color, mask=inside.point(lambda value: value // 5))
        for line in find_contours(np.pad(mask[slice_index] > 0, 1), 0.5):
            points = [((x - 0.5) * scale, (y - 0.5) * scale) for y, x in line]
            ImageDraw.Draw(image).line(points, fill=color, width=3 * TWICE, joint="curve")
    view = Image.new("RGB", (height - BAR, height), RED_BAR)
    view.paste(image.resize((height - BAR,) * 2, Image.Resampling.LANCZOS), (0, BAR))
    offset = volume.GetOrigin()[2] + slice_index * volume.GetSpacing()[2]
    draw, font = ImageDraw.Draw(view), ImageFont.load_default(18)
    draw.text((10, 4), "R", fill="white", font=font)
    draw.text((height - BAR - 130, 4), f"S: {offset:.1f} mm", fill="white", font=font)
    return view, slice_index


def test_a_real_ct_is_shown_with_the_contour_of_its_liver_beside_the_panel(slicer_app, tmp_path, real_data):
    slicer = slicer_app.slicer
    panels.add(slicer_app, sorted((real_data / "upper_abdomen_ct_dicom").glob("*.dcm")))
    panel = panels.Panel(slicer_app)
    panel.choose_series("abdomen")
    panel.choose_model("liver-ct-demo")
    assert panel.run() == "Finished: review the result below."
    node = panel.widget.review.node
    volume = node.GetNodeReference("referenceImageGeometryRef")
    shown = Image.open(slicer_app.picture(panel.widget, tmp_path / "panel.png")).convert("RGB")
    view, index = slice_view(slicer, node, volume, shown.height)

    picture = Image.new("RGB", (shown.width + view.width, shown.height))
    picture.paste(shown, (0, 0))
    picture.paste(view, (shown.width, 0))
    picture.save(Path(os.environ.get("NATIVEDL_SCREENSHOTS") or tmp_path) / "slicer.png", optimize=True)

    # The liver lies on the right of the patient, which is on the left of the view, and is brighter than what is around.
    (name,) = panel.widget.review.segments()
    mask = slicer.util.arrayFromSegmentBinaryLabelmap(node, name, volume)[index] > 0
    assert np.argwhere(mask)[:, 1].mean() < mask.shape[1] / 2
    assert slicer.util.arrayFromVolume(volume)[index][mask].mean() > 60
