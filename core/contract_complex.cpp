// A complex contraction as one real one of twice the inner and twice the outer size: the rows of a and c already lie in
// memory as real, imaginary, real, ..., and b is laid out once so that those of a meet them: (re, im; -im, re).
// It is not: a kernel (contract.cpp runs it) nor the gradient (linear.cpp). Called by linear.cpp.
#include "contract_complex.h"

#include <cstring>

#include "threads.h"
#include "views.h"

namespace flambeau {

namespace {

// The matrices of a tensor as real ones, rows of twice the length; its last dimension is dense.
TensorRef as_rows(const Tensor* t) {
    Shape shape = t->shape();
    int64_t strides[kMaxDims];
    int last = t->ndim - 1;
    for (int i = 0; i < last; ++i) strides[i] = 2 * t->strides[i];
    if (last >= 0) {
        strides[last] = 1;
        shape.sizes[last] *= 2;
    }
    return look_at(const_cast<Tensor*>(t), shape, strides, 0, part_dtype(t->dtype));
}

template <class T>
void lay_out(const Tensor* b, Tensor* into) {
    int nd = b->ndim;
    int64_t k = b->sizes[nd - 2], n = b->sizes[nd - 1], batches = 1;
    for (int d = 0; d < nd - 2; ++d) batches *= b->sizes[d];
    parallel_for(batches * k, [&](int64_t line) {
        int64_t row = line % k, rest = line / k, offset = row * b->strides[nd - 2];
        for (int d = nd - 3; d >= 0; --d) {
            offset += rest % b->sizes[d] * b->strides[d];
            rest /= b->sizes[d];
        }
        const T* from = reinterpret_cast<const T*>(b->data) + 2 * offset;
        T *even = reinterpret_cast<T*>(into->data) + 4 * line * n, *odd = even + 2 * n;
        int64_t step = 2 * b->strides[nd - 1];
        for (int64_t j = 0; j < n; ++j) {
            T re = from[j * step], im = from[j * step + 1];
            even[2 * j] = re, even[2 * j + 1] = im;
            odd[2 * j] = -im, odd[2 * j + 1] = re;
        }
    });
}

}  // namespace

void contract_complex(Tensor* c, const Tensor* a, const Tensor* b, const Tensor* bias,
                      void (*real)(Tensor*, const Tensor*, const Tensor*, const Tensor*)) {
    GradModeGuard off(false);
    TensorRef left(const_cast<Tensor*>(a)), row;
    if (a->strides[a->ndim - 1] != 1 && a->sizes[a->ndim - 1] != 1) {
        left = empty(a->shape(), a->dtype);
        copy_into(left.get(), const_cast<Tensor*>(a));
    }
    Shape shape = b->shape();
    shape.sizes[b->ndim - 2] *= 2;
    shape.sizes[b->ndim - 1] *= 2;
    TensorRef right = empty(shape, part_dtype(b->dtype));
    if (b->numel) b->dtype == kComplex64 ? lay_out<float>(b, right.get()) : lay_out<double>(b, right.get());
    if (bias) {
        row = empty(bias->shape(), bias->dtype);
        copy_into(row.get(), const_cast<Tensor*>(bias));
        row = as_rows(row.get());
    }
    real(as_rows(c).get(), as_rows(left.get()).get(), right.get(), row.get());
}

}  // namespace flambeau
