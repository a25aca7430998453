"""What a kernel family tells codegen about one op on a CPU: its phase body and how work is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from inferflux.ir.graph import Node, Op
from inferflux.kernels.storage import Operand

Schedule = Mapping[str, int]  # a point of a family's space, by name


@dataclass(frozen=True, slots=True)
class StepShape:
    """What is fixed when a variant of the step, for min_tokens to max_tokens, is compiled.

    ``row_block`` tokens are computed together: every weight that is unpacked serves them all.
    Weights for bf16 products are unpacked to memory and serve ``row_blocks``, one after the other.
    ``registers`` of the machine hold so many vectors of 16 floats.
    """

    row_block: int
    max_tokens: int
    row_blocks: int = 1
    min_tokens: int = 1
    registers: int = 32

    @property
    def has_few_registers(self) -> bool:
        """Sums of four rows fill them: what rows meet, or more sums, must lie in memory."""
        return self.registers <= 8


@dataclass(frozen=True, slots=True)
class Scratch:
    """Floats a kernel takes besides its operands: each worker's own, and those all share."""

    worker: int = 0
    shared: int = 0


def no_scratch(node: Node) -> Scratch:
    """For kernels whose operands are all they need."""
    return Scratch()


def nothing_refused(node: Node) -> str:
    """For kernels that run whatever the op's rule allows."""
    return ""


@dataclass(frozen=True, slots=True)
class Kernel:
    """One op as a phase of the step, or as two.

    ``schedules`` lists how the phase may be cut, the first being the default; ``pieces`` gives, for
    one of them, the number of pieces as an expression over the step's scalars and
    numbers; ``parameters`` gives what the template needs beyond operands, attributes and schedule.
    ``scratch`` is the most that any schedule takes; ``then`` is a phase that ends what this began.
    ``overwrites`` names operands of which a piece reads only what it writes: the first result may
    take the place of one.  ``refuses`` says what of a node the kernel cannot do, or nothing.
    """

    op: Op
    template: str  # relative to kernels/
    results: tuple[str, ...]  # what the template calls the op's results
    schedules: Callable[[Node, StepShape], Iterator[Schedule]]
    pieces: Callable[[Node, Schedule], str]
    parameters: Callable[[Mapping[str, Operand], Schedule], Mapping[str, object]]
    scratch: Callable[[Node], Scratch] = no_scratch
    then: Kernel | None = None
    overwrites: tuple[str, ...] = ()
    refuses: Callable[[Node], str] = nothing_refused


def no_parameters(operands: Mapping[str, Operand], schedule: Schedule) -> Mapping[str, object]:
    """For templates that need only their operands."""
    return {}
