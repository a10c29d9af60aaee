"""Modules that load when they are first used, and many that load at once.

Every Snakemake job parses the Snakefile again, and with it the names of all parts; none of that may
cost the seconds that importing torch or pandas takes.
"""

import gc
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from types import ModuleType


@contextmanager
def loading() -> Iterator[None]:
    """What the block imports is no garbage: to look for some takes a sixth of its time.

    Nobody looks through it later either: a fork would copy it by that.
    """
    looked = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if looked:  # else a block around this one goes on without
            gc.freeze()
            gc.enable()


class Lazy:
    """Stands for the module ``name`` and imports it at the first use of one of its attributes."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> object:
        return getattr(self._module, attribute)

    @cached_property
    def _module(self) -> ModuleType:
        return importlib.import_module(self._name)
