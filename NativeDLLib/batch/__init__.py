"""Many series in one go: each case is a process of its own, and a manifest keeps its outcome.

The cohort is made anew at every start; the manifest says which cases need nothing more. A job ends with the batch that
holds the pipe to it, and a complete result in its folder is taken as it is. So nothing is done twice.
"""
