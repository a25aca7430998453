"""Models as directories, as transformers writes them: config.json, safetensors, tokenizer.json."""
