"""The panel of NativeDL, one file for each thing that it does. Everything that computes runs in a worker process."""


def say(label, text):
    """Show a text in a label, which takes no room while there is none."""
    label.text = text
    label.visible = bool(text)
