// See index.h.
#include "index.h"

#include <algorithm>
#include <cstring>

#include "dispatch.h"
#include "record.h"
#include "rows.h"
#include "step.h"
#include "threads.h"
#include "views.h"

namespace flambeau {

namespace {

// The same operations without a step of their own: while recording, what is called below is one step as a whole.
TensorRef index_now(Tensor* t, const Indices& indices);
void index_put_now(Tensor* t, const Indices& indices, Tensor* values, bool accumulate);
TensorRef gather_now(Tensor* t, int dim, Tensor* index);
TensorRef scatter_now(Tensor* t, int dim, Tensor* index, Tensor* source, bool add, bool in_place);
TensorRef index_select_now(Tensor* t, int dim, Tensor* index);
TensorRef index_add_now(Tensor* t, int dim, Tensor* index, Tensor* source, bool in_place);
TensorRef index_accumulate_now(const Shape& shape, const Indices& indices, Tensor* g);
TensorRef index_accumulate(const Shape& shape, const Indices& indices, Tensor* g);

constexpr int64_t kAhead = 8;  // rows whose cache lines are asked for before they are needed

std::vector<Tensor*> with_indices(Tensor* first, const Indices& indices) {
    std::vector<Tensor*> all = {first};
    for (const TensorRef& i : indices)
        if (i) all.push_back(i.get());
    return all;
}
// The indices again, from where they stand among a step's tensors.
struct IndexPlaces {
    std::vector<bool> given;
    explicit IndexPlaces(const Indices& indices) { for (const TensorRef& i : indices) given.push_back(bool(i)); }
    Indices from(Tensor* const* t) const {
        Indices out;
        for (bool g : given) out.push_back(g ? TensorRef(*t++) : TensorRef());
        return out;
    }
};

TensorRef as_int64(Tensor* index, const char* operation) {
    if (is_inexact(index->dtype) || index->dtype == kBool)
        fail(ErrorKind::Index, std::string(operation) + ": tensors used as indices must be long, int, byte or bool tensors, got " +
                                   kDTypeNames[index->dtype] + "; convert with .long()");
    GradModeGuard off(false);
    TensorRef wide = cast(index, kInt64);
    return contiguous(wide.get());
}

// Adds one element; the only arithmetic here, done in the wider of float32 and the dtype.
void add_element(uint8_t dtype, char* to, const char* from) {
    switch (dtype) {
        case kFloat32: { float a, b; std::memcpy(&a, to, 4); std::memcpy(&b, from, 4); a += b; std::memcpy(to, &a, 4); break; }
        case kFloat64: { double a, b; std::memcpy(&a, to, 8); std::memcpy(&b, from, 8); a += b; std::memcpy(to, &a, 8); break; }
        case kInt64: case kUInt64: { uint64_t a, b; std::memcpy(&a, to, 8); std::memcpy(&b, from, 8); a += b; std::memcpy(to, &a, 8); break; }
        case kInt32: case kUInt32: { uint32_t a, b; std::memcpy(&a, to, 4); std::memcpy(&b, from, 4); a += b; std::memcpy(to, &a, 4); break; }
        case kInt16: case kUInt16: { uint16_t a, b; std::memcpy(&a, to, 2); std::memcpy(&b, from, 2); a = uint16_t(a + b); std::memcpy(to, &a, 2); break; }
        case kBool: *to = *to | *from; break;
        case kComplex64: case kComplex128: {
            int part = item_size(dtype) / 2;
            add_element(part_dtype(dtype), to, from);
            add_element(part_dtype(dtype), to + part, from + part);
            break;
        }
        case kFloat16: { uint16_t a, b; std::memcpy(&a, to, 2); std::memcpy(&b, from, 2); a = float_to_half(half_to_float(a) + half_to_float(b)); std::memcpy(to, &a, 2); break; }
        case kBFloat16: { uint16_t a, b; std::memcpy(&a, to, 2); std::memcpy(&b, from, 2); a = float_to_bfloat(bfloat_to_float(a) + bfloat_to_float(b)); std::memcpy(to, &a, 2); break; }
        default: *to = char(*to + *from);
    }
}
void add_run(uint8_t dtype, char* to, const char* from, int64_t count) {
    if (dtype == kFloat32) {
        for (int64_t i = 0; i < count; ++i) {
            float a, b;
            std::memcpy(&a, to + 4 * i, 4);
            std::memcpy(&b, from + 4 * i, 4);
            a += b;
            std::memcpy(to + 4 * i, &a, 4);
        }
        return;
    }
    int size = item_size(dtype);
    for (int64_t i = 0; i < count; ++i) add_element(dtype, to + i * size, from + i * size);
}
void copy_element(int size, char* to, const char* from) {
    switch (size) {
        case 1: *to = *from; break;
        case 2: std::memcpy(to, from, 2); break;
        case 4: std::memcpy(to, from, 4); break;
        case 16: std::memcpy(to, from, 16); break;
        default: std::memcpy(to, from, 8);
    }
}

// A tensor index as offsets: where each index position starts in the target, and the dimensions that are left whole.
struct Plan {
    Shape index_shape, rest_shape, result_shape;
    int64_t rest_strides[kMaxDims];
    int first = 0;              // where the index dimensions stand in the result
    std::vector<int64_t> offsets;
    bool adjacent = true;
};

Plan make_plan(const Tensor* t, const Indices& indices) {
    Plan plan;
    std::vector<int> indexed;
    for (int d = 0; d < t->ndim; ++d) {
        if (size_t(d) < indices.size() && indices[d]) {
            Shape before = plan.index_shape;
            if (!broadcast_shapes(plan.index_shape, indices[d]->shape()))
                fail(ErrorKind::Index, "index: shape mismatch: indexing tensors could not be broadcast together with shapes " +
                                           before.text() + ", " + shape_text(indices[d].get()));
            indexed.push_back(d);
        } else {
            plan.rest_strides[plan.rest_shape.ndim] = t->strides[d];
            plan.rest_shape.sizes[plan.rest_shape.ndim++] = t->sizes[d];
        }
    }
    plan.adjacent = indexed.empty() || indexed.back() - indexed.front() + 1 == int(indexed.size());
    plan.first = plan.adjacent && !indexed.empty() ? indexed.front() : 0;
    for (int i = 0; i < plan.first; ++i) plan.result_shape.sizes[plan.result_shape.ndim++] = plan.rest_shape.sizes[i];
    for (int i = 0; i < plan.index_shape.ndim; ++i) plan.result_shape.sizes[plan.result_shape.ndim++] = plan.index_shape.sizes[i];
    for (int i = plan.first; i < plan.rest_shape.ndim; ++i) plan.result_shape.sizes[plan.result_shape.ndim++] = plan.rest_shape.sizes[i];
    int64_t count = plan.index_shape.numel();
    plan.offsets.assign(size_t(count), 0);
    for (int d : indexed) {
        TensorRef wide = as_int64(indices[d].get(), "index");
        TensorRef shown;
        {
            GradModeGuard off(false);
            shown = contiguous(expand(wide.get(), plan.index_shape).get());
        }
        auto* values = reinterpret_cast<const int64_t*>(shown->data);
        int64_t size = t->sizes[d], stride = t->strides[d];
        for (int64_t i = 0; i < count; ++i) {
            int64_t at = values[i];
            if (at < -size || at >= size)
                fail(ErrorKind::Index, "index " + std::to_string(at) + " is out of bounds for dimension " + std::to_string(d) + " with size " + std::to_string(size) +
                                           " (the indexed tensor is " + shape_text(t) + ")");
            plan.offsets[size_t(i)] += (at < 0 ? at + size : at) * stride;
        }
    }
    return plan;
}

// Calls f(target element, position in the result, run) in the order of the result, as runs of contiguous elements.
template <class F>
void walk(const Tensor* t, const Plan& plan, F f) {
    const int size = item_size(t->dtype), nd = plan.rest_shape.ndim, first = plan.first;
    const int64_t* sizes = plan.rest_shape.sizes;
    const int64_t* strides = plan.rest_strides;
    int64_t run = 1, middle = 1, outer = 1;
    int dense = nd;  // trailing dimensions that are dense in the target make the run
    while (dense > first && (sizes[dense - 1] == 1 || strides[dense - 1] == run)) run *= sizes[--dense];
    for (int d = first; d < dense; ++d) middle *= sizes[d];
    for (int d = 0; d < first; ++d) outer *= sizes[d];
    if (run == 0) return;
    int64_t position[kMaxDims] = {}, number = 0;
    auto advance = [&](int from, int to) {
        for (int d = to - 1; d >= from; --d) {
            if (++position[d] < sizes[d]) break;
            position[d] = 0;
        }
    };
    auto offset = [&](int from, int to) {
        int64_t at = 0;
        for (int d = from; d < to; ++d) at += position[d] * strides[d];
        return at;
    };
    for (int64_t o = 0; o < outer; ++o, advance(0, first)) {
        char* base = t->data + offset(0, first) * size;
        if (middle == 1) {
            for (int64_t place : plan.offsets) f(base + place * size, number, run), number += run;
            continue;
        }
        for (int64_t place : plan.offsets)
            for (int64_t m = 0; m < middle; ++m, advance(first, dense), number += run)
                f(base + (place + offset(first, dense)) * size, number, run);
    }
}

template <int size>
void read_elements(Tensor* t, const Plan& plan, char* out) {
    walk(t, plan, [out](const char* from, int64_t at, int64_t run) {
        if (run == 1) std::memcpy(out + at * size, from, size);
        else std::memcpy(out + at * size, from, size_t(run * size));
    });
}

TensorRef read_plan(Tensor* t, const Plan& plan) {
    TensorRef out = empty(plan.result_shape, t->dtype);
    switch (item_size(t->dtype)) {
        case 1: read_elements<1>(t, plan, out->data); break;
        case 2: read_elements<2>(t, plan, out->data); break;
        case 4: read_elements<4>(t, plan, out->data); break;
        case 16: read_elements<16>(t, plan, out->data); break;
        default: read_elements<8>(t, plan, out->data);
    }
    return out;
}

void write_plan(Tensor* t, const Plan& plan, Tensor* values, bool accumulate) {
    GradModeGuard off(false);
    Shape shape = plan.result_shape;
    if (!broadcast_shapes(shape, values->shape()) || !(shape == plan.result_shape))
        fail(ErrorKind::Shape, "index_put_: shape mismatch: value tensor of shape " + shape_text(values) +
                                   " cannot be broadcast to indexing result of shape " + plan.result_shape.text());
    TensorRef from = contiguous(expand(cast(values, t->dtype).get(), plan.result_shape).get());
    int size = item_size(t->dtype);
    walk(t, plan, [&](char* to, int64_t at, int64_t run) {
        if (accumulate) add_run(t->dtype, to, from->data + at * size, run);
        else if (run == 1) copy_element(size, to, from->data + at * size);
        else std::memcpy(to, from->data + at * size, size_t(run * size));
    });
}

// Zeros of `shape` with `g` added at the indexed places: the gradient of index().
TensorRef index_accumulate_now(const Shape& shape, const Indices& indices, Tensor* g) {
    TensorRef out = zeros(shape, g->dtype);
    write_plan(out.get(), make_plan(out.get(), indices), g, true);
    if (recording(g))
        record("IndexAccumulateBackward0", {g}, out.get(), [indices](auto&, TensorRef* gradients, TensorRef* results) {
            if (gradients[0]) results[0] = index(gradients[0].get(), indices);
        });
    return out;
}

void check_gather(const char* operation, const Tensor* t, int dim, const Tensor* index, const Tensor* source) {
    int a = std::max<int>(t->ndim, 1), b = std::max<int>(index->ndim, 1);
    if (a != b && index->numel)
        fail(ErrorKind::Runtime, std::string(operation) + ": Index tensor must have the same number of dimensions as input tensor: input is " +
                                     shape_text(t) + ", index is " + shape_text(index));
    for (int d = 0; d < index->ndim && d < t->ndim; ++d) {
        if (d != dim && index->sizes[d] > t->sizes[d])
            fail(ErrorKind::Runtime, std::string(operation) + ": Size does not match at dimension " + std::to_string(d) + " expected index " +
                                         shape_text(index) + " to be no larger than self " + shape_text(t) + " apart from dimension " + std::to_string(dim));
        if (source && index->sizes[d] > source->sizes[d])
            fail(ErrorKind::Runtime, std::string(operation) + ": Size does not match at dimension " + std::to_string(d) + " expected index " +
                                         shape_text(index) + " to be no larger than src " + shape_text(source));
    }
}

// Visits every element of `index`: f(offset in t along the indexed dimension, offset in index order of a second tensor).
template <class F>
void visit(const char* operation, const Tensor* t, int dim, const Tensor* index, const Tensor* other, F f) {
    auto* values = reinterpret_cast<const int64_t*>(index->data);
    int nd = std::max<int>(index->ndim, 1);
    int64_t position[kMaxDims] = {};
    int64_t limit = t->ndim ? t->sizes[dim] : 1;
    for (int64_t i = 0; i < index->numel; ++i) {
        int64_t at = values[i];
        if (at < 0 || at >= limit)
            fail(ErrorKind::Runtime, std::string(operation) + ": index " + std::to_string(at) + " is out of bounds for dimension " + std::to_string(dim) + " with size " + std::to_string(limit));
        int64_t from = 0, second = 0;
        for (int d = 0; d < t->ndim; ++d) from += (d == dim ? at : position[d]) * t->strides[d];
        if (other)
            for (int d = 0; d < other->ndim; ++d) second += position[d] * other->strides[d];
        f(from, second, i);
        for (int d = nd - 1; d >= 0; --d) {
            if (++position[d] < (index->ndim ? index->sizes[d] : 1)) break;
            position[d] = 0;
        }
    }
}

}  // namespace

namespace {
TensorRef index_now(Tensor* t, const Indices& indices) {
    if (int(indices.size()) > t->ndim)
        fail(ErrorKind::Index, "index: too many indices for tensor of dimension " + std::to_string(t->ndim));
    Plan plan = make_plan(t, indices);
    TensorRef out = read_plan(t, plan);
    if (recording(t)) {
        Shape shape = t->shape();
        record("IndexBackward0", {t}, out.get(), [shape, indices](auto&, TensorRef* gradients, TensorRef* results) {
            if (gradients[0]) results[0] = index_accumulate(shape, indices, gradients[0].get());
        });
    }
    return out;
}
}  // namespace

namespace {
void index_put_now(Tensor* t, const Indices& indices, Tensor* values, bool accumulate) {
    check_in_place(t, "index_put_");
    if (int(indices.size()) > t->ndim)
        fail(ErrorKind::Index, "index_put_: too many indices for tensor of dimension " + std::to_string(t->ndim));
    Plan plan = make_plan(t, indices);
    Ref<Node> node;
    if (recording(t, values) && is_inexact(t->dtype)) {
        Shape value_shape = values->shape();
        uint8_t value_dtype = values->dtype;
        auto function = [=](auto& self, TensorRef* gradients, TensorRef* results) {
            if (!gradients[0]) return;
            if (self.needs(0)) {
                if (accumulate) results[0] = gradients[0];
                else {
                    TensorRef g = clone(gradients[0].get()), nothing = zeros(Shape(), gradients[0]->dtype);
                    index_put(g.get(), indices, nothing.get(), false);
                    results[0] = g;
                }
            }
            if (self.needs(1)) {
                TensorRef g = index(gradients[0].get(), indices);
                results[1] = cast(sum_to(g.get(), value_shape).get(), value_dtype);
            }
        };
        auto* made = new FunctionNode<decltype(function)>("IndexPutBackward0", function);
        node = Ref<Node>(made);
        Tensor* inputs[2] = {t, values};
        connect(made, inputs, 2);
    }
    TensorRef from(values);
    if (values->storage == t->storage) {
        GradModeGuard off(false);
        from = clone(values);
    }
    write_plan(t, plan, from.get(), accumulate);
    bump_version(t);
    if (node) rebase_history(t, node);
}
}  // namespace

namespace {
TensorRef gather_now(Tensor* t, int dim, Tensor* index) {
    check_gather("gather", t, dim, index, nullptr);
    TensorRef wide = as_int64(index, "gather");
    TensorRef out = empty(index->shape(), t->dtype);
    int size = item_size(t->dtype);
    visit("gather", t, dim, wide.get(), nullptr, [&](int64_t from, int64_t, int64_t i) {
        copy_element(size, out->data + i * size, t->data + from * size);
    });
    if (recording(t)) {
        Shape shape = t->shape();
        record("GatherBackward0", {t}, out.get(), [shape, dim, wide](auto&, TensorRef* gradients, TensorRef* results) {
            if (!gradients[0]) return;
            TensorRef into = zeros(shape, gradients[0]->dtype);
            results[0] = scatter(into.get(), dim, wide.get(), gradients[0].get(), true, false);
        });
    }
    return out;
}
}  // namespace

namespace {
TensorRef scatter_now(Tensor* t, int dim, Tensor* index, Tensor* source, bool add, bool in_place) {
    const char* name = add ? "scatter_add" : "scatter";
    check_gather(name, t, dim, index, source);
    if (source->dtype != t->dtype)
        fail(ErrorKind::DType, std::string(name) + ": Expected self.dtype to be equal to src.dtype: self is " + kDTypeNames[t->dtype] + ", src is " + kDTypeNames[source->dtype] + "; convert src with .to(self.dtype)");
    if (in_place) check_in_place(t, name);
    TensorRef wide = as_int64(index, name);
    Ref<Node> node;
    Shape source_shape = source->shape();
    if (recording(t, source) && is_inexact(t->dtype)) {
        auto function = [=](auto& self, TensorRef* gradients, TensorRef* results) {
            if (!gradients[0]) return;
            Tensor* g = gradients[0].get();
            if (self.needs(0)) {
                if (add) results[0] = gradients[0];
                else {
                    TensorRef nothing = zeros(wide->shape(), g->dtype);
                    results[0] = scatter(g, dim, wide.get(), nothing.get(), false, false);
                }
            }
            if (self.needs(1)) {
                TensorRef picked = gather(g, dim, wide.get());
                if (picked->shape() == source_shape) results[1] = picked;
                else {
                    TensorRef whole = zeros(source_shape, g->dtype);
                    TensorRef part(whole);
                    for (int d = 0; d < whole->ndim; ++d) part = slice(part.get(), d, 0, picked->sizes[d], 1);
                    copy_into(part.get(), picked.get());
                    results[1] = whole;
                }
            }
        };
        auto* made = new FunctionNode<decltype(function)>(add ? "ScatterAddBackward0" : "ScatterBackward0", function);
        node = Ref<Node>(made);
        Tensor* inputs[2] = {t, source};
        connect(made, inputs, 2);
    }
    TensorRef out(t);
    {
        GradModeGuard off(false);
        if (!in_place) {
            out = empty(t->shape(), t->dtype);
            copy_elements(out.get(), t);
        }
    }
    int size = item_size(t->dtype);
    // Refuse before anything is changed.
    visit(name, out.get(), dim, wide.get(), nullptr, [](int64_t, int64_t, int64_t) {});
    visit(name, out.get(), dim, wide.get(), source, [&](int64_t to, int64_t from, int64_t) {
        if (add) add_element(t->dtype, out->data + to * size, source->data + from * size);
        else copy_element(size, out->data + to * size, source->data + from * size);
    });
    if (in_place) {
        bump_version(t);
        if (node) rebase_history(t, node);
    } else if (node) {
        set_history(out.get(), node.get(), 0);
    }
    return out;
}
}  // namespace

namespace {
TensorRef index_select_now(Tensor* t, int dim, Tensor* index) {
    if (index->ndim > 1) fail(ErrorKind::Index, "index_select: Index is supposed to be a vector, it is " + shape_text(index));
    TensorRef wide = as_int64(index, "index_select");
    auto* values = reinterpret_cast<const int64_t*>(wide->data);
    int64_t size = t->ndim ? t->sizes[dim] : 1, count = wide->numel;
    for (int64_t i = 0; i < count; ++i)
        if (values[i] < 0 || values[i] >= size)
            fail(ErrorKind::Index, "index_select: index out of range in self: index " + std::to_string(values[i]) + " with size " + std::to_string(size) + " along dimension " + std::to_string(dim));
    TensorRef source;
    {
        GradModeGuard off(false);
        source = contiguous(t);
    }
    Shape shape = t->shape();
    int64_t outer = 1, inner = item_size(t->dtype);
    for (int d = 0; d < dim; ++d) outer *= shape.sizes[d];
    for (int d = dim + 1; d < t->ndim; ++d) inner *= shape.sizes[d];
    if (shape.ndim) shape.sizes[dim] = count;
    TensorRef out = empty(shape, t->dtype);
    int64_t block = std::max<int64_t>(1, (1 << 16) / std::max<int64_t>(inner, 1));
    int64_t blocks = (count + block - 1) / block;
    auto task = [&](int64_t task_number) {
        int64_t o = task_number / blocks, b = task_number % blocks;
        char* to = out->data + (o * count) * inner;
        const char* from = source->data + (o * size) * inner;
        int64_t end = std::min(count, (b + 1) * block);
        if (inner == 4) {
            for (int64_t i = b * block; i < end; ++i) std::memcpy(to + 4 * i, from + 4 * values[i], 4);
        } else if (inner == 8) {
            for (int64_t i = b * block; i < end; ++i) std::memcpy(to + 8 * i, from + 8 * values[i], 8);
        } else {
            for (int64_t i = b * block; i < end; ++i) {
                if (i + kAhead < end)
                    for (int64_t at = 0; at < std::min<int64_t>(inner, 512); at += 64) __builtin_prefetch(from + values[i + kAhead] * inner + at);
                std::memcpy(to + i * inner, from + values[i] * inner, size_t(inner));
            }
        }
    };
    // Many short lines share a task.
    int64_t lines = blocks > 1 ? 1 : std::max<int64_t>(1, (1 << 16) / std::max<int64_t>(1, count * inner)), jobs = blocks * outer;
    if (jobs <= lines) for (int64_t j = 0; j < jobs; ++j) task(j);
    else
        parallel_for((jobs + lines - 1) / lines, [&](int64_t group) {
            for (int64_t j = group * lines; j < std::min(jobs, (group + 1) * lines); ++j) task(j);
        });
    if (recording(t)) {
        Shape before = t->shape();
        record("IndexSelectBackward0", {t}, out.get(), [before, dim, wide](auto&, TensorRef* gradients, TensorRef* results) {
            if (!gradients[0]) return;
            TensorRef into = zeros(before, gradients[0]->dtype);
            results[0] = index_add(into.get(), dim, wide.get(), gradients[0].get(), false);
        });
    }
    return out;
}
}  // namespace

namespace {
TensorRef index_add_now(Tensor* t, int dim, Tensor* index, Tensor* source, bool in_place) {
    if (index->ndim > 1) fail(ErrorKind::Index, "index_add: Index is supposed to be a vector, it is " + shape_text(index));
    if (source->dtype != t->dtype)
        fail(ErrorKind::DType, std::string("index_add: self and source expected to have the same dtype, but got ") + kDTypeNames[t->dtype] + " and " + kDTypeNames[source->dtype]);
    Shape expected = t->shape();
    if (expected.ndim) expected.sizes[dim] = index->numel;
    if (!(source->shape() == expected) && !(t->ndim == 0 && source->numel == index->numel))
        fail(ErrorKind::Shape, "index_add: source must have shape " + expected.text() + " (self " + shape_text(t) + " with one entry an index along dimension " + std::to_string(dim) + "), it is " + shape_text(source));
    TensorRef wide = as_int64(index, "index_add");
    auto* values = reinterpret_cast<const int64_t*>(wide->data);
    int64_t size = t->ndim ? t->sizes[dim] : 1, count = wide->numel;
    for (int64_t i = 0; i < count; ++i)
        if (values[i] < 0 || values[i] >= size)
            fail(ErrorKind::Index, "index_add: index out of range in self: index " + std::to_string(values[i]) + " with size " + std::to_string(size));
    if (in_place) check_in_place(t, "index_add_");
    Ref<Node> node;
    if (recording(t, source) && is_inexact(t->dtype)) {
        Shape source_shape = source->shape();
        auto function = [dim, wide, source_shape](auto& self, TensorRef* gradients, TensorRef* results) {
            if (!gradients[0]) return;
            if (self.needs(0)) results[0] = gradients[0];
            if (self.needs(1)) results[1] = reshape(index_select(gradients[0].get(), dim, wide.get()).get(), source_shape);
        };
        auto* made = new FunctionNode<decltype(function)>("IndexAddBackward0", function);
        node = Ref<Node>(made);
        Tensor* inputs[2] = {t, source};
        connect(made, inputs, 2);
    }
    GradModeGuard off(false);
    TensorRef out(t);
    if (!in_place) {
        out = empty(t->shape(), t->dtype);
        copy_elements(out.get(), t);
    }
    TensorRef work = contiguous(out.get()), from = contiguous(source);
    int64_t outer = 1, inner = 1;
    for (int d = 0; d < dim; ++d) outer *= t->sizes[d];
    for (int d = dim + 1; d < t->ndim; ++d) inner *= t->sizes[d];
    int bytes = item_size(t->dtype);
    // Wide rows are cut into columns, a task each: every element is added to in one order.
    const int64_t total = outer * count * inner, row = inner * bytes, columns = 64 / std::min(bytes, 64);
    const int64_t shares = outer < 4 * thread_count() ? std::clamp<int64_t>(inner / columns, 1, 2 * thread_count()) : 1;
    auto task = [&](int64_t number) {
        const int64_t o = number / shares, part = number % shares;
        const int64_t first = inner / columns * part / shares * columns, last = part + 1 == shares ? inner : inner / columns * (part + 1) / shares * columns;
        char* to = work->data + o * size * row + first * bytes;
        const char* added = from->data + o * count * row + first * bytes;
        for (int64_t i = 0; i < count; ++i) {
            if (i + kAhead < count)
                for (int64_t at = 0; at < std::min<int64_t>((last - first) * bytes, 512); at += 64) {
                    __builtin_prefetch(to + values[i + kAhead] * row + at, 1);
                    __builtin_prefetch(added + (i + kAhead) * row + at);
                }
            add_run(t->dtype, to + values[i] * row, added + i * row, last - first);
        }
    };
    if (total > (1 << 15)) {
        GilRelease unlocked(total >= (1 << 18));
        parallel_for(outer * shares, task);
    } else {
        for (int64_t number = 0; number < outer * shares; ++number) task(number);
    }
    if (work.get() != out.get()) copy_elements(out.get(), work.get());
    if (in_place) {
        bump_version(t);
        if (node) rebase_history(t, node);
    } else if (node) {
        set_history(out.get(), node.get(), 0);
    }
    return out;
}
}  // namespace

TensorRef index(Tensor* t, const Indices& indices) {
    if (!recorder) [[likely]] return index_now(t, indices);
    return as_step("index", with_indices(t, indices), [&] { return index_now(t, indices); },
                   [places = IndexPlaces(indices)](Tensor* const* a) { return index_now(a[0], places.from(a + 1)); });
}
namespace {
// While recording, positions come from a step of their own: history may keep them.
TensorRef positions(Tensor* index, const char* operation) {
    return recorder && recorder->records() ? as_int64(index, operation) : TensorRef(index);
}
}  // namespace

TensorRef gather(Tensor* t, int dim, Tensor* given) {
    TensorRef held = positions(given, "gather");
    Tensor* index = held.get();
    return as_step("gather", {t, index}, [&] { return gather_now(t, dim, index); },
                   [dim](Tensor* const* a) { return gather_now(a[0], dim, a[1]); });
}
TensorRef index_select(Tensor* t, int dim, Tensor* given) {
    TensorRef held = positions(given, "index_select");
    Tensor* index = held.get();
    return as_step("index_select", {t, index}, [&] { return index_select_now(t, dim, index); },
                   [dim](Tensor* const* a) { return index_select_now(a[0], dim, a[1]); });
}
TensorRef scatter(Tensor* t, int dim, Tensor* given, Tensor* source, bool add, bool in_place) {
    TensorRef held = positions(given, "scatter");
    Tensor* index = held.get();
    if (!in_place)
        return as_step("scatter", {t, index, source}, [&] { return scatter_now(t, dim, index, source, add, false); },
                       [dim, add](Tensor* const* a) { return scatter_now(a[0], dim, a[1], a[2], add, false); });
    bool records = recorder && recorder->records();
    RecordDepth inside;
    TensorRef out = scatter_now(t, dim, index, source, add, true);
    if (records)
        recorder->call("scatter_", {t, index, source}, {t}, [dim, add](Tensor* const* a) {
            GradModeGuard off(false);
            scatter_now(a[3], dim, a[1], a[2], add, true);
        });
    return out;
}
TensorRef index_add(Tensor* t, int dim, Tensor* given, Tensor* source, bool in_place) {
    TensorRef held = positions(given, "index_add");
    Tensor* index = held.get();
    if (!in_place)
        return as_step("index_add", {t, index, source}, [&] { return index_add_now(t, dim, index, source, false); },
                       [dim](Tensor* const* a) { return index_add_now(a[0], dim, a[1], a[2], false); });
    bool records = recorder && recorder->records();
    RecordDepth inside;
    TensorRef out = index_add_now(t, dim, index, source, true);
    if (records)
        recorder->call("index_add_", {t, index, source}, {t}, [dim](Tensor* const* a) {
            GradModeGuard off(false);
            index_add_now(a[3], dim, a[1], a[2], true);
        });
    return out;
}
void index_put(Tensor* t, const Indices& indices, Tensor* values, bool accumulate) {
    bool records = recorder && recorder->records();
    RecordDepth inside;
    index_put_now(t, indices, values, accumulate);
    if (!records) [[likely]] return;
    std::vector<Tensor*> inputs = with_indices(t, indices);
    inputs.push_back(values);
    recorder->call("index_put_", inputs, {t}, [places = IndexPlaces(indices), accumulate, n = inputs.size()](Tensor* const* a) {
        GradModeGuard off(false);
        index_put_now(a[n], places.from(a + 1), a[n - 1], accumulate);
    });
}
namespace {
TensorRef index_accumulate(const Shape& shape, const Indices& indices, Tensor* g) {
    return as_step("index_accumulate", with_indices(g, indices), [&] { return index_accumulate_now(shape, indices, g); },
                   [shape, places = IndexPlaces(indices)](Tensor* const* a) {
                       return index_accumulate_now(shape, places.from(a + 1), a[0]);
                   });
}
}  // namespace

}  // namespace flambeau
