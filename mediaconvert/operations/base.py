"""What an operation is: typed parameters that can check themselves and plan their work.

Pure: nothing here spawns, opens or asks the clock. The parser makes the parameters and asks
for complaints; the planner asks for a plan. Each operation is one subclass in one file, listed
in the registry of `operations/__init__.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from mediaconvert.media import Command, MediaInfo, MediaKind, PlannedFile


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something about a step that is wrong whatever the input will be."""

    where: str
    """`output`, or `params.codec`."""
    message: str


@dataclass(frozen=True, slots=True)
class OperationPlan:
    """What an operation will do to one input; the planner adds the step's name."""

    commands: tuple[Command, ...]
    files: tuple[PlannedFile, ...]
    reasons: tuple[str, ...] = ()


class OperationParams(BaseModel, ABC):
    """The parameters of one operation, and what follows from them.

    `output` is always the name below `${output}/` that the pipeline gave. `complaints` is
    called first; the other methods may rely on what it would have refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    operation: ClassVar[str]
    """The name that pipelines use."""
    summary: ClassVar[str]
    """One sentence for the documentation and the JSON Schema."""
    unsupported: ClassVar[frozenset[str]] = frozenset()
    """Parameters of the language that this version does not have."""
    numbers_outputs: ClassVar[bool] = False
    """Whether `{n}` in the output's name has a meaning."""

    @abstractmethod
    def complaints(self, output: str) -> Iterable[Complaint]:
        """What is wrong between parameters, or between them and the output's name."""

    @abstractmethod
    def accepts(self, output: str) -> frozenset[MediaKind]:
        """The kinds of input that this step can work on."""

    @abstractmethod
    def produces(self, output: str) -> MediaKind:
        """The kind of every file that this step writes."""

    def output_names(self, output: str) -> tuple[str, ...]:
        """The names of the files that this step writes, known before any input is."""
        return (output,)

    @abstractmethod
    def plan(self, info: MediaInfo, output: str, *, threads: int) -> OperationPlan:
        """The exact commands for one probed input. `threads`: 0 = as many as there are cores.

        Raises MediaInputError where the input lacks what was asked for."""
