"""flambeau.func: vmap, derivatives, and the state of modules."""
