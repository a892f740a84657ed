"""Models behind ``nativedl models``: fetching, adding, and exchanging them with a PACS."""
