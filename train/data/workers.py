"""Many pieces of work, done in this process or by the actors of a Ray cluster.

A worker is made where the work is done, and answers a chunk of items with one result each. Results
come back to the caller, who alone keeps them: a worker that dies takes with it what it had open,
and another does that again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bp_core.errors import InputError
from train.data import workers_ray
from train.data.progress import bar

KINDS = ("local", "ray")

Worker = Callable[[list], list]


@dataclass(frozen=True)
class Workers:
    """Where the work is done.

    Attributes:
        kind: local, or ray.
        actors: with ray, how many.
    """

    kind: str = "local"
    actors: int = 2

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"workers is '{self.kind}': choose {' or '.join(KINDS)}")
        if self.actors < 1:
            raise InputError(f"ray_actors is {self.actors}: give a whole number above 0")

    def run(
        self,
        make: Callable[[], Worker],
        items: list,
        chunk: int,
        desc: str,
        keep: Callable[[object, object], None] = lambda item, result: None,
    ) -> list:
        """One result an item, in order.

        Args:
            make: gives a worker; with ray it is pickled, as items and results are.
            chunk: items that a worker is given at a time.
            keep: called here with (item, result), as results come.

        Raises:
            BeautifulPromptError: what a worker raised; what was kept is kept.
        """
        parts = [items[start : start + chunk] for start in range(0, len(items), chunk)]
        answered: dict[int, list] = {}
        if not parts:
            return []
        with bar(len(items), desc) as progress:
            for index, results in self._answers(make, parts):
                if index in answered:
                    continue
                answered[index] = results
                for item, result in zip(parts[index], results, strict=True):
                    keep(item, result)
                progress.update(len(results))
        return [result for index in range(len(parts)) for result in answered[index]]

    def _answers(self, make: Callable[[], Worker], parts: list[list]) -> Iterator[tuple[int, list]]:
        if self.kind == "ray":
            yield from workers_ray.stream(make, parts, self.actors)
            return
        worker = make()
        for index, part in enumerate(parts):
            yield index, worker(part)
