"""`python -m movie_stream.kernels` compiles all kernels, so that no worker has to: for installers and images."""

from __future__ import annotations

from movie_stream.kernels.compiled import COMPILED, compile_all


def main() -> None:
    """Compiles, and prints what was done."""
    if not COMPILED:
        print("Numba is not installed, or is switched off: nothing to compile.")  # noqa: T201
        return
    count = compile_all(lambda missing: print(f"Compiling {missing} kernels; this takes some seconds.", flush=True))  # noqa: T201
    if not count:
        print("All kernels are compiled already.")  # noqa: T201


if __name__ == "__main__":
    main()
