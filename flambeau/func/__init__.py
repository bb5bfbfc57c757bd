"""`flambeau.func`: functions made from functions: gradients, products with the Jacobian, batches, and modules called
with other weights.

`derivatives` holds what differentiates, `modules` modules as functions, `vectorize` vmap, `batching`, `rules` and
`methods` what happens inside of it.
What does not live here: `flambeau.autograd.functional`, the same mathematics with arguments given at once.
"""

from flambeau.func.derivatives import (
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    vjp,
)
from flambeau.func.modules import functional_call, replace_all_batch_norm_modules_, stack_module_state
from flambeau.func.vectorize import functionalize, vmap

__all__ = [
    "functional_call", "functionalize", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize",
    "replace_all_batch_norm_modules_", "stack_module_state", "vjp", "vmap",
]  # fmt: skip
