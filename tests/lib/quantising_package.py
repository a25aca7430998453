"""Quantises a directory by GPTQ or AWQ with the package that people use, in a process of its own.

python quantising_package.py NAME FOLDER OUTPUT: writes OUTPUT, and in it what the model's
log-probabilities are by transformers, in float32, on the values that the package unpacks.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

NUM_TOKENS = 100
OPTIONS: dict[str, dict[str, Any]] = {
    "gptq": {"bits": 4, "sym": True, "desc_act": False},
    "gptq in another order": {"bits": 4, "sym": True, "desc_act": True},
    "gptq of 8 bits": {"bits": 8, "sym": True},
    "gptq with zeros": {"bits": 4, "sym": False},
    "gptq_v2": {"bits": 4, "sym": False, "format": "gptq_v2"},
    "awq": {"bits": 4, "sym": False, "quant_method": "awq", "format": "gemm"},
}


def main() -> None:
    name, folder, output = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    os.cpu_count = lambda: 4  # the package starts no pool of threads on less
    import numpy as np
    import torch
    from gptqmodel import BACKEND, GPTQModel, QuantizeConfig

    backend = BACKEND.AWQ_TORCH if name == "awq" else BACKEND.GPTQ_TORCH
    config = QuantizeConfig(group_size=32, device="cpu", offload_to_disk=False, **OPTIONS[name])
    model = GPTQModel.load(folder, config)
    model.quantize(_calibration(np), batch_size=1, backend=backend)
    model.save(str(output))
    packed = GPTQModel.load(str(output), backend=backend, device="cpu", dtype=torch.float16)
    tokens = np.random.default_rng(0).integers(0, 320, NUM_TOKENS)
    np.save(output / "expected.npy", _log_probs(str(output), packed.model, tokens))


def _calibration(np: Any) -> list[dict[str, list[int]]]:
    texts = np.random.default_rng(1).integers(3, 320, (64, 64)).tolist()
    return [{"input_ids": text, "attention_mask": [1] * len(text)} for text in texts]


def _log_probs(folder: str, packed: Any, tokens: Any) -> Any:
    import torch
    import transformers

    rest = transformers.AutoConfig.from_pretrained(folder)
    del rest.quantization_config
    oracle = transformers.LlamaForCausalLM(rest).eval()
    oracle.load_state_dict(packed.state_dict(), strict=False)  # all that is not quantised
    layers = {name: module for name, module in packed.named_modules() if hasattr(module, "qweight")}
    assert len(layers) == 7 * rest.num_hidden_layers
    with torch.inference_mode():
        for name, module in layers.items():
            weight = oracle.get_submodule(name).weight
            module.scales = module.scales.float()  # or values are rounded to halves
            weight.copy_(_values(module).T.reshape(weight.shape))
        logits = oracle(torch.from_numpy(tokens)[None]).logits[0]
    return logits.log_softmax(-1).numpy()


def _values(module: Any) -> Any:
    """(inputs, outputs), by the package's own words for each of its formats."""
    if hasattr(module, "dequantize_weight"):
        return module.dequantize_weight()
    from gptqmodel.quantization.awq.utils.packing_utils import dequantize_gemm

    packed = module.qweight, module.qzeros, module.scales
    return dequantize_gemm(*packed, module.bits, module.group_size)


if __name__ == "__main__":
    main()
