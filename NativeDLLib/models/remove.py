"""Taking back what adding, pulling or fetching a model brought."""

import shutil

from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.places import kept
from NativeDLLib.models.add.install import remove_entry
from NativeDLLib.models.fetch.fetch import remove
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.load import load_models, pulled_registry
from NativeDLLib.registry.weights import models_folder


def take_back(model: Model, forget: bool) -> list[str]:
    """Remove fetched weights, and the entry of a model that was added or pulled with the weights that came with it.
    `forget` allows another SHA-256 to be recorded at the next fetch. Returns what was removed. UsageError where the
    model came in none of these ways, or another one needs it.
    """
    is_fetched, is_pulled = bool(model.weights.url), model.registry == pulled_registry()
    is_added = model.registry == kept("registry.json") and not is_fetched
    users = [other.id for other in load_models().values() if other.coarse and other.coarse.model.id == model.id]
    if users and (is_pulled or is_added):
        raise UsageError(f"model {model.id}: is the coarse model of {', '.join(users)}; remove that first")
    removed = []
    # What came in no way is refused there.
    if (is_fetched or not (is_pulled or is_added)) and remove(model, forget):
        removed.append("weights")
    if is_pulled or is_added:
        # The index of what was pulled keeps the signer, whose the id remains.
        remove_entry(model)
        removed.append("entry")
    timings = models_folder() / "_forward"
    if removed and model.runtime == "nnunetv2" and timings.is_dir():
        # They are named for networks, not for models: those of others are measured again.
        shutil.rmtree(timings)
        removed.append("timings")
    return removed
