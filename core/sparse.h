// Sums over the rows of a sparse matrix: its product with a dense one, dot products at its places, and the counting
// sort that puts its elements in order of rows. The matrix is three vectors: where each row starts, which element stands
// at each place of a row, and the elements' columns.
// It is not: the sparse tensor (flambeau/sparse), nor any gradient (each of the two products is the other's derivative,
// which Python states). No history. Called by the bindings.
#pragma once
#include "tensor.h"

namespace flambeau {

// starts (rows + 1,) and order (n,): the elements whose index is r are order[starts[r]] .. order[starts[r + 1] - 1], in
// the order they came in. Refuses an index that is not in 0 .. rows - 1.
void segments(const Tensor* index, int64_t rows, TensorRef& starts, TensorRef& order);
// out[r] = the sum over j of values[order[j]] * dense[columns[order[j]]], starts[r] <= j < starts[r + 1], one after another.
// `order` may be null: elements in order of rows. values (n,), dense (k, m), both float32 or both float64.
void segment_product(const Tensor* starts, const Tensor* order, const Tensor* columns, const Tensor* values, const Tensor* dense, Tensor* out);
// out[j] = the sum over c of a[rows[j], c] * b[columns[j], c].
void sampled_product(const Tensor* rows, const Tensor* columns, const Tensor* a, const Tensor* b, Tensor* out);

}  // namespace flambeau
