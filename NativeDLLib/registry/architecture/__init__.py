"""Networks as JSON, checked without what runs them; `NativeDLLib.inference.described_network` builds them with torch.

The description follows the one of Contino et al. 2024 (`IODeep`, doi:10.1016/j.cmpb.2024.108113): ``input_shape``, an
ordered ``architecture``, and for U-Nets ``skip_connection``. `NativeDLLib.models.iodeep.published_layout` reads their
own files, in which layers take their numbers from lists. ``Resources/architecture.schema.json`` is the full grammar.

Shapes are channels first and without the batch: (channels, y, x) in 2-D, (channels, z, y, x) in 3-D; sizes are in
pixels or voxels. A value per axis is one number for all, or a list in the order (y, x) or (z, y, x). Layers are
counted from 0. A layer takes what the one before it passes on; ``flatten`` (channels outermost) and the global
poolings make it flat, after which only ``dense``, normalisation by batch or layer, activations and ``dropout`` follow.

Layers and their parameters are those of the schema, with the defaults of `rules.DEFAULTS`. Zeros of the padding count
in ``average_pooling``; ``softmax`` is over the channels; ``layer_normalisation`` is over channels and space, with a
weight for each value; ``align_corners`` is for ``linear`` alone.

An entry of ``skip_connection`` joins what layer ``from`` passes on to the output of the later layer ``to``: ``mode`` is
``add`` or ``concatenate``, the latter with ``position`` (``last``, or ``first``) of the channels of ``from``. What
layer ``to`` passes on is the joined one.

Weights are a state dict with the names ``layers.<index>.weight``, ``.bias``, ``.running_mean`` and ``.running_var``
in the order of the layers, shaped as in torch.
"""

from NativeDLLib.registry.architecture.check import check_architecture, parameter_shapes

__all__ = ["check_architecture", "parameter_shapes"]
