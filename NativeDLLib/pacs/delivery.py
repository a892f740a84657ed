"""Sending what is in the outbox, so that every object reaches its peer once."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from NativeDLLib.core.errors import InputError, PacsError, UsageError
from NativeDLLib.core.files import sha256
from NativeDLLib.core.progress import Progress
from NativeDLLib.pacs.identity import read_identity
from NativeDLLib.pacs.ledger import Entry
from NativeDLLib.pacs.outbox import Outbox
from NativeDLLib.pacs.outcome import StoreOutcome
from NativeDLLib.pacs.peers import Peer
from NativeDLLib.pacs.services import has_instance, store_each


@dataclass(frozen=True)
class Delivery:
    """Outcome of one object of the outbox: ``ok`` if its peer has it now, else it waits for the next attempt."""

    id: int
    peer: str
    sop_instance_uid: str
    ok: bool
    message: str


def send(
    outbox: Outbox,
    peers: Mapping[str, Peer],
    progress: Progress,
    only_due: bool = True,
    ids: Collection[int] | None = None,
) -> list[Delivery]:
    """Send the objects that are due, each peer's over one association, and return a delivery for each that was tried.
    Objects for others than the configured `peers` (by name) stay. `only_due` leaves out those with a later next
    attempt, `ids` all but these; those that another process sends are left to it.
    """
    with outbox.claimed(ids, only_due) as entries:
        work = _Work(outbox, len(entries), progress)
        for name in dict.fromkeys(entry.peer for entry in entries):
            mine = [entry for entry in entries if entry.peer == name]
            if name in peers:
                work.send_all(peers[name], mine)
            else:
                for entry in mine:
                    work.note(entry, False, f"no peer is called '{name}' in pacs.json")
    return work.deliveries


def deliver(files: Sequence[Path], peer: Peer, progress: Progress) -> list[Delivery]:
    """Send objects by the user's outbox, with what is due for the peer; PacsError where one has to stay in it."""
    peers, outbox = {peer.name: peer}, Outbox()
    ids = outbox.add(files, peer.name)
    entries = {entry.id: entry for entry in outbox.entries() if entry.peer == peer.name}
    deliveries = send(outbox, peers, progress, ids=entries)
    # Another process that sends what is due may have taken them the moment they were there.
    if outbox.wait_for_others(ids, progress):
        deliveries += send(outbox, peers, progress, ids=ids)
    complain(outbox, ids)
    told = {delivery.id: delivery for delivery in deliveries}
    mine = [entries[number] for number in ids if number in entries]
    sent = [Delivery(e.id, e.peer, e.sop_instance_uid, True, "another process sent it") for e in mine]
    return [told.get(delivery.id, delivery) for delivery in sent]


def complain(outbox: Outbox, ids: Collection[int] | None = None) -> None:
    """Raise a `PacsError` that says how many objects, of those with `ids`, are still in the outbox, and why."""
    left = [entry for entry in outbox.entries() if ids is None or entry.id in ids]
    if left:
        reasons = list(dict.fromkeys(entry.reason or "another process is sending it" for entry in left))
        told = "; ".join(reasons[:3]) + ("; and others" if len(reasons) > 3 else "")
        hint = "try again with: nativedl outbox send, or give one up with: nativedl outbox drop ID"
        raise PacsError(f"{len(left)} object(s) stay in the outbox: {told}", hint=hint)


@dataclass
class _Work:
    outbox: Outbox
    count: int
    progress: Progress
    deliveries: list[Delivery] = field(default_factory=list)

    def send_all(self, peer: Peer, entries: Sequence[Entry]) -> None:
        try:
            ready = [entry for entry in entries if not self._settled(peer, entry)]
        except (PacsError, UsageError) as error:
            for entry in entries:
                if entry.id not in {delivery.id for delivery in self.deliveries}:
                    self.note(entry, False, str(error))
            return
        with closing(store_each(peer, [self.outbox.copy_of(entry) for entry in ready])) as outcomes:
            marked = None
            for entry, following in zip_longest(ready, ready[1:]):
                if marked is not entry:  # one that is on its way already is sent, whatever was wished since
                    self.progress.check()
                    self.outbox.mark_sending(entry)
                outcome = next(outcomes)
                # Each change waits for the disk: that one object is there and the next is on its way is one change.
                marked = following if outcome.ok and not self.progress.is_cancelled else None
                self.note(entry, outcome.ok, outcome.message, outcome, marked)

    def note(
        self, entry: Entry, ok: bool, message: str, outcome: StoreOutcome | None = None, following: Entry | None = None
    ) -> None:
        unclear, answered = outcome is not None and outcome.unclear, outcome is not None and outcome.status is not None
        if ok:
            self.outbox.mark_delivered(entry, following)
        else:
            if unclear and entry.state == "unclear":
                message += "; this try ended like the last: the peer may have the object, under its UID or another one"
            # Until the peer says what became of an earlier attempt, a failure to reach it changes nothing.
            self.outbox.mark_failed(entry, message, unclear or (entry.state == "unclear" and not answered))
        self.deliveries.append(Delivery(entry.id, entry.peer, entry.sop_instance_uid, ok, message))
        self.progress.update("send", len(self.deliveries) / self.count)

    def _settled(self, peer: Peer, entry: Entry) -> bool:
        """Deal with an object that need not, or cannot, be sent."""
        self.progress.check()
        copy = self.outbox.copy_of(entry)
        try:
            read_identity(copy)
            if sha256(copy) != entry.sha256:
                raise InputError(f"{copy}: is no longer what was put there; send the original again")
        except (InputError, OSError) as error:
            self.note(entry, False, str(error))
            return True
        uids = (entry.study_uid, entry.series_uid, entry.sop_instance_uid)
        is_there = entry.state == "unclear" and has_instance(peer, *uids)
        if is_there:
            self.note(entry, True, "the peer had it already")
        return is_there
