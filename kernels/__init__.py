"""The kernel families, by op."""

from inferflux.kernels.append.space import KERNELS as _APPEND
from inferflux.kernels.attention.space import KERNELS as _ATTENTION
from inferflux.kernels.elementwise.space import KERNELS as _ELEMENTWISE
from inferflux.kernels.embed.space import KERNELS as _EMBED
from inferflux.kernels.gate_up.space import KERNELS as _GATE_UP
from inferflux.kernels.heads.space import KERNELS as _HEADS
from inferflux.kernels.kernel import Kernel
from inferflux.kernels.linear.space import KERNELS as _LINEAR
from inferflux.kernels.moe.space import KERNELS as _MOE
from inferflux.kernels.norm.space import KERNELS as _NORM
from inferflux.kernels.qkv.space import KERNELS as _QKV
from inferflux.kernels.rope.space import KERNELS as _ROPE
from inferflux.kernels.sample.space import KERNELS as _SAMPLE

KERNELS: dict[str, Kernel] = {
    kernel.op.name: kernel
    for family in (
        *(_EMBED, _NORM, _QKV, _ROPE, _APPEND, _ATTENTION, _HEADS),
        *(_LINEAR, _GATE_UP, _MOE, _ELEMENTWISE, _SAMPLE),
    )
    for kernel in family
}
