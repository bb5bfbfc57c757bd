// See convolve.h.
#include "convolve.h"

#include <algorithm>

#include "convolve_kernels.h"
#include "dispatch.h"
#include "record.h"
#include "views.h"

namespace flambeau {

namespace {

Field field_of(const Tensor* t, int dims) {
    Field f{t->data, t->strides[0], t->strides[1], {0, 0, 1}};
    for (int d = 0; d < dims; ++d) f.s[3 - dims + d] = t->strides[2 + d];
    return f;
}

Convolution problem_of(const Shape& x, const Shape& weight, const Shape& y, uint8_t dtype, const ConvolutionOptions& options) {
    Convolution v{};
    v.dtype = dtype;
    v.n = x.sizes[0], v.c = x.sizes[1], v.o = weight.sizes[0], v.groups = options.groups;
    for (int d = 0; d < 3; ++d) v.in[d] = v.out[d] = v.kernel[d] = v.stride[d] = v.dilation[d] = 1, v.padding[d] = 0;
    for (int d = 0; d < options.dims; ++d) {
        const int to = 3 - options.dims + d;
        v.in[to] = x.sizes[2 + d], v.out[to] = y.sizes[2 + d], v.kernel[to] = weight.sizes[2 + d];
        v.stride[to] = options.stride[d], v.padding[to] = options.padding[d], v.dilation[to] = options.dilation[d];
    }
    return v;
}

bool nothing(const Convolution& v) {
    return v.n == 0 || v.o == 0 || v.c == 0 || v.plane() == 0 || v.taps() == 0 || v.in[0] * v.in[1] * v.in[2] == 0;
}

// Lines that can be read as they lie: the last dimension is contiguous.
TensorRef readable(Tensor* t) {
    GradModeGuard off(false);
    if (t->strides[t->ndim - 1] == 1 || t->sizes[t->ndim - 1] == 1) return TensorRef(t);
    return contiguous(t);
}
TensorRef dense(Tensor* t) {
    GradModeGuard off(false);
    return t->contiguous ? TensorRef(t) : contiguous(t);
}

template <class Executor>
void run_dense(const char* name, const Convolution& v, int dims, Tensor* source, Tensor* weight, Tensor* bias, Tensor* result, Executor run) {
    Tensor* tensors[4] = {source, weight, bias, result};
    run_step(name, tensors, 3, 1, [v, dims, run](Tensor* const* t) {
        run(v, field_of(t[0], dims), t[1]->data, t[2] ? t[2]->data : nullptr, field_of(t[3], dims));
    });
}

// Without pixels to sum over only the bias is left.
TensorRef only_bias(const Shape& shape, Tensor* bias, uint8_t dtype) {
    TensorRef result = zeros(shape, dtype);
    if (!bias || !result->numel) return result;
    GradModeGuard off(false);
    Shape one{shape.sizes[1]};
    for (int d = 2; d < shape.ndim; ++d) one.sizes[one.ndim++] = 1;
    copy_into(result.get(), expand(reshape(bias, one).get(), shape).get());
    return result;
}

TensorRef over_pixels(Tensor* g) { return reshape(sum_dims(g, ((1u << g->ndim) - 1) & ~2u).get(), Shape{g->sizes[1]}); }

template <class F>
void keep(const char* name, Tensor* result, Tensor* first, Tensor* second, Tensor* bias, F function) {
    if (GradMode::inference) result->inference = true;
    if (!GradMode::enabled || !(first->requires_grad || second->requires_grad || (bias && bias->requires_grad))) return;
    auto* node = new FunctionNode<F>(name, std::move(function));
    Ref<Node> held(node);
    Tensor* inputs[3] = {first, second, bias};
    connect(node, inputs, bias ? 3 : 2);
    node->saved.resize(2);
    if (node->needs(1)) node->saved[0].save(first);
    if (node->needs(0)) node->saved[1].save(second);
    set_history(result, node, 0);
}

}  // namespace

TensorRef convolve(Tensor* x, Tensor* weight, Tensor* bias, const ConvolutionOptions& options, const Shape* smaller) {
    Shape shape{x->sizes[0], weight->sizes[0]};
    if (smaller) shape = *smaller;
    else for (int d = 0; d < options.dims; ++d)
        shape.sizes[shape.ndim++] = (x->sizes[2 + d] + 2 * options.padding[d] - options.dilation[d] * (weight->sizes[2 + d] - 1) - 1) / options.stride[d] + 1;
    const Convolution v = problem_of(x->shape(), weight->shape(), shape, x->dtype, options);
    TensorRef y;
    if (nothing(v)) {
        y = only_bias(shape, bias, x->dtype);
    } else {
        y = empty(shape, x->dtype);
        TensorRef source = readable(x), matrix = dense(weight), start = bias ? dense(bias) : TensorRef();
        run_dense("convolution", v, options.dims, source.get(), matrix.get(), start.get(), y.get(), convolve_forward);
    }
    keep("ConvolutionBackward0", y.get(), x, weight, bias,
         [options, x_shape = x->shape(), weight_shape = weight->shape()](auto& self, TensorRef* gradients, TensorRef* results) {
             if (!gradients[0]) return;
             if (self.released) Saved().unpack(&self);
             Tensor* g = gradients[0].get();
             if (self.needs(0)) results[0] = convolve_transposed(g, self.saved[1].unpack(&self).get(), nullptr, x_shape, options);
             if (self.needs(1)) results[1] = convolve_for_weight(g, self.saved[0].unpack(&self).get(), weight_shape, options, self.needs(2) ? &results[2] : nullptr);
             if (self.needs(2) && !results[2]) results[2] = over_pixels(g);
         });
    return y;
}

TensorRef convolve_transposed(Tensor* y, Tensor* weight, Tensor* bias, const Shape& shape, const ConvolutionOptions& options) {
    const Convolution v = problem_of(shape, weight->shape(), y->shape(), y->dtype, options);
    TensorRef x;
    if (nothing(v)) {
        x = only_bias(shape, bias, y->dtype);
    } else {
        x = empty(shape, y->dtype);
        TensorRef source = readable(y), matrix = dense(weight), start = bias ? dense(bias) : TensorRef();
        run_dense("convolution_transposed", v, options.dims, source.get(), matrix.get(), start.get(), x.get(), convolve_back);
    }
    keep("ConvolutionTransposedBackward0", x.get(), y, weight, bias,
         [options, y_shape = y->shape(), weight_shape = weight->shape()](auto& self, TensorRef* gradients, TensorRef* results) {
             if (!gradients[0]) return;
             if (self.released) Saved().unpack(&self);
             Tensor* g = gradients[0].get();
             if (self.needs(0)) results[0] = convolve(g, self.saved[1].unpack(&self).get(), nullptr, options, &y_shape);
             if (self.needs(1)) results[1] = convolve_for_weight(self.saved[0].unpack(&self).get(), g, weight_shape, options);
             if (self.needs(2)) results[2] = over_pixels(g);
         });
    return x;
}

TensorRef convolve_for_weight(Tensor* y, Tensor* x, const Shape& shape, const ConvolutionOptions& options, TensorRef* bias) {
    const Convolution v = problem_of(x->shape(), shape, y->shape(), y->dtype, options);
    TensorRef weight;
    if (nothing(v)) {
        weight = zeros(shape, y->dtype);
    } else {
        weight = empty(shape, y->dtype);
        TensorRef gradient = readable(y), source = readable(x);
        // Where the sum has a gradient of its own, it is an operation of its own.
        const bool sums = bias && sums_pixels(v) && !(GradMode::enabled && y->requires_grad);
        if (sums) *bias = empty(Shape{y->sizes[1]}, y->dtype);
        Tensor* tensors[4] = {gradient.get(), source.get(), weight.get(), sums ? bias->get() : nullptr};
        run_step("convolution_weight", tensors, 2, 2, [v, dims = options.dims](Tensor* const* t) {
            convolve_weight(v, field_of(t[0], dims), field_of(t[1], dims), t[2]->data, t[3] ? t[3]->data : nullptr);
        });
    }
    keep("ConvolutionWeightBackward0", weight.get(), y, x, nullptr,
         [options, y_shape = y->shape(), x_shape = x->shape()](auto& self, TensorRef* gradients, TensorRef* results) {
             if (!gradients[0]) return;
             if (self.released) Saved().unpack(&self);
             Tensor* g = gradients[0].get();
             if (self.needs(0)) results[0] = convolve(self.saved[1].unpack(&self).get(), g, nullptr, options, &y_shape);
             if (self.needs(1)) results[1] = convolve_transposed(self.saved[0].unpack(&self).get(), g, nullptr, x_shape, options);
         });
    return weight;
}

}  // namespace flambeau
