"""What is known of each trader and how common it is, kept up to date at the cost of what is new."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from models.identity.weighing import COUNTED, Population

Ints = npt.NDArray[np.int64]
CODES = ("given", "family", "birth", "country", "lot")


class Census:
    """By trader number: codes of names, birth date and country (-1 unknown), a lot by which to draw, and the kinds of
    things known, as bits."""

    def __init__(self) -> None:
        self.codes = {name: np.empty(0, dtype=np.int64) for name in CODES}
        self.kinds = np.empty(0, dtype=np.int64)
        self.counts = {kind: np.empty(0, dtype=np.int64) for kind in COUNTED}

    def people(self, columns: Mapping[str, npt.NDArray[np.generic]], traders: int) -> None:
        """Takes in people: `trader_no` and a column per code."""
        for name, codes in self.codes.items():
            grown = np.append(codes, np.full(traders - len(codes), -1))
            grown[columns["trader_no"].astype(np.int64)] = columns[name].astype(np.int64)
            self.codes[name] = grown
        more = np.zeros(traders - len(self.kinds), dtype=np.int64)
        self.kinds = np.append(self.kinds, more)
        self.counts = {kind: np.append(counts, more) for kind, counts in self.counts.items()}

    def known(self, traders: Ints, columns: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Replaces what is known of some traders (numbers): `trader_no`, `kinds`, counts of uses."""
        known = columns["trader_no"].astype(np.int64)
        for name, table in (("kinds", self.kinds), *self.counts.items()):
            table[traders] = 0
            table[known] = columns[name].astype(np.int64)

    def population(self, name_holders: Ints, birth_holders: Ints) -> Population:
        """What is common; holders are by code, with a zero at the end for the unknown."""
        return Population(
            len(self.kinds),
            name_holders[self.codes["given"]],
            name_holders[self.codes["family"]],
            birth_holders[self.codes["birth"]],
            self.codes["country"],
            self.codes["lot"],
            self.kinds,
        )
