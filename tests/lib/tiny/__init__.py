"""Tiny random models of every architecture, as transformers and llama.cpp's converter write."""
