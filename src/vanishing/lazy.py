"""Modules that load when they are first used.

Every Snakemake job parses the Snakefile again, and with it the names of all parts; none of that may
cost the seconds that importing torch or pandas takes.
"""

import importlib
from functools import cached_property
from types import ModuleType


class Lazy:
    """Stands for the module ``name`` and imports it at the first use of one of its attributes."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> object:
        return getattr(self._module, attribute)

    @cached_property
    def _module(self) -> ModuleType:
        return importlib.import_module(self._name)
