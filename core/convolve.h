// Convolutions of tensors with their history: forward, transposed, and the gradient of the weight, each the gradient of
// the others.
// It is not: the blocked executors (convolve_kernels.h), which it calls. Called by the bindings.
#pragma once
#include "tape.h"

namespace flambeau {

struct ConvolutionOptions {  // one value for each spatial dimension
    int dims = 0;
    int64_t stride[3], padding[3], dilation[3];
    int64_t groups = 1;
};

// x (N, C, spatial...), weight (O, C / groups, kernel...), bias (O) or null. `shape`: of the result, where it shall be
// smaller than all places of the kernel.
TensorRef convolve(Tensor* x, Tensor* weight, Tensor* bias, const ConvolutionOptions&, const Shape* shape = nullptr);
// The input of `shape` whose convolution meets y (N, O, spatial...): the transposed convolution; bias (C) or null.
TensorRef convolve_transposed(Tensor* y, Tensor* weight, Tensor* bias, const Shape& shape, const ConvolutionOptions&);
// Sums over pixels: the gradient of a weight of `shape`; with it, where that costs less, the sums of y for the bias.
TensorRef convolve_for_weight(Tensor* y, Tensor* x, const Shape& shape, const ConvolutionOptions&, TensorRef* bias = nullptr);


}  // namespace flambeau
