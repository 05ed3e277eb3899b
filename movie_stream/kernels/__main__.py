"""`python -m movie_stream.kernels` compiles all kernels, so that no worker has to: for installers and images."""

from __future__ import annotations

import sys
from importlib import import_module
from pkgutil import iter_modules
from signal import SIGINT

from movie_stream import kernels
from movie_stream.errors import MovieStreamError
from movie_stream.kernels.compiled import COMPILED, compile_imported, require_stored


def main() -> None:
    """Compiles, and prints what was done."""
    if not COMPILED:
        print("Numba is not installed, or is switched off: nothing to compile.")
        return
    for module in iter_modules(kernels.__path__):
        if module.name not in ("__main__", "compiler"):
            import_module(f"{kernels.__name__}.{module.name}")
    try:
        count = compile_imported(
            lambda missing: print(f"Compiling {missing} loops; it takes some seconds.", flush=True)
        )
        require_stored()
    except KeyboardInterrupt:
        sys.exit(128 + SIGINT)
    except MovieStreamError as error:
        sys.exit(f"error: {error}")
    if not count:
        print("All loops are compiled already.")


if __name__ == "__main__":
    main()
