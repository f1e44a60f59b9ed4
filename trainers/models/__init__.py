"""Language models: packed forward passes, adapters, prompt ids, grammars."""
