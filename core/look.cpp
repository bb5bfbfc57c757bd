// Views by strides: a look at the memory behind a tensor that need not keep to the tensor's own elements, and its gradient.
// It is not: views that rename or cut a tensor's own elements (views.cpp). Called by the bindings and views.cpp.
#include <algorithm>
#include <cstring>
#include <vector>

#include "dispatch.h"
#include "record.h"
#include "views.h"

namespace flambeau {

bool overlapping(const Shape& shape, const int64_t* strides) {
    // Sorted by stride, each dimension must step over all that the smaller ones reach.
    std::vector<std::pair<int64_t, int64_t>> dims;
    for (int i = 0; i < shape.ndim; ++i)
        if (shape.sizes[i] > 1) dims.emplace_back(strides[i], shape.sizes[i]);
    std::sort(dims.begin(), dims.end());
    int64_t reach = 0;
    for (auto [stride, size] : dims) {
        if (stride <= reach) return true;
        reach += stride * (size - 1);
    }
    return false;
}

// Adds `source` into the memory `target` looks at, element by element: for views whose elements overlap.
void add_overlapping(Tensor* target, Tensor* source) {
    if (is_complex(target->dtype)) {
        GradModeGuard off(false);
        TensorRef into = view_as_real(target), parts = view_as_real(cast(source, target->dtype).get());
        return add_overlapping(into.get(), parts.get());
    }
    TensorRef dense = contiguous(cast(source, target->dtype).get());
    Tensor* tensors[3] = {dense.get(), target, target};
    run_step("add_overlapping", tensors, 2, 1, [](Tensor* const* t) {
        const Tensor* from = t[0];
        Tensor* into = t[2];
        int64_t position[kMaxDims] = {};
        for (int64_t i = 0; i < from->numel; ++i) {
            int64_t at = 0;
            for (int d = 0; d < into->ndim; ++d) at += position[d] * into->strides[d];
            char* p = into->data + at * item_size(into->dtype);
            write_double(into->dtype, p, read_double(into, p) + read_double(from, from->data + i * item_size(from->dtype)));
            for (int d = into->ndim - 1; d >= 0; --d) {
                if (++position[d] < into->sizes[d]) break;
                position[d] = 0;
            }
        }
    });
}

namespace {

// A shape with strides, `start` bytes past the first element of the tensor that is looked at.
struct Layout {
    Shape shape;
    std::vector<int64_t> strides;

    int64_t extent() const {  // elements from the first to behind the last
        if (shape.numel() == 0) return 0;
        int64_t last = 0;
        for (int i = 0; i < shape.ndim; ++i) last += (shape.sizes[i] - 1) * strides[i];
        return last + 1;
    }
    bool overlaps() const { return overlapping(shape, strides.data()); }
};

// Zeros laid out as `whole`, in memory that also holds `extent` bytes from `start` bytes past its first element: what is
// looked at may begin before the tensor's elements or end behind them.
TensorRef buffer_for(const Layout& whole, uint8_t dtype, int64_t start, int64_t extent) {
    int64_t item = item_size(dtype), own = whole.extent() * item;
    int64_t before = extent && start < 0 ? (-start + item - 1) / item : 0;
    int64_t behind = std::max(own, extent ? start + extent : 0);
    Shape flat;
    flat.ndim = 1;
    flat.sizes[0] = before + (behind + item - 1) / item;
    TensorRef memory = zeros(flat, dtype);
    GradModeGuard off(false);
    return make_view(memory.get(), whole.shape, whole.strides.data(), before);
}

// Calls `visit(i, p, again)` for the elements of `t` in order: the number, the place, and whether an earlier one lies there.
template <class Visit>
void each_place(const Tensor* t, Visit visit) {
    int64_t extent = 1, position[kMaxDims] = {}, item = item_size(t->dtype);
    for (int d = 0; d < t->ndim; ++d) extent += (t->sizes[d] - 1) * t->strides[d];
    std::vector<bool> seen(t->numel ? size_t(extent) : 0);
    for (int64_t i = 0; i < t->numel; ++i) {
        int64_t at = 0;
        for (int d = 0; d < t->ndim; ++d) at += position[d] * t->strides[d];
        visit(i * item, t->data + at * item, bool(seen[at]));
        seen[at] = true;
        for (int d = t->ndim - 1; d >= 0; --d) {
            if (++position[d] < t->sizes[d]) break;
            position[d] = 0;
        }
    }
}

// The elements of `t`, where several lie in one place only the first of them and zeros for the others: what flows back to
// one place counts once.
TensorRef first_of_each(Tensor* t) {
    TensorRef result = empty(t->shape(), t->dtype);
    Tensor* tensors[2] = {t, result.get()};
    run_step("first_of_each", tensors, 1, 1, [](Tensor* const* t) {
        size_t item = size_t(item_size(t[0]->dtype));
        each_place(t[0], [&](int64_t i, const char* p, bool again) {
            if (again) std::memset(t[1]->data + i, 0, item);
            else std::memcpy(t[1]->data + i, p, item);
        });
    });
    return result;
}

// Writes `source` into `target`, where several elements lie in one place only the first of them: its transpose.
void write_first_of_each(Tensor* target, Tensor* source) {
    TensorRef dense = contiguous(source);
    Tensor* tensors[3] = {dense.get(), target, target};
    run_step("write_first_of_each", tensors, 2, 1, [](Tensor* const* t) {
        size_t item = size_t(item_size(t[0]->dtype));
        each_place(t[2], [&](int64_t i, char* p, bool again) {
            if (!again) std::memcpy(p, t[0]->data + i, item);
        });
    });
}

}  // namespace

TensorRef as_strided(Tensor* t, const Shape& shape, const int64_t* strides, int64_t offset) {
    checked_numel(shape, "as_strided");
    int64_t last = offset, step = 0;
    bool beyond = offset < 0;
    for (int i = 0; i < shape.ndim; ++i) {
        if (strides[i] < 0) fail(ErrorKind::Runtime, "as_strided: strides must not be negative");
        beyond |= __builtin_mul_overflow(shape.sizes[i] - 1, strides[i], &step) || __builtin_add_overflow(last, step, &last);
    }
    if (shape.numel() > 0) beyond |= last >= int64_t(t->storage->bytes) / item_size(t->dtype);
    else beyond = offset < 0;
    if (beyond)
        fail(ErrorKind::Runtime, "as_strided: sizes " + shape.text() + " with offset " + std::to_string(offset) +
                                     " reach beyond the storage of " + std::to_string(t->storage->bytes) + " bytes");
    return look_at(t, shape, strides, (offset - t->offset()) * item_size(t->dtype), t->dtype);
}

TensorRef look_at(Tensor* t, const Shape& shape, const int64_t* strides, int64_t bytes, uint8_t dtype) {
    Layout seen{shape, {strides, strides + shape.ndim}};
    Layout whole{t->shape(), {t->strides, t->strides + t->ndim}};
    TensorRef v = make_view(t, shape, strides, 0);
    v->dtype = dtype;
    v->data = t->data + bytes;
    bool same = dtype == t->dtype;
    int item = item_size(dtype);
    uint8_t whole_dtype = t->dtype;
    if (recording(t))
        record("AsStridedBackward0", {t}, v.get(),
               [=](auto&, TensorRef* gradients, TensorRef* results) {
                   if (!gradients[0]) return;
                   // The gradient lives in a buffer with the input's own strides, so that the same look fits it.
                   auto dtype_of = [=](uint8_t whole_dtype) { return same ? whole_dtype : dtype; };
                   auto start = [=](uint8_t dtype) { return bytes / item * item_size(dtype) + bytes % item; };
                   auto look = [=](Tensor* t) {
                       uint8_t d = dtype_of(t->dtype);
                       return look_at(t, seen.shape, seen.strides.data(), start(d), d);
                   };
                   auto make = [=](uint8_t dtype) {
                       uint8_t d = dtype_of(dtype);
                       return buffer_for(whole, dtype, start(d), seen.extent() * item_size(d));
                   };
                   TensorRef result = make(same ? gradients[0]->dtype : whole_dtype);
                   {
                       GradModeGuard off(false);
                       TensorRef region = look(result.get());
                       if (seen.overlaps()) add_overlapping(region.get(), gradients[0].get());
                       else copy_into(region.get(), gradients[0].get());
                       if (whole.overlaps()) result = first_of_each(result.get());
                   }
                   if (recording(gradients[0].get()))
                       record("AsStridedBackward1", {gradients[0].get()}, result.get(),
                              [=](auto&, TensorRef* g, TensorRef* r) {
                                  if (!g[0]) return;
                                  TensorRef again = make(g[0]->dtype);
                                  if (whole.overlaps()) write_first_of_each(again.get(), g[0].get());
                                  else copy_into(again.get(), g[0].get());
                                  // What flows back has zeros already wherever an element is not the first of its place.
                                  if (whole.overlaps() && recording(g[0].get()))
                                      record("AsStridedBackward2", {g[0].get()}, again.get(),
                                             [](auto&, TensorRef* h, TensorRef* k) { k[0] = h[0]; });
                                  r[0] = look(again.get());
                              });
                   results[0] = result;
               });
    return v;
}

}  // namespace flambeau
