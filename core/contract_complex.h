// Contractions of complex tensors. See contract_complex.cpp.
#pragma once
#include "tensor.h"

namespace flambeau {

// What contract_into does, for complex operands: c = a @ b (+ bias) over broadcast batches, without history. `real`
// computes the same of real tensors.
void contract_complex(Tensor* c, const Tensor* a, const Tensor* b, const Tensor* bias,
                      void (*real)(Tensor*, const Tensor*, const Tensor*, const Tensor*));

}  // namespace flambeau
