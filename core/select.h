// The few largest or smallest elements of each row, without sorting the rest. No history: gradients are stated in
// Python. It is not: sorting (ops/sort.py). Called by the bindings (python_functions.cpp).
#pragma once
#include "tensor.h"

namespace flambeau {

/// The positions (int64) of the `count` largest (or smallest) elements along the last dimension, best first; of equal
/// ones the first, and NaN counts as the largest number.
TensorRef few_extremes(Tensor* t, int64_t count, bool largest);

}  // namespace flambeau
