// Views and other layout operations with their gradients: everything that only moves or renames elements.
// It is not: arithmetic (dispatch.h). The gradient of a view is the view's own layout rule run the other way.
// Called by the bindings, dispatch.cpp, tape.cpp and index.cpp.
#pragma once
#include "tape.h"

namespace flambeau {

// A view of the memory of `t` without history: the base of every other.
TensorRef make_view(Tensor* t, const Shape& shape, const int64_t* strides, int64_t offset_elements);
bool overlapping(const Shape& shape, const int64_t* strides);  // whether two elements lie in the same place
void add_overlapping(Tensor* target, Tensor* source);          // adds into `target`, whose elements may overlap
TensorRef as_strided(Tensor* t, const Shape& shape, const int64_t* strides, int64_t offset);
// The same from a number of bytes past the first element of `t`, as `dtype`: its own, or that of its parts or wholes.
TensorRef look_at(Tensor* t, const Shape& shape, const int64_t* strides, int64_t bytes, uint8_t dtype);
TensorRef view_as_real(Tensor* t);                             // complex (...) as real (..., 2)
TensorRef view_as_complex(Tensor* t);                          // real (..., 2) as complex (...)
TensorRef permute(Tensor* t, const int* order);
TensorRef transpose(Tensor* t, int a, int b);
TensorRef expand(Tensor* t, const Shape& shape);               // sizes as given, -1 keeps
TensorRef reshape(Tensor* t, const Shape& shape);              // a view where the strides allow it, else a copy
TensorRef view(Tensor* t, const Shape& shape);                 // a view or an error
TensorRef squeeze(Tensor* t, uint32_t dims);                   // bit mask of dimensions; only those of size 1 go
TensorRef unsqueeze(Tensor* t, int dim);
TensorRef select(Tensor* t, int dim, int64_t index);
TensorRef slice(Tensor* t, int dim, int64_t start, int64_t stop, int64_t step);
TensorRef diagonal(Tensor* t, int64_t offset, int a, int b);
TensorRef unfold(Tensor* t, int dim, int64_t size, int64_t step);
TensorRef detach(Tensor* t);
TensorRef view_as(Tensor* t);                                  // the whole tensor as a differentiable view of itself
TensorRef contiguous(Tensor* t);
TensorRef clone(Tensor* t);
TensorRef clone_as(Tensor* t, const int64_t* strides);          // a copy with these strides, which must be dense
TensorRef cast(Tensor* t, uint8_t dtype);                      // the same tensor when the dtype already fits
TensorRef sum_to(Tensor* t, const Shape& shape);               // the gradient of broadcasting
void copy_into(Tensor* target, Tensor* source);                // target.copy_(source), with history
void fill(Tensor* target, double value);                       // without history
// Resolves one -1 and checks the element count.
Shape infer_shape(const Tensor* t, Shape shape, const char* operation);
bool broadcast_shapes(Shape& into, const Shape& other);        // false when they do not fit

}  // namespace flambeau
