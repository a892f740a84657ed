"""The demonstration: a phantom's CT series, an embedded PACS, and the way from one to the other and back."""
