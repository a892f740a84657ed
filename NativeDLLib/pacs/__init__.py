"""DIMSE and DICOMweb peers, and the outbox that never loses an object."""
