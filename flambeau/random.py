"""`flambeau.random`: seeds and states of the default generator, under the path where PyTorch programs look for them."""

from flambeau.ops.random import fork_rng, get_rng_state, initial_seed, manual_seed, seed, set_rng_state

__all__ = ["fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]
