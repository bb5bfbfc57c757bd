// Joining tensors along a dimension, with history.
// It is not: stack, hstack and the like (flambeau/ops/joining.py), which come down to this. Called by the bindings.
#include <algorithm>

#include "index.h"
#include "step.h"

namespace flambeau {

uint8_t promote_codes(uint8_t a, uint8_t b) {
    if (a == b) return a;
    if (a > b) std::swap(a, b);
    if (is_complex(b) && (a < kUInt16 || is_complex(a))) return a == kFloat64 ? uint8_t(kComplex128) : b;
    if (b >= kUInt16) {
        if (is_float(a)) return a;
        fail(ErrorKind::DType, std::string("promotion for uint16, uint32, uint64 types is not supported, attempted to promote ") +
                                   kDTypeNames[a] + " and " + kDTypeNames[b] + "; convert one with .to(...)");
    }
    if (is_float(b)) return is_float(a) && a == kFloat16 && b == kBFloat16 ? uint8_t(kFloat32) : b;
    if (a == kUInt8 && b == kInt8) return kInt16;
    return b;
}

namespace {
TensorRef cat_now(const std::vector<TensorRef>& tensors, int64_t dim) {
    if (tensors.empty()) fail(ErrorKind::Shape, "cat: expected a non-empty list of Tensors");
    std::vector<TensorRef> parts;
    uint8_t dtype = tensors[0]->dtype;
    for (auto& t : tensors) dtype = promote_codes(dtype, t->dtype);
    for (auto& t : tensors) {
        if (t->ndim == 1 && t->sizes[0] == 0 && tensors.size() > 1) continue;  // an empty vector joins anything
        if (t->ndim == 0) fail(ErrorKind::Runtime, "cat: zero-dimensional tensor (at position " + std::to_string(parts.size()) + ") cannot be concatenated; use stack()");
        parts.push_back(t->dtype == dtype ? t : cast(t.get(), dtype));
    }
    if (parts.empty()) return cast(tensors[0].get(), dtype);
    Shape shape = parts[0]->shape();
    int d = normal_dim(dim, shape.ndim, "cat");
    int64_t total = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
        Shape other = parts[i]->shape();
        bool fits = other.ndim == shape.ndim;
        for (int j = 0; fits && j < shape.ndim; ++j) fits = j == d || other.sizes[j] == shape.sizes[j];
        if (!fits)
            fail(ErrorKind::Shape, "cat: Sizes of tensors must match except in dimension " + std::to_string(d) + ": tensor 0 is " + shape.text() + ", tensor " + std::to_string(i) + " is " + other.text());
        total += other.sizes[d];
    }
    shape.sizes[d] = total;
    TensorRef out = empty(shape, dtype);
    bool wanted = false;
    {
        GradModeGuard off(false);
        int64_t at = 0;
        for (auto& t : parts) {
            TensorRef part = slice(out.get(), d, at, at + t->sizes[d], 1);
            copy_elements(part.get(), t.get());
            at += t->sizes[d];
        }
    }
    for (auto& t : parts) {
        if (t->base) grad_fn_of(t.get());
        wanted = wanted || t->requires_grad;
    }
    if (wanted && GradMode::enabled && is_inexact(dtype)) {
        std::vector<int64_t> sizes;
        std::vector<Tensor*> plain;
        for (auto& t : parts) sizes.push_back(t->sizes[d]), plain.push_back(t.get());
        auto function = [sizes, d](auto& self, TensorRef* gradients, TensorRef* results) {
            if (!gradients[0]) return;
            int64_t at = 0;
            for (size_t i = 0; i < sizes.size(); ++i) {
                if (self.needs(i)) results[i] = slice(gradients[0].get(), d, at, at + sizes[i], 1);
                at += sizes[i];
            }
        };
        auto* node = new FunctionNode<decltype(function)>("CatBackward0", function);
        Ref<Node> keep(node);
        connect(node, plain.data(), int(plain.size()));
        set_history(out.get(), node, 0);
    }
    return out;
}
}  // namespace

TensorRef cat(const std::vector<TensorRef>& tensors, int64_t dim) {
    std::vector<Tensor*> plain;
    if (recorder) [[unlikely]]
        for (const TensorRef& t : tensors) plain.push_back(t.get());
    return as_step("cat", plain, [&] { return cat_now(tensors, dim); }, [dim, n = tensors.size()](Tensor* const* a) {
        std::vector<TensorRef> parts(a, a + n);
        return cat_now(parts, dim);
    });
}

}  // namespace flambeau
