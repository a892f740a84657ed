"""Networks as JSON, checked without what runs them; `NativeDLLib.inference.torch_runtime` builds them with torch.

The description follows the one of Contino et al. 2024 (`IODeep`, doi:10.1016/j.cmpb.2024.108113), whose own files
`NativeDLLib.models.iodeep.published_layout` reads. ``docs/models/architecture.md`` tells what it means, and
``Resources/architecture.schema.json`` is the full grammar. Shapes are channels first and without the batch:
(channels, y, x) in 2-D, (channels, z, y, x) in 3-D, in pixels or voxels.
"""

from NativeDLLib.registry.architecture.check import make_plan

__all__ = ["make_plan"]
