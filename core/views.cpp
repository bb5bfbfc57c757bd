// See views.h.
#include "views.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "dispatch.h"
#include "record.h"

namespace flambeau {

TensorRef make_view(Tensor* t, const Shape& shape, const int64_t* strides, int64_t offset_elements) {
    TensorRef v = new_tensor_like_header();
    v->storage = t->storage;
    retain(v->storage);
    v->dtype = t->dtype;
    v->device = t->device;
    v->inference = t->inference || (GradMode::inference && !t->requires_grad);
    v->data = t->data + offset_elements * item_size(t->dtype);
    v->ndim = uint8_t(shape.ndim);
    for (int i = 0; i < shape.ndim; ++i) v->sizes[i] = shape.sizes[i], v->strides[i] = strides[i];
    refresh(v.get());
    if (GradMode::enabled) {
        if (t->base) grad_fn_of(t);
        // A view that was itself asked for gradients is the leaf that its own views belong to.
        bool leaf = t->requires_grad && !(t->autograd && t->autograd->grad_fn);
        v->base = t->base && !leaf ? t->base : TensorRef(t);
        v->view_generation = v->base->generation;
    }
    return v;
}

namespace {

using ViewFunction = std::function<TensorRef(Tensor*)>;

// Zeros of `shape` with `g` in the region that `function` looks at: the gradient of that look. Its own gradient
// is the look again.
TensorRef scatter_region(Tensor* g, const Shape& shape, const ViewFunction& function) {
    TensorRef whole = zeros(shape, g->dtype);
    {
        GradModeGuard off(false);
        TensorRef region = function(whole.get());
        if (overlapping(region->shape(), region->strides)) add_overlapping(region.get(), g);
        else copy_into(region.get(), g);
    }
    if (recording(g))
        record("RegionBackward", {g}, whole.get(),
               [function](auto&, TensorRef* gradients, TensorRef* results) {
                   if (gradients[0]) results[0] = function(gradients[0].get());
               });
    return whole;
}

TensorRef region_view(Tensor* t, const char* name, const Shape& shape, const int64_t* strides, int64_t offset,
                      const ViewFunction& again) {
    TensorRef v = make_view(t, shape, strides, offset);
    if (recording(t)) {
        Shape whole = t->shape();
        record(name, {t}, v.get(), [whole, again](auto&, TensorRef* gradients, TensorRef* results) {
            if (gradients[0]) results[0] = scatter_region(gradients[0].get(), whole, again);
        });
    }
    return v;
}

TensorRef reshaping_view(Tensor* t, const char* name, const Shape& shape, const int64_t* strides) {
    TensorRef v = make_view(t, shape, strides, 0);
    if (recording(t)) {
        Shape before = t->shape();
        record(name, {t}, v.get(), [before](auto&, TensorRef* gradients, TensorRef* results) {
            if (gradients[0]) results[0] = reshape(gradients[0].get(), before);
        });
    }
    return v;
}

// Strides that show `t` in another shape without moving an element, if there are any.
bool view_strides(const Tensor* t, const Shape& shape, int64_t* strides) {
    if (t->contiguous) {
        int64_t stride = 1;
        for (int i = shape.ndim - 1; i >= 0; --i) {
            strides[i] = stride;
            stride *= shape.sizes[i] > 1 ? shape.sizes[i] : 1;
        }
        return true;
    }
    int view_dim = shape.ndim - 1;
    int64_t chunk_base = t->ndim ? t->strides[t->ndim - 1] : 1, tensor_count = 1, view_count = 1;
    for (int d = t->ndim - 1; d >= 0; --d) {
        tensor_count *= t->sizes[d];
        if (d == 0 || (t->sizes[d - 1] != 1 && t->strides[d - 1] != tensor_count * chunk_base)) {
            while (view_dim >= 0 && (view_count < tensor_count || shape.sizes[view_dim] == 1)) {
                strides[view_dim] = view_count * chunk_base;
                view_count *= shape.sizes[view_dim];
                --view_dim;
            }
            if (view_count != tensor_count) return false;
            if (d > 0) {
                chunk_base = t->strides[d - 1];
                tensor_count = view_count = 1;
            }
        }
    }
    return view_dim == -1;
}

}  // namespace

TensorRef view_as_real(Tensor* t) {
    if (!is_complex(t->dtype))
        fail(ErrorKind::DType, std::string("view_as_real: is only supported for complex tensors, this one is ") + kDTypeNames[t->dtype]);
    if (t->ndim + 1 > kMaxDims) fail(ErrorKind::Runtime, "view_as_real: a tensor has at most 16 dimensions");
    Shape shape = t->shape();
    int64_t strides[kMaxDims];
    for (int i = 0; i < t->ndim; ++i) strides[i] = t->strides[i] * 2;
    strides[shape.ndim] = 1;
    shape.sizes[shape.ndim++] = 2;
    TensorRef v = make_view(t, shape, strides, 0);
    v->dtype = part_dtype(t->dtype);
    if (recording(t))
        record("ViewAsRealBackward0", {t}, v.get(), [](auto&, TensorRef* gradients, TensorRef* results) {
            if (gradients[0]) results[0] = view_as_complex(contiguous(gradients[0].get()).get());
        });
    return v;
}

TensorRef view_as_complex(Tensor* t) {
    std::string what = "view_as_complex: input is " + shape_text(t) + " of " + kDTypeNames[t->dtype] + ": ";
    if (t->dtype != kFloat32 && t->dtype != kFloat64) fail(ErrorKind::DType, what + "is only supported for float and double tensors");
    int last = t->ndim - 1;
    if (last < 0) fail(ErrorKind::Runtime, what + "Input tensor must have one or more dimensions");
    if (t->sizes[last] != 2) fail(ErrorKind::Runtime, what + "Tensor must have a last dimension of size 2");
    bool fits = t->strides[last] == 1 && t->offset() % 2 == 0;
    Shape shape = t->shape();
    int64_t strides[kMaxDims];
    shape.ndim = last;
    for (int i = 0; i < last; ++i) {
        fits = fits && (t->strides[i] % 2 == 0 || t->sizes[i] <= 1);
        strides[i] = t->strides[i] / 2;
    }
    if (!fits)
        fail(ErrorKind::Runtime, what + "Tensor must have a stride of 1 in the last dimension, strides divisible by 2 in the others and a "
                                        "storage_offset divisible by 2; call contiguous() first");
    TensorRef v = make_view(t, shape, strides, 0);
    v->dtype = t->dtype == kFloat32 ? kComplex64 : kComplex128;
    if (recording(t))
        record("ViewAsComplexBackward0", {t}, v.get(), [](auto&, TensorRef* gradients, TensorRef* results) {
            if (gradients[0]) results[0] = view_as_real(gradients[0].get());
        });
    return v;
}

TensorRef permute(Tensor* t, const int* order) {
    Shape shape;
    int64_t strides[kMaxDims];
    int inverse[kMaxDims];
    shape.ndim = t->ndim;
    for (int i = 0; i < t->ndim; ++i) {
        shape.sizes[i] = t->sizes[order[i]];
        strides[i] = t->strides[order[i]];
        inverse[order[i]] = i;
    }
    TensorRef v = make_view(t, shape, strides, 0);
    if (recording(t)) {
        std::vector<int> back(inverse, inverse + t->ndim);
        record("PermuteBackward0", {t}, v.get(), [back](auto&, TensorRef* gradients, TensorRef* results) {
            if (gradients[0]) results[0] = permute(gradients[0].get(), back.data());
        });
    }
    return v;
}

TensorRef transpose(Tensor* t, int a, int b) {
    int order[kMaxDims];
    for (int i = 0; i < t->ndim; ++i) order[i] = i;
    if (t->ndim) std::swap(order[a], order[b]);
    return permute(t, order);
}

TensorRef expand(Tensor* t, const Shape& asked) {
    Shape shape = asked;
    int64_t strides[kMaxDims];
    int extra = shape.ndim - t->ndim;
    if (extra < 0)
        fail(ErrorKind::Runtime, "expand: the number of sizes provided (" + std::to_string(shape.ndim) +
                                     ") must be greater or equal to the number of dimensions in the tensor (" +
                                     std::to_string(t->ndim) + ")");
    for (int i = 0; i < shape.ndim; ++i) {
        int d = i - extra;
        if (shape.sizes[i] == -1) {
            if (d < 0) fail(ErrorKind::Runtime, "expand: -1 is not allowed in a leading, non-existing dimension " + std::to_string(i));
            shape.sizes[i] = t->sizes[d];
        }
        if (shape.sizes[i] < 0) fail(ErrorKind::Runtime, "expand: sizes must not be negative, got " + asked.text());
        if (d >= 0 && t->sizes[d] == shape.sizes[i]) strides[i] = t->strides[d];
        else if (d < 0 || t->sizes[d] == 1) strides[i] = 0;
        else
            fail(ErrorKind::Shape, "expand: the expanded size of the tensor (" + std::to_string(shape.sizes[i]) +
                                       ") must match the existing size (" + std::to_string(t->sizes[d]) +
                                       ") at non-singleton dimension " + std::to_string(i) + ". Target sizes: " +
                                       asked.text() + ". Tensor sizes: " + shape_text(t));
    }
    TensorRef v = make_view(t, shape, strides, 0);
    if (recording(t)) {
        Shape before = t->shape();
        record("ExpandBackward0", {t}, v.get(), [before](auto&, TensorRef* gradients, TensorRef* results) {
            if (gradients[0]) results[0] = sum_to(gradients[0].get(), before);
        });
    }
    return v;
}

Shape infer_shape(const Tensor* t, Shape shape, const char* operation) {
    int unknown = -1;
    int64_t known = 1;
    for (int i = 0; i < shape.ndim; ++i) {
        if (shape.sizes[i] == -1) {
            if (unknown >= 0) fail(ErrorKind::Runtime, std::string(operation) + ": only one dimension can be inferred (-1), got " + shape.text());
            unknown = i;
        } else if (shape.sizes[i] < 0) {
            fail(ErrorKind::Runtime, std::string(operation) + ": invalid shape dimension " + std::to_string(shape.sizes[i]));
        } else {
            known *= shape.sizes[i];
        }
    }
    if (unknown >= 0) {
        if (known == 0)
            fail(ErrorKind::Runtime, std::string(operation) + ": cannot infer -1 in shape " + shape.text() +
                                         " of a tensor with 0 elements; give the size");
        if (t->numel % known == 0) shape.sizes[unknown] = t->numel / known;
        known *= shape.sizes[unknown];
    }
    if (known != t->numel || (unknown >= 0 && shape.sizes[unknown] < 0))
        fail(ErrorKind::Shape, std::string(operation) + ": shape '" + shape.text() + "' is invalid for input of size " +
                                   std::to_string(t->numel) + " (input is " + shape_text(t) +
                                   "); the numbers of elements must be equal");
    return shape;
}

TensorRef reshape(Tensor* t, const Shape& asked) {
    Shape shape = infer_shape(t, asked, "reshape");
    int64_t strides[kMaxDims];
    if (view_strides(t, shape, strides)) return reshaping_view(t, "ViewBackward0", shape, strides);
    TensorRef copy = clone(t);
    if (!copy->contiguous) copy = contiguous(copy.get());
    view_strides(copy.get(), shape, strides);
    return reshaping_view(copy.get(), "UnsafeViewBackward0", shape, strides);
}

TensorRef view(Tensor* t, const Shape& asked) {
    Shape shape = infer_shape(t, asked, "view");
    int64_t strides[kMaxDims];
    if (!view_strides(t, shape, strides))
        fail(ErrorKind::Runtime, "view: view size is not compatible with input tensor's size and stride (input is " +
                                     shape_text(t) + ", asked for " + shape.text() +
                                     "): at least one dimension spans two that are not adjacent in memory. Use "
                                     ".reshape(...) instead");
    return reshaping_view(t, "ViewBackward0", shape, strides);
}

TensorRef squeeze(Tensor* t, uint32_t dims) {
    Shape shape;
    int64_t strides[kMaxDims];
    for (int i = 0; i < t->ndim; ++i) {
        if ((dims >> i & 1) && t->sizes[i] == 1) continue;
        strides[shape.ndim] = t->strides[i];
        shape.sizes[shape.ndim++] = t->sizes[i];
    }
    return reshaping_view(t, "SqueezeBackward0", shape, strides);
}

TensorRef unsqueeze(Tensor* t, int dim) {
    if (t->ndim + 1 > kMaxDims) fail(ErrorKind::Runtime, "unsqueeze: a tensor has at most 16 dimensions");
    Shape shape;
    int64_t strides[kMaxDims];
    for (int i = 0; i <= t->ndim; ++i) {
        if (i == dim) {
            strides[shape.ndim] = i < t->ndim ? t->sizes[i] * t->strides[i] : 1;
            shape.sizes[shape.ndim++] = 1;
        }
        if (i < t->ndim) {
            strides[shape.ndim] = t->strides[i];
            shape.sizes[shape.ndim++] = t->sizes[i];
        }
    }
    return reshaping_view(t, "UnsqueezeBackward0", shape, strides);
}

TensorRef select(Tensor* t, int dim, int64_t index) {
    if (t->ndim == 0) fail(ErrorKind::Index, "select: select() cannot be applied to a 0-dim tensor");
    int64_t size = t->sizes[dim];
    if (index < -size || index >= size)
        fail(ErrorKind::Index, "select: index " + std::to_string(index) + " is out of bounds for dimension " +
                                   std::to_string(dim) + " with size " + std::to_string(size));
    if (index < 0) index += size;
    Shape shape;
    int64_t strides[kMaxDims];
    for (int i = 0; i < t->ndim; ++i)
        if (i != dim) {
            strides[shape.ndim] = t->strides[i];
            shape.sizes[shape.ndim++] = t->sizes[i];
        }
    return region_view(t, "SelectBackward0", shape, strides, index * t->strides[dim],
                       [dim, index](Tensor* whole) { return select(whole, dim, index); });
}

TensorRef slice(Tensor* t, int dim, int64_t start, int64_t stop, int64_t step) {
    if (t->ndim == 0) fail(ErrorKind::Index, "slice: a 0-dim tensor cannot be sliced");
    if (step <= 0) fail(ErrorKind::Value, "slice: step must be greater than zero; use flip() to go backward");
    int64_t size = t->sizes[dim];
    if (start < 0) start += size;
    if (stop < 0) stop += size;
    start = start < 0 ? 0 : start > size ? size : start;
    stop = stop < start ? start : stop > size ? size : stop;
    Shape shape = t->shape();
    int64_t strides[kMaxDims];
    for (int i = 0; i < t->ndim; ++i) strides[i] = t->strides[i];
    shape.sizes[dim] = (stop - start + step - 1) / step;
    strides[dim] *= step;
    int64_t offset = start * t->strides[dim];
    return region_view(t, "SliceBackward0", shape, strides, shape.sizes[dim] ? offset : 0,
                       [=](Tensor* whole) { return slice(whole, dim, start, stop, step); });
}

TensorRef diagonal(Tensor* t, int64_t offset, int a, int b) {
    if (a == b) fail(ErrorKind::Runtime, "diagonal: dimensions cannot be identical " + std::to_string(a) + ", " + std::to_string(b));
    int64_t rows = t->sizes[a], columns = t->sizes[b];
    int64_t length = offset >= 0 ? std::min(rows, columns - offset) : std::min(rows + offset, columns);
    if (length < 0) length = 0;
    Shape shape;
    int64_t strides[kMaxDims];
    for (int i = 0; i < t->ndim; ++i)
        if (i != a && i != b) {
            strides[shape.ndim] = t->strides[i];
            shape.sizes[shape.ndim++] = t->sizes[i];
        }
    strides[shape.ndim] = t->strides[a] + t->strides[b];
    shape.sizes[shape.ndim++] = length;
    int64_t start = length == 0 ? 0 : offset >= 0 ? offset * t->strides[b] : -offset * t->strides[a];
    return region_view(t, "DiagonalBackward0", shape, strides, start,
                       [=](Tensor* whole) { return diagonal(whole, offset, a, b); });
}

TensorRef unfold(Tensor* t, int dim, int64_t size, int64_t step) {
    int64_t available = t->ndim ? t->sizes[dim] : 1;
    if (step <= 0) fail(ErrorKind::Runtime, "unfold: step is " + std::to_string(step) + " but must be > 0");
    if (size < 0 || size > available)
        fail(ErrorKind::Runtime, "unfold: maximum size for tensor at dimension " + std::to_string(dim) + " is " +
                                     std::to_string(available) + " but size is " + std::to_string(size));
    Shape shape = t->shape();
    int64_t strides[kMaxDims];
    for (int i = 0; i < t->ndim; ++i) strides[i] = t->strides[i];
    int64_t base_stride = t->ndim ? t->strides[dim] : 1;
    if (t->ndim) {
        shape.sizes[dim] = (available - size) / step + 1;
        strides[dim] = base_stride * step;
    }
    strides[shape.ndim] = base_stride;
    shape.sizes[shape.ndim++] = size;
    return region_view(t, "UnfoldBackward0", shape, strides, 0,
                       [=](Tensor* whole) { return unfold(whole, dim, size, step); });
}

TensorRef detach(Tensor* t) {
    TensorRef d = alias(t);
    return d;
}

TensorRef view_as(Tensor* t) { return reshaping_view(t, "AliasBackward0", t->shape(), t->strides); }

namespace {
// The elements of `t` in `copy`, with history.
TensorRef copied(Tensor* t, TensorRef copy) {
    {
        GradModeGuard off(false);
        copy_into(copy.get(), t);
        copy->storage->version = 0;
    }
    if (recording(t))
        record("CloneBackward0", {t}, copy.get(), [](auto&, TensorRef* gradients, TensorRef* results) {
            results[0] = gradients[0];
        });
    return copy;
}
}  // namespace

TensorRef clone(Tensor* t) {
    // Dense inputs keep their layout; anything else becomes row-major.
    bool dense = !t->contiguous && t->numel > 0 && !overlapping(t->shape(), t->strides);
    if (dense) {
        int64_t extent = 1;
        for (int i = 0; i < t->ndim; ++i) extent += (t->sizes[i] - 1) * t->strides[i];
        dense = extent == t->numel;
    }
    return copied(t, dense ? empty_strided(t->shape(), t->strides, t->dtype) : empty(t->shape(), t->dtype));
}

TensorRef clone_as(Tensor* t, const int64_t* strides) { return copied(t, empty_strided(t->shape(), strides, t->dtype)); }

TensorRef contiguous(Tensor* t) {
    if (t->contiguous) return TensorRef(t);
    return copied(t, empty(t->shape(), t->dtype));
}

TensorRef cast(Tensor* t, uint8_t dtype) {
    if (t->dtype == dtype) return TensorRef(t);
    TensorRef out;
    bool dense_layout = !t->contiguous && !overlapping(t->shape(), t->strides);
    if (dense_layout) {
        int64_t extent = t->numel ? 1 : 0;
        for (int i = 0; i < t->ndim && extent; ++i) extent += (t->sizes[i] - 1) * t->strides[i];
        dense_layout = extent == t->numel;
    }
    out = dense_layout ? empty_strided(t->shape(), t->strides, dtype) : empty(t->shape(), dtype);
    {
        GradModeGuard off(false);
        copy_into(out.get(), t);
        out->storage->version = 0;
    }
    if (recording(t) && is_inexact(dtype)) {
        uint8_t before = t->dtype;
        record("ToCopyBackward0", {t}, out.get(), [before](auto&, TensorRef* gradients, TensorRef* results) {
            if (gradients[0]) results[0] = cast(gradients[0].get(), before);
        });
    }
    return out;
}

bool broadcast_shapes(Shape& into, const Shape& other) {
    int ndim = std::max(into.ndim, other.ndim);
    Shape out;
    out.ndim = ndim;
    for (int i = 0; i < ndim; ++i) {
        int a = i - (ndim - into.ndim), b = i - (ndim - other.ndim);
        int64_t x = a < 0 ? 1 : into.sizes[a], y = b < 0 ? 1 : other.sizes[b];
        if (x != y && x != 1 && y != 1) return false;
        out.sizes[i] = x == 1 ? y : x;
    }
    into = out;
    return true;
}

TensorRef sum_to(Tensor* t, const Shape& shape) {
    if (t->shape() == shape) return TensorRef(t);
    int extra = t->ndim - shape.ndim;
    uint32_t dims = 0;
    for (int i = 0; i < t->ndim; ++i)
        if (i < extra || (shape.sizes[i - extra] == 1 && t->sizes[i] != 1)) dims |= 1u << i;
    TensorRef summed = dims ? sum_dims(t, dims) : TensorRef(t);
    return summed->shape() == shape ? summed : reshape(summed.get(), shape);
}

void copy_into(Tensor* target, Tensor* source) {
    bool with_history = GradMode::enabled && (source->requires_grad || target->requires_grad);
    TensorRef from(source);
    Shape shape = target->shape();
    if (!broadcast_shapes(shape, source->shape()) || !(shape == target->shape()))
        fail(ErrorKind::Shape, "copy_: the source of shape " + shape_text(source) + " cannot be broadcast to the target of shape " +
                                   shape_text(target));
    Ref<Node> node;
    if (with_history && is_inexact(target->dtype)) {
        Shape source_shape = source->shape();
        uint8_t source_dtype = source->dtype;
        auto function = [=](auto& self, TensorRef* gradients, TensorRef* results) {
            if (!gradients[0] || !self.needs(1)) return;
            TensorRef g = sum_to(gradients[0].get(), source_shape);
            results[1] = cast(g.get(), source_dtype);
        };
        auto* made = new FunctionNode<decltype(function)>("CopyBackwards", function);
        node = Ref<Node>(made);
        Tensor* inputs[2] = {target, source};
        connect(made, inputs, 2);
    }
    {
        GradModeGuard off(false);
        if (target->storage == source->storage && target->data != source->data && target->numel > 1) {
            // The two may overlap: read everything before writing anything.
            TensorRef copy = empty(source->shape(), source->dtype);
            copy_elements(copy.get(), source);
            from = copy;
        }
        copy_elements(target, from.get());
    }
    if (node) rebase_history(target, node);
}

void fill(Tensor* target, double value) {
    GradModeGuard off(false);
    fill_elements(target, value);
}

}  // namespace flambeau
