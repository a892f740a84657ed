"""DIMSE and DICOMweb peers, and the outbox that never loses an object.

``services`` finds, retrieves and stores by whichever of the two a peer is configured for; ``delivery`` sends what lies
in the outbox. Importing this room loads neither pydicom nor pynetdicom nor dicomweb-client.
"""
