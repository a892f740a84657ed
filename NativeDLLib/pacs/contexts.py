"""Presentation contexts for receiving: which storage classes and transfer syntaxes are proposed, and accepted."""

from collections.abc import Iterable
from typing import Any

from pydicom import uid
from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, build_context, build_role
from pynetdicom.presentation import PresentationContext

from NativeDLLib.pacs.association import MAXIMUM_CONTEXTS

_UNCOMPRESSED = [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian]
# The most frequent first: when contexts are scarce, those at the end share one.
_COMPRESSED = [
    uid.JPEG2000Lossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.RLELossless,
    uid.DeflatedExplicitVRLittleEndian,
    uid.JPEG2000,
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLossless,
    uid.JPEGLSNearLossless,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
]
_LABEL_MAP_SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"  # younger than pydicom 3.0's dictionary
# Asked for when the peer cannot say what a series holds.
USUAL_CLASSES = (
    uid.CTImageStorage,
    uid.EnhancedCTImageStorage,
    uid.LegacyConvertedEnhancedCTImageStorage,
    uid.MRImageStorage,
    uid.EnhancedMRImageStorage,
    uid.LegacyConvertedEnhancedMRImageStorage,
    uid.PositronEmissionTomographyImageStorage,
    uid.EnhancedPETImageStorage,
    uid.SegmentationStorage,
    _LABEL_MAP_SEGMENTATION_STORAGE,
    uid.RTStructureSetStorage,
    uid.EnhancedSRStorage,
    uid.ComprehensiveSRStorage,
    uid.Comprehensive3DSRStorage,
    uid.SecondaryCaptureImageStorage,
    uid.RawDataStorage,
)


def storage_proposal(classes: Iterable[str]) -> tuple[list[PresentationContext], list[Any]]:
    """Presentation contexts and role selections with which a peer can send us objects by C-GET. The acceptor chooses
    one transfer syntax in a context: each compressed one has its own, so that the peer sends its objects without
    transcoding. Of 128 contexts, with many classes the rarer syntaxes share one.
    """
    available = MAXIMUM_CONTEXTS - 1
    classes = list(classes)[: available // 2]
    share = min(available // len(classes), 1 + len(_COMPRESSED))
    alone = [[syntax] for syntax in _COMPRESSED[: share - 2]]
    groups = [_UNCOMPRESSED, *alone, _COMPRESSED[share - 2 :]]
    contexts = [build_context(sop_class, group) for sop_class in classes for group in groups]
    return contexts, [build_role(sop_class, scp_role=True) for sop_class in classes]


def storage_support() -> list[PresentationContext]:
    """Make the contexts that our own Storage SCPs accept: every storage class in every transfer syntax."""
    classes = {str(context.abstract_syntax) for context in AllStoragePresentationContexts}
    classes.add(_LABEL_MAP_SEGMENTATION_STORAGE)
    return [build_context(sop_class, list(ALL_TRANSFER_SYNTAXES)) for sop_class in sorted(classes)]
