"""A command of this library in a process of its own, and being one."""
