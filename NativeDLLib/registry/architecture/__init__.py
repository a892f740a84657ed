"""Networks as JSON, checked without what runs them; `NativeDLLib.inference.described_network` builds them with torch.

The description follows the one of Contino et al. 2024 (`IODeep`, doi:10.1016/j.cmpb.2024.108113): ``input_shape``, an
ordered ``architecture``, and for U-Nets ``skip_connection``. `NativeDLLib.models.iodeep.published_layout` reads their
own files, in which layers take their numbers from lists. ``Resources/architecture.schema.json`` is the full grammar.

Shapes are channels first and without the batch: (channels, y, x) in 2-D, (channels, z, y, x) in 3-D; sizes are in
pixels or voxels. What is given per axis is one number for all, or a list in the order (y, x) or (z, y, x). Layers are
counted from 0. A layer takes what the one before it passes on; ``flatten`` (channels outermost) and the global
poolings make it flat, after which only ``dense``, normalisation by batch or layer, activations and ``dropout`` follow.

=========================  ==============================================================================
``type``                   parameters (defaults)
=========================  ==============================================================================
convolution                filters, kernel_size, stride (1), padding (0), dilation (1), groups (1), bias (true)
transposed_convolution     filters, kernel_size, stride (1), padding (0), output_padding (0), bias (true)
max_pooling                kernel_size, stride (kernel_size), padding (0)
average_pooling            kernel_size, stride (kernel_size), padding (0; zeros count in the average)
global_max_pooling         none
global_average_pooling     none
batch_normalisation        epsilon (1e-5), affine (true)
instance_normalisation     epsilon (1e-5), affine (true)
group_normalisation        groups, epsilon (1e-5), affine (true)
layer_normalisation        epsilon (1e-5), affine (true); over channels and space, a weight for each value
relu, silu                 none
sigmoid, tanh, softmax     none; softmax is over the channels
leaky_relu                 slope (0.01)
elu                        alpha (1)
gelu                       approximate (false; true is the tanh formula)
prelu                      per_channel (false)
dropout                    rate, whole_channels (false); does nothing in prediction
upsampling                 scale (an integer), mode (nearest) or linear, align_corners (false; only for linear)
dense                      units, bias (true)
flatten                    none
=========================  ==============================================================================

An entry of ``skip_connection`` joins what layer ``from`` passes on to the output of the later layer ``to``: ``mode`` is
``add`` or ``concatenate``, the latter with ``position`` (``last``, or ``first``) of the channels of ``from``. What
layer ``to`` passes on is the joined one.

Weights are a state dict with the names ``layers.<index>.weight``, ``.bias``, ``.running_mean`` and ``.running_var``
in the order of the layers, shaped as in torch.
"""

from NativeDLLib.registry.architecture.check import check_architecture, parameter_shapes

__all__ = ["check_architecture", "parameter_shapes"]
