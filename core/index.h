// Indexing by tensors: reading and writing elements at positions that other tensors name, with history.
// It is not: slices and integers (views.h). Only moves and adds elements. Called by the bindings.
#pragma once
#include "tape.h"

namespace flambeau {

// One index tensor for each dimension, or null where the whole dimension is taken.
using Indices = std::vector<TensorRef>;

TensorRef index(Tensor* t, const Indices& indices);
void index_put(Tensor* t, const Indices& indices, Tensor* values, bool accumulate);   // in place
TensorRef gather(Tensor* t, int dim, Tensor* index);
// mode "set" or "add"; in place when `into` is the target itself.
TensorRef scatter(Tensor* t, int dim, Tensor* index, Tensor* source, bool add, bool in_place);
TensorRef index_select(Tensor* t, int dim, Tensor* index);
TensorRef index_add(Tensor* t, int dim, Tensor* index, Tensor* source, bool in_place);
TensorRef cat(const std::vector<TensorRef>& tensors, int64_t dim);
TensorRef nonzero(Tensor* t);
TensorRef masked(Tensor* t, Tensor* mask);   // the elements where a mask of the same shape holds
// t[mask] = values, a number or one value for each place; false, with nothing done, where history, a recording or a
// layout other than dense asks for index_put.
bool put_masked(Tensor* t, const Tensor* mask, Tensor* values);
uint8_t promote_codes(uint8_t a, uint8_t b);

}  // namespace flambeau
