// Maxima over windows and the way back of their gradient, on tensors.
//
// It is not: what users call, checks of its arguments, or history (flambeau/ops/pooling.py, its only user, through
// python_pool.cpp). What is done with a line of windows is written in flambeau/compiler/windows.py.
#pragma once
#include "tensor.h"

namespace flambeau {

struct Windows {
    int dims;  // the last ones of the input; sizes, and how windows lie, in three dimensions
    int64_t in[3], out[3], kernel[3], stride[3], padding[3], dilation[3];
};

/// x (..., in) contiguous; best, place (..., out): the first of each window's largest elements, and its distance from the
/// window's start in the flattened `in`, -1 for a window without elements.
void window_maxima(const Windows&, Tensor* x, Tensor* best, Tensor* place);
/// grad, place (..., out) contiguous; x (..., in): each gradient added at the place of its window.
void window_spread(const Windows&, Tensor* grad, Tensor* place, Tensor* x);

// --- the table that flambeau/compiler/windows.py fills; strides and offsets in bytes, out_line in windows ---
struct WindowKernels {
    // For windows whose elements are next to each other, every second one, at any distance: `lines` of n windows.
    using Kernel = void (*)(int64_t lines, int64_t line, int64_t out_line, int64_t n, int64_t stride, int64_t taps, const int64_t* offsets,
                            const int32_t* places, char* plane, char* values, char* place);
    Kernel maxima[3], spread[3];
};
/// Set by the bindings; must end in `register_window_kernels` or throw.
extern void (*request_window_kernels)(uint8_t dtype);
void register_window_kernels(uint8_t dtype, void* table);

}  // namespace flambeau
