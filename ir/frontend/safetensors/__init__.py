"""safetensors files: named tensors of plain numbers, one after the other."""

from inferflux.ir.frontend.safetensors.errors import SafetensorsError
from inferflux.ir.frontend.safetensors.reader import SafetensorsFile, StoredTensor, open_file

__all__ = ["SafetensorsError", "SafetensorsFile", "StoredTensor", "open_file"]
