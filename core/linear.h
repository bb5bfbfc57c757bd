// Contractions of tensors: matmul and linear with their broadcasting rules and history.
// It is not: the blocked kernels (contract.h), which it calls. Called by the bindings.
#pragma once
#include "tape.h"

namespace flambeau {

TensorRef matmul(Tensor* a, Tensor* b);                   // PyTorch's rules for 1, 2 and more dimensions
TensorRef linear(Tensor* x, Tensor* weight, Tensor* bias);  // x @ weight^T + bias; bias may be null

}  // namespace flambeau
