"""The title of each film, as its last view in the log has it."""

from __future__ import annotations

from movie_stream.kernels.compiled import BoolsOut, Ints, Ints32Out, IntsOut, kernel


@kernel
def retitle(films: Ints, titles: Ints, title: Ints32Out, changed: BoolsOut, retitled: IntsOut) -> int:
    """Keeps the title of each film, -1 before its first view; returns the number of `retitled`: of the views whose
    title is not the film's previous one.
    """
    count = 0
    for view in range(len(films)):
        film = films[view]
        if titles[view] != title[film]:
            if title[film] >= 0:
                retitled[count] = view
                count += 1
            title[film], changed[film] = titles[view], True
    return count
