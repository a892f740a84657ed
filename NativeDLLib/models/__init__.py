"""What is behind ``nativedl models``: fetching, adding, and exchanging models with a PACS."""
