"""Live connectors, one file per platform: a connector here is registered by being there.

A connector has ``NAME`` and ``open_connector(settings)``, which returns a ``kit.interface.Connector``.
"""

import importlib
import pkgutil
from functools import cache
from types import ModuleType

__all__ = ["connectors"]


@cache
def connectors() -> dict[str, ModuleType]:
    """Return every connector by the name people use for it."""
    names = [found.name for found in pkgutil.iter_modules(__path__)]
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return {module.NAME: module for module in modules if hasattr(module, "NAME")}
