"""Storing objects by C-STORE: one association for many, each sent as it lies on disk, each with its own outcome."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import build_context

from NativeDLLib.core.errors import PacsError, UsageError
from NativeDLLib.pacs.association import MAXIMUM_CONTEXTS, associate
from NativeDLLib.pacs.identity import Identity, read_identity
from NativeDLLib.pacs.outcome import AssociationLostError, NoneAcceptedError, StoreOutcome
from NativeDLLib.pacs.peers import Peer

_Object = tuple[Path, Identity]
_Pair = tuple[str, str]
# Every peer must take the default transfer syntax, and these can be rewritten in it without touching the pixels.
_CONVERTIBLE = (ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)
_ACCEPTED, _ABSTRACT_SYNTAX_NOT_SUPPORTED = 0, 3


def store_each(peer: Peer, files: Sequence[Path]) -> Generator[StoreOutcome, None, None]:
    """Send objects to a peer over one association, giving each outcome before the next object is sent. Each file keeps
    its transfer syntax, but an uncompressed one is rewritten in Implicit VR Little Endian for a peer that takes nothing
    else. An outcome, not an error, says that the peer is down or refuses. InputError, and nothing is sent, where a file
    is no DICOM object.
    """
    for group in _groups([(file, read_identity(file)) for file in files]):
        yield from _store_group(peer, group)


def _groups(objects: Sequence[_Object]) -> Iterator[list[_Object]]:
    """Cut the objects where one association's 128 presentation contexts are used up; nearly always there is one."""
    group: list[_Object] = []
    used: set[_Pair] = set()
    for item in objects:
        needed = set(_pairs([item]))
        if len(used | needed) > MAXIMUM_CONTEXTS:
            yield group
            group, used = [], set()
        group.append(item)
        used |= needed
    if group:
        yield group


def _pairs(objects: Sequence[_Object]) -> list[_Pair]:
    """List the (SOP class, transfer syntax) pairs of the objects, and the default syntax where it can stand in."""
    pairs: dict[_Pair, None] = {}
    for _, header in objects:
        pairs[header.sop_class_uid, header.transfer_syntax_uid] = None
        if header.transfer_syntax_uid in _CONVERTIBLE:
            pairs[header.sop_class_uid, ImplicitVRLittleEndian] = None
    return list(pairs)


def _store_group(peer: Peer, group: Sequence[_Object]) -> Generator[StoreOutcome, None, None]:
    pairs = _pairs(group)
    contexts = [build_context(sop_class, syntax) for sop_class, syntax in pairs]
    done = 0
    try:
        with associate(peer, contexts) as association:
            # Context IDs are the odd numbers, in the order of the proposal.
            answered = (*association.accepted_contexts, *association.rejected_contexts)
            results = {pairs[context.context_id // 2]: context.result for context in answered}
            for item in group:
                outcome = _store_one(peer, association, item, results, done)
                done += 1
                yield outcome
                if outcome.unclear:
                    raise AssociationLostError(f"not sent, for {peer} ended the association")
    except NoneAcceptedError as error:
        for item in group:
            yield _refused(peer, item, dict(zip(pairs, error.results, strict=True)))
    except (PacsError, UsageError) as error:
        for path, header in group[done:]:
            yield StoreOutcome(path, header.sop_instance_uid, None, False, str(error))


def _store_one(peer: Peer, association: Any, item: _Object, results: Mapping[_Pair, int], number: int) -> StoreOutcome:
    path, header = item
    uid = header.sop_instance_uid
    content: Any = path
    if results.get((header.sop_class_uid, header.transfer_syntax_uid)) != _ACCEPTED:
        stand_in = results.get((header.sop_class_uid, str(ImplicitVRLittleEndian)))
        if header.transfer_syntax_uid not in _CONVERTIBLE or stand_in != _ACCEPTED:
            return _refused(peer, item, results)
        content = dcmread(path)
    try:
        response = association.send_c_store(content, msg_id=number % 0xFFFF + 1)
    except (AttributeError, ValueError) as error:
        return StoreOutcome(path, uid, None, False, f"cannot be encoded as {peer} wants it: {error}")
    except RuntimeError as error:  # pynetdicom's way to say that the association has ended before
        raise AssociationLostError(f"not sent, for {peer} ended the association") from error
    if "Status" not in response:
        message = f"{peer} ended the association, or did not answer within {peer.timeouts.dimse:g} s (timeouts.dimse)"
        return StoreOutcome(path, uid, None, False, message, unclear=True)
    return StoreOutcome.answered(path, uid, response.Status, str(response.get("ErrorComment", "")))


def _refused(peer: Peer, item: _Object, results: Mapping[_Pair, int]) -> StoreOutcome:
    path, header = item
    sop_class, syntax = UID(header.sop_class_uid).name, UID(header.transfer_syntax_uid).name
    result = results.get((header.sop_class_uid, header.transfer_syntax_uid))
    if result == _ABSTRACT_SYNTAX_NOT_SUPPORTED:
        reason = f"{peer} does not take objects of the class {sop_class}; its administrator can allow it"
    else:
        reason = f"{peer} takes {sop_class}, but not in the transfer syntax {syntax}; convert it or allow it there"
    return StoreOutcome(path, header.sop_instance_uid, None, False, reason)
