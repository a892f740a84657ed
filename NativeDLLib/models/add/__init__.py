"""A registry entry made from a network's files.

The files fill in the fields that they tell, the user gives the others: `read_source` gives a `Draft`, `questions` its
missing fields, and `install` puts weights and entry in place once the network has been loaded and run.
"""

from NativeDLLib.models.add.draft import Draft
from NativeDLLib.models.add.install import install, user_registry
from NativeDLLib.models.add.model_files import read_source
from NativeDLLib.models.add.questions import Question, questions, template

__all__ = ["Draft", "Question", "install", "questions", "read_source", "template", "user_registry"]
