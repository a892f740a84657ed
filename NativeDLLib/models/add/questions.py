"""Fields that an entry still lacks, with the words in which a person is asked for them."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.jsonfile import problem_of
from NativeDLLib.models.add.draft import Draft, Place, shown
from NativeDLLib.models.add.structures import ANATOMICAL, code_of, known_structure, offered_codes
from NativeDLLib.registry.check_entry import NO_OVERLAP


@dataclass(frozen=True)
class Question:
    """One unknown field of an entry: place, question, and a proposal or None."""

    place: Place
    text: str
    offer: Any
    _parse: Callable[[str], Any]

    def answer(self, text: str) -> Any:
        """Value of a person's text; ValueError says why it cannot be one."""
        value = self._parse(text)
        base, *steps = self.place if self.place[0] in ("input", "output") else ("model", *self.place)
        inner = "".join("/items" if isinstance(step, int) else f"/properties/{step}" for step in steps)
        problem = problem_of(value, "registry.schema.json", f"/$defs/{base}{inner}")
        if problem:
            raise ValueError(problem)
        return value


def questions(draft: Draft) -> list[Question]:
    """Questions about a draft, after the codes of segments with names of our table are filled in."""
    contract = _CONTRACT if draft.entry["runtime"] != "nnunetv2" else _NNUNET
    asked = [Question(place, text, draft.offers.get(place), parse) for place, text, parse in (*_FIELDS, *contract)]
    if trainer := draft.offers.get(("trainer",)):
        text = (
            f"its trainer {trainer!r} is none of nnU-Net's own; repeat the name if it trains the network of the plans"
        )
        asked.append(Question(("trainer",), text, None, lambda text: _same(text, trainer)))
    for index in range(draft.inputs if draft.inputs > 1 else 0):
        place: Place = ("input", "channels", index)
        if index:
            text = (
                f"series of channel {index + 1}: same, if it shows the first one's images in another window or colour"
            )
            same = Question((*place, "series"), f"{text}; a run takes no other", None, lambda text: _same(text, "same"))
            asked.append(same)
        if draft.at(("input", "intensity")) is None:
            text = f"of channel {index + 1}, {_INTENSITY}"
            asked.append(Question((*place, "intensity"), text, None, _intensity))
    for index, row in enumerate(draft.entry["output"]["segments"]):
        _match(draft, index, row)
        label = f"label {row['label']}" + (f" '{row['name']}'" if isinstance(row.get("name"), str) else "")
        for key, text, parse in _SEGMENT:
            place = ("output", "segments", index, key)
            asked.append(Question(place, f"{text} of {label}", draft.offers.get(place), parse))
    # The patch follows from the order of the axes, where the files tell its sizes.
    known = [("input", "patch_size")] if draft.shape and not draft.any_slices else []
    known += [("input", "intensity")] if draft.inputs > 1 else []
    sigmoid = draft.at(("output", "activation")) == "sigmoid"
    known += [] if sigmoid else [("output", "threshold")]
    known += [] if sigmoid and draft.outputs > 1 else [("output", "overlap")]
    return [question for question in asked if draft.at(question.place) is None and question.place not in known]


def template(draft: Draft) -> dict[str, Any]:
    """Return a fragment of an entry to be completed: what is missing is null, or what may be meant."""
    missing = Draft({key: draft.entry[key] for key in ("id", "version", "description")}, {})
    rows: dict[int, dict[str, Any]] = {}
    for question in questions(draft):
        if question.place[:2] == ("output", "segments"):
            index, key = int(question.place[2]), str(question.place[3])
            known = draft.entry["output"]["segments"][index]
            row = rows.setdefault(index, {k: known.get(k) for k in ("label", "name")})
            row[key] = question.offer
            modifier = draft.offers.get((*question.place[:3], "type_modifier"))
            row.update({"type_modifier": modifier} if key == "type" and modifier else {})
            continue
        if question.place[:2] == ("input", "channels"):
            missing.entry.setdefault("input", {}).setdefault("channels", copy.deepcopy(draft.at(("input", "channels"))))
        missing.put(question.place, question.offer)
    if rows:
        missing.put(("output", "segments"), list(rows.values()))
    return missing.entry


def require_complete(draft: Draft) -> None:
    """Raise UsageError with all missing fields, if there are any."""
    missing = [shown(question.place) for question in questions(draft)]
    if missing:
        raise UsageError(
            f"missing: {', '.join(missing)}",
            hint="answer on a terminal, or write what is missing to a file with --template FILE, complete it, and give "
            "it with --answers FILE",
        )


def _match(draft: Draft, index: int, row: dict[str, Any]) -> None:
    name = row.get("name")
    if not isinstance(name, str):
        return
    place: Place = ("output", "segments", index)
    found = known_structure(name)
    if found and "type" not in row:
        row.update(found | row)
        draft.told.append(f"label {row['label']} '{name}': {said(row)} (by its name, from NativeDL's table)")
        return
    for key, code in offered_codes(name).items():
        draft.offers[(*place, key)] = code
    draft.offers[(*place, "category")] = ANATOMICAL
    draft.offers[(*place, "color")] = _color(row["label"])


def said(row: dict[str, Any]) -> str:
    """Return the codes of a segment in words."""
    codes = [row[key] for key in ("type", "type_modifier", "category") if row.get(key)]
    return ", ".join(f"{code['value']} {code['scheme']} {code['meaning']}" for code in codes)


def in_words(offer: Any) -> str:
    """A proposal as a person would write it."""
    if isinstance(offer, dict):
        return f"{offer['value']} {offer['scheme']} {offer['meaning']}"
    return " ".join(str(part) for part in offer) if isinstance(offer, list) else str(offer)


def _color(label: int) -> list[int]:
    """Return a colour that neighbouring labels do not have: steps of the golden angle around the colour wheel."""
    import colorsys

    return [round(255 * part) for part in colorsys.hsv_to_rgb(label * 0.381966 % 1, 0.6, 0.9)]


def _numbers(text: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.replace(",", " ").split()]
    except ValueError:
        numbers = [math.nan]
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError("that is no number")
    return [int(number) if number.is_integer() else number for number in numbers]


def _number(text: str) -> float:
    numbers = _numbers(text)
    if len(numbers) != 1:
        raise ValueError("that is not one number")
    return numbers[0]


def _same(text: str, wanted: str, told: str = "") -> str:
    if text != wanted:
        raise ValueError(told or f"that is not {wanted}")
    return text


def _words(text: str, nothing: str) -> list[str]:
    words = [part.strip() for part in text.split(",")]
    return [] if words == [nothing] else words


def _intensity(text: str) -> dict[str, Any]:
    words = text.replace(",", " ").split()
    named = words.pop() if words and words[-1] in ("image", "none") else None
    numbers = _numbers(" ".join(words))
    if len(numbers) not in ((0, 2) if named else (2, 4)):
        raise ValueError("write none, image, or MEAN STD; before it LOW HIGH where values are clipped")
    normalization = named or {"mean": numbers[-2], "std": numbers[-1]}
    clip = numbers[:2] if named else numbers[:-2]
    return ({"clip": clip} if clip else {}) | {"normalization": normalization}


def _code(text: str) -> dict[str, str]:
    value, *rest = text.split(None, 2) or [""]
    if len(rest) == 2:
        return {"value": value, "scheme": rest[0], "meaning": rest[1]}
    code = code_of(value)
    if rest or code is None:
        raise ValueError("write VALUE SCHEME MEANING, as in 10200004 SCT Liver; unknown codes are not guessed")
    return code


_INTENSITY = (
    "intensities: none, image (its own mean and deviation) or MEAN STD; before it LOW HIGH where they are clipped"
)
_Row = tuple[Place, str, Callable[[str], Any]]
_FIELDS: tuple[_Row, ...] = (
    (("title",), "title, as people will see it", str),
    (("license",), "licence of the weights", str),
    (("intended_use",), "intended use, in a sentence", str),
    (("input", "modality"), "modality (CT, MR or PT)", str.upper),
    (
        ("input", "body_parts"),
        "body parts that it is for, as Body Part Examined names them (ABDOMEN, LIVER), or any",
        lambda text: _words(text.upper(), "ANY"),
    ),
    (
        ("input", "keywords"),
        "words of series and study descriptions that speak for it (liver, portal), or none",
        lambda text: _words(text.lower(), "none"),
    ),
)
_CONTRACT: tuple[_Row, ...] = (
    (
        ("input", "axes"),
        "order of the axes of its array after batch and channels: zyx (NumPy arrays of SimpleITK or of DICOM slices), "
        "xyz (MONAI, TorchIO, nibabel), or another; what is asked as z y x stays so",
        str.lower,
    ),
    (("input", "orientation"), "where its axes x, y, z point in the patient, as in LPS", str.upper),
    (("input", "spacing"), "spacing in mm (z y x)", _numbers),
    (("input", "intensity"), _INTENSITY, _intensity),
    (("input", "patch_size"), "patch size in voxels (z y x)", _numbers),
    (
        ("output", "activation"),
        "its channels: softmax (classes that exclude each other, the background first) or sigmoid (each a structure "
        "for itself, without a background)",
        str.lower,
    ),
    (
        ("output", "threshold"),
        "value of its output above which a voxel is of a structure: 0.5 of probabilities, 0 of logits",
        _number,
    ),
    (
        ("output", "overlap"),
        "its structures: largest, if they exclude each other, so that a voxel of several is of the one with the "
        "largest value; structures that overlap cannot be kept in one label map",
        lambda text: _same(text.lower(), "largest", f"{NO_OVERLAP}; Ctrl-C adds nothing"),
    ),
)
_NNUNET: tuple[_Row, ...] = (
    (
        ("input", "orientation"),
        "how its training images were stored, which nnU-Net does not note and which decides about left and right: LAS "
        "(NIfTI of dcm2niix), RAS (turned to the canonical axes, as TotalSegmentator's), LPS (as axial DICOM slices), "
        "another such code, or stored (each image as it is)",
        lambda text: "stored" if text.lower() == "stored" else text.upper(),
    ),
)
_SEGMENT: tuple[tuple[str, str, Callable[[str], Any]], ...] = (
    ("name", "name", str),
    ("type", "code (VALUE SCHEME MEANING)", _code),
    ("category", "category (VALUE SCHEME MEANING)", _code),
    ("color", "colour (red green blue)", _numbers),
)
