"""Models that live in the PACS as DICOM objects (IODeep, Contino et al. 2024): pushed, found, verified, cached.

`object_writer` writes the object, `object_reader` reads it. A received model becomes a registry layer only after its
digests agree and its signer is trusted, or the user has agreed to do without.
"""
