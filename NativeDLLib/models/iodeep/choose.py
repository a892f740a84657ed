"""The published choice of a network for an image (Contino et al. 2024, Algorithm 1), with its reasons.

An image takes the networks of its Modality, SamplesPerPixel and kind of PhotometricInterpretation (colour or grey) that
are for its BodyPartExamined or, where that is empty, for a body part that its StudyDescription names.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from packaging.version import InvalidVersion, Version

from NativeDLLib.core.errors import ModelError
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.select import Described

_GREY = ("MONOCHROME1", "MONOCHROME2")


@dataclass(frozen=True)
class Offer:
    """Images that a network is for.

    ``body_parts`` are values of BodyPartExamined, none for any; ``keywords`` are lower-case words of descriptions.
    """

    id: str
    version: str
    modality: str
    body_parts: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    samples_per_pixel: int = 1
    photometric_interpretation: str = "MONOCHROME2"


@dataclass(frozen=True)
class Choice:
    """The network that was chosen, why, and why none of the others was."""

    offer: Offer
    reasons: tuple[str, ...]
    others: tuple[tuple[Offer, str], ...]


def offer_of(model: Model) -> Offer:
    """Offer of a registry's model: one grey value a voxel."""
    wants = model.input
    return Offer(model.id, model.version, wants.modality, wants.body_parts, wants.keywords)


def newest(version: str) -> tuple[Version, str]:
    """Return a key that sorts versions by age; what is no version is older than any."""
    try:
        return Version(version), version
    except InvalidVersion:
        return Version("0.dev0"), version


def choose(offers: Iterable[Offer], image: Described) -> Choice:
    """Network for an image, the same one whatever the order of the offers.

    Of several that match, the one for the fewest body parts; of equals the newest version. ModelError says why none
    matches.
    """
    matching: list[tuple[Offer, str]] = []
    others: list[tuple[Offer, str]] = []
    for offer in offers:
        matches, reason = _match(offer, image)
        (matching if matches else others).append((offer, reason))
    others.sort(key=lambda pair: (pair[0].id, pair[0].version))
    if not matching:
        told = " | ".join(f"{offer.id} {offer.version}: {reason}" for offer, reason in others)
        raise ModelError(f"no model matches this image. {told or 'There are none'}")
    # Sorted by the last criterion first: each sort keeps the order of the one before among equals.
    matching.sort(key=lambda pair: pair[0].id)
    matching.sort(key=lambda pair: newest(pair[0].version), reverse=True)
    matching.sort(key=lambda pair: len(pair[0].body_parts) or float("inf"))
    (best, reason), *rest = matching
    reasons = (f"is for {best.modality} of {best.samples_per_pixel} sample(s) a pixel", reason)
    beaten = [(offer, "matches as well, but is less specific or older") for offer, _ in rest]
    return Choice(best, reasons, tuple(beaten + others))


def _match(offer: Offer, image: Described) -> tuple[bool, str]:
    modality = image.text("Modality")
    if modality != offer.modality:
        return False, f"is for {offer.modality}, the image is {modality or 'without modality'}"
    kind = image.text("PhotometricInterpretation") or "MONOCHROME2"
    if _is_grey(kind) != _is_grey(offer.photometric_interpretation):
        return False, f"is for {offer.photometric_interpretation}, the image is {kind}"
    samples = image.text("SamplesPerPixel") or ("1" if _is_grey(kind) or kind == "PALETTE COLOR" else "3")
    if samples != str(offer.samples_per_pixel):
        return False, f"is for {offer.samples_per_pixel} sample(s) a pixel, the image has {samples}"
    if not offer.body_parts:
        return True, "takes any body part"
    body_part = image.text("BodyPartExamined").strip().upper()
    if body_part:
        if body_part in offer.body_parts:
            return True, f"BodyPartExamined is {body_part}"
        return False, f"is for {', '.join(offer.body_parts)}, BodyPartExamined is {body_part}"
    word = _named(offer, image.text("StudyDescription"))
    if word:
        return True, f"BodyPartExamined is empty, StudyDescription says '{word}'"
    return False, f"BodyPartExamined is empty, StudyDescription names none of {', '.join(offer.body_parts)}"


def _is_grey(photometric_interpretation: str) -> bool:
    return photometric_interpretation in _GREY


def _named(offer: Offer, description: str) -> str:
    """Return the first of an offer's body parts and keywords that a description has as whole words."""
    text = f" {' '.join(re.findall(r'[a-z0-9]+', description.lower()))} "
    # CHESTABDOMEN is written in two words in descriptions.
    joined = text.split()
    joined += [first + second for first, second in pairwise(joined)]
    parts = [part.lower() for part in offer.body_parts if part.lower().replace(" ", "") in joined]
    return next(iter([*parts, *(keyword for keyword in offer.keywords if f" {keyword} " in text)]), "")
