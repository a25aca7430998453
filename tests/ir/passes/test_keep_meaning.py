"""A graph computes the same before and after every pass; only quantising may change numbers."""

from __future__ import annotations

import numpy as np
import pytest

from inferflux.ir.passes import PIPELINE, PassConfig, run
from inferflux.ir.passes.quantise_activations import quantise_activations
from inferflux.ir.types import F16, F32, Q4_1, Q8_0
from inferflux.ir.verify import verify

MODELS = {
    "one type": [(Q4_1, None)] * 3,
    "one layer": [(Q8_0, None)],
    "floats": [(F32, None), (F16, None), (F16, None)],
    "types by layer": [(Q4_1, None), (Q8_0, None), (Q4_1, None), (F16, None), (Q8_0, None)],
    "alternating attention": [(Q4_1, 4), (Q4_1, None)] * 3,
    "everything": [(Q4_1, 4), (Q8_0, None), (Q4_1, 4), (F16, None), (Q4_1, 4), (Q8_0, None)],
}


@pytest.fixture(params=MODELS)
def model(request, tiny_llama):
    layers = [tiny_llama.layer(dtype, window) for dtype, window in MODELS[request.param]]
    return tiny_llama(layers, is_tied=request.param != "types by layer")


@pytest.mark.parametrize("numerics", ["default", "float32"])
def test_every_pass_keeps_every_output_bit_for_bit(model, numerics):
    graph, config = model.graph, PassConfig(numerics)
    outputs = model.outputs(graph)
    for each in (each for phase in PIPELINE for each in phase.passes):
        graph = each(graph, config)
        verify(graph)
        after = model.outputs(graph)
        if each is not quantise_activations:
            for old, new in zip(outputs, after, strict=True):
                np.testing.assert_array_equal(old, new, err_msg=each.__name__)
        outputs = after


def test_quantised_activations_stay_near_float32(model):
    exact, quantised = model.logits(), model.logits(run(model.graph))
    error = np.abs(exact - quantised).max() / np.abs(exact).max()
    assert error < 0.05
