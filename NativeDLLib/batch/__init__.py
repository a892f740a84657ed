"""Many series in one go: each case is a process of its own, and a manifest says what became of it.

A cohort is worked out anew at every start; the manifest says which of its cases need nothing more. Whoever starts a
job holds a pipe to it, so that a job never outlives a batch that was killed, and a result that is complete in its
folder is taken as it is: together they make that nothing is done twice, wherever the power went off.
"""

from NativeDLLib.batch.case import Case, Cohort, Wanted
from NativeDLLib.batch.run import Settings, run_batch

__all__ = ["Case", "Cohort", "Settings", "Wanted", "run_batch"]
