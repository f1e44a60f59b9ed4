"""Generation of completions: in this process, or by a server. :mod:`trainers.samplers.registry` says how to add a sampler."""
