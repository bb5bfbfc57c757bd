// Running results along a dimension: sums, products, and where the extreme so far is. No history: gradients are stated
// in Python. Called by the bindings (python_functions.cpp).
#pragma once
#include "tensor.h"

namespace flambeau {

/// out[j] = t[0] + ... + t[j] along `dim`, or their product; in int64 unless `t` is of a floating dtype.
TensorRef cumulative(Tensor* t, int dim, bool product);

/// The largest (or smallest) of t[0 .. j], and its position, int64: of equal ones, and of NaNs, the last; a NaN wins.
void running_extreme(Tensor* t, int dim, bool largest, TensorRef& values, TensorRef& places);

}  // namespace flambeau
