"""Models that live in the PACS as DICOM objects (IODeep, Contino et al. 2024): pushed, found, verified, cached.

`NativeDLLib.dicom.iodeep` writes and reads the object, `NativeDLLib.registry.choose` chooses among models as the paper
does. What comes from a peer becomes a registry layer only after its digests agree and its signer is trusted, or the
user has agreed to do without.
"""
