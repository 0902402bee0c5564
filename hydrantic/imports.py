"""Importing Lightning without what it imports but a training does not use: half of the time of a start.

torch, Lightning and every torch optimizer import `torch._dynamo` (the compiler, with sympy: over a second) to mark
functions that it shall leave alone, and torchmetrics imports `scipy.signal` to patch old releases of it. Here the
compiler is imported when something asks it for more than that, `torch.compile` first of all; scipy when it is used.
"""

from __future__ import annotations

import functools
import gc
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_loader
from types import ModuleType
from typing import Any, Final

COMPILER: Final = "torch._dynamo"


def import_lightning() -> None:
    """Import torch, `lightning.pytorch` and torchmetrics; a second call costs nothing."""
    if "lightning.pytorch" in sys.modules:
        return
    with _quiet_collector():
        import torch  # noqa: F401 -- first: it must find its own parts as they are

        _put_off_compiler()
        with _without_scipy():
            import lightning.pytorch  # noqa: F401 -- for its own sake
            import torchmetrics  # noqa: F401 -- for its own sake


@contextmanager
def _quiet_collector() -> Iterator[None]:
    # Importing allocates much and frees nothing: every collection in between is in vain. What was imported stays, so
    # later collections need not look through it either: each would take a tenth of a second.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if enabled:
            gc.enable()


def _put_off_compiler() -> None:
    if COMPILER not in sys.modules:
        sys.modules[COMPILER] = _LateCompiler()
        sys.meta_path.insert(0, _CompilerParts())


class _LateCompiler(ModuleType):
    """Stands for `torch._dynamo` until something needs the real one, and then gives way to it."""

    def __init__(self) -> None:
        super().__init__(COMPILER)
        self.__spec__ = find_spec(COMPILER)
        self.OptimizedModule = _OptimizedModule
        self.disable = _disable
        self.graph_break = _graph_break
        # Not a folder to search: `_CompilerParts` imports the parts.
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked by those who only look around, such as inspect and unittest
            raise AttributeError(name)
        return getattr(_real_compiler(), name)


def _real_compiler() -> ModuleType:
    if isinstance(sys.modules.get(COMPILER), _LateCompiler):
        del sys.modules[COMPILER]
    return importlib.import_module(COMPILER)


class _CompilerParts(MetaPathFinder):
    """Imports the real compiler when one of its modules is imported."""

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if not name.startswith(f"{COMPILER}.") or _is_compiler_there():
            return None
        _real_compiler()
        part = importlib.import_module(name)
        # Were it still there, the import under way would take the module's own spec, and execute it a second time.
        del sys.modules[name]
        return spec_from_loader(name, _Imported(part))


class _Imported(Loader):
    """Hands over a module that is imported already."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


def _is_compiler_there() -> bool:
    return not isinstance(sys.modules.get(COMPILER), _LateCompiler | None)


def _disable(
    fn: Callable[..., Any] | None = None, recursive: bool = True, *, reason: str | None = None, wrapping: bool = True
) -> Any:
    """`torch._dynamo.disable`, which has an effect only once the compiler is there."""
    if fn is None:
        return functools.partial(_disable, recursive=recursive, reason=reason, wrapping=wrapping)
    disabled: list[Callable[..., Any]] = []

    @functools.wraps(fn)
    def late(*args: Any, **kwargs: Any) -> Any:
        if not disabled:
            if not _is_compiler_there():
                return fn(*args, **kwargs)
            disabled.append(_real_compiler().disable(fn, recursive=recursive, reason=reason, wrapping=wrapping))
        return disabled[0](*args, **kwargs)

    return late


def _graph_break(msg: str = "") -> None:
    """`torch._dynamo.graph_break`, which means something only to the compiler."""


class _KnowsCompiled(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return _is_compiler_there() and isinstance(instance, _real_compiler().OptimizedModule)


class _OptimizedModule(metaclass=_KnowsCompiled):
    """Stands for the class of compiled modules: until the compiler is there, nothing is one."""


@contextmanager
def _without_scipy() -> Iterator[None]:
    if "scipy" in sys.modules or find_spec("scipy") is None:
        yield
        return
    scipy, signal = ModuleType("scipy"), ModuleType("scipy.signal")
    scipy.__spec__ = find_spec("scipy")
    scipy.__path__ = []
    scipy.signal = signal  # type: ignore[attr-defined]  # as an import would
    # The attribute by whose absence torchmetrics recognises a release that it has to patch.
    signal.hamming = None  # type: ignore[attr-defined]  # as above
    placed = {"scipy": scipy, "scipy.signal": signal}
    sys.modules.update(placed)
    try:
        yield
    finally:
        for name, stand_in in placed.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]
