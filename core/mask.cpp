// Elements where a mask holds: their places, reading them, filling them and spreading them again, with history.
// It is not: positions that tensors name (index.cpp). Called by the bindings.
#include <algorithm>
#include <cstring>

#include "dispatch.h"
#include "index.h"
#include "record.h"
#include "rows.h"
#include "threads.h"
#include "views.h"

namespace flambeau {

namespace {

// Writes the positions of the elements for which `is_set(number)` holds, row by row.
template <class Set>
TensorRef positions_of(const Tensor* t, Set is_set) {
    int nd = t->ndim;
    int64_t count = 0, width = nd ? t->sizes[nd - 1] : 1;
    for (int64_t i = 0; i < t->numel; ++i) count += is_set(i);
    TensorRef out = empty(Shape{count, nd}, kInt64);
    auto* to = reinterpret_cast<int64_t*>(out->data);
    int64_t position[kMaxDims] = {};
    for (int64_t row = 0; row < t->numel; row += width) {
        for (int64_t i = 0; i < width; ++i)
            if (is_set(row + i)) {
                for (int d = 0; d < nd - 1; ++d) *to++ = position[d];
                if (nd) *to++ = i;
            }
        for (int d = nd - 2; d >= 0; --d) {
            if (++position[d] < t->sizes[d]) break;
            position[d] = 0;
        }
    }
    return out;
}

}  // namespace

TensorRef nonzero(Tensor* t) {
    reads_value("nonzero");
    GradModeGuard off(false);
    TensorRef dense = contiguous(t);
    const char* data = dense->data;
    int size = item_size(t->dtype);
    if (t->dtype == kBool) return positions_of(dense.get(), [data](int64_t i) { return data[i] != 0; });
    return positions_of(dense.get(), [&](int64_t i) { return read_truth(t, data + i * size); });
}

namespace {

// Copies whole-mask selections in blocks: count first, so that every block knows where it writes.
template <class T>
void gather_masked(char* out, const char* from, const char* mask, const std::vector<int64_t>& starts, int64_t block, int64_t total) {
    parallel_for(int64_t(starts.size()), [&](int64_t b) {
        auto* to = reinterpret_cast<T*>(out) + starts[size_t(b)];
        auto* source = reinterpret_cast<const T*>(from);
        for (int64_t i = b * block; i < std::min(total, (b + 1) * block); ++i)
            if (mask[i]) *to++ = source[i];
    });
}

template <class T>
void scatter_masked(char* out, const char* from, const char* mask, const std::vector<int64_t>& starts, int64_t block, int64_t total) {
    parallel_for(int64_t(starts.size()), [&](int64_t b) {
        auto* source = reinterpret_cast<const T*>(from) + starts[size_t(b)];
        auto* to = reinterpret_cast<T*>(out);
        for (int64_t i = b * block; i < std::min(total, (b + 1) * block); ++i) to[i] = mask[i] ? *source++ : T(0);
    });
}

struct Sixteen {  // bytes, aligned as one part of a complex number is
    uint64_t low, high;
    explicit Sixteen(int = 0) : low(0), high(0) {}
};

constexpr int64_t kMaskBlock = 1 << 15;

std::vector<int64_t> mask_starts(const Tensor* mask, int64_t& count) {
    int64_t blocks = (mask->numel + kMaskBlock - 1) / kMaskBlock;
    std::vector<int64_t> starts{};
    starts.resize(size_t(blocks));
    parallel_for(blocks, [&](int64_t b) {
        int64_t n = 0;
        for (int64_t i = b * kMaskBlock; i < std::min(mask->numel, (b + 1) * kMaskBlock); ++i) n += mask->data[i] != 0;
        starts[size_t(b)] = n;
    });
    count = 0;
    for (int64_t& s : starts) count += std::exchange(s, count);
    return starts;
}

TensorRef spread_masked(Tensor* g, Tensor* mask) {
    not_recordable("the gradient of masked_select");
    GradModeGuard off(false);
    int64_t count;
    std::vector<int64_t> starts = mask_starts(mask, count);
    TensorRef from = contiguous(g), out = empty(mask->shape(), g->dtype);
    switch (item_size(g->dtype)) {
        case 1: scatter_masked<uint8_t>(out->data, from->data, mask->data, starts, kMaskBlock, mask->numel); break;
        case 2: scatter_masked<uint16_t>(out->data, from->data, mask->data, starts, kMaskBlock, mask->numel); break;
        case 4: scatter_masked<uint32_t>(out->data, from->data, mask->data, starts, kMaskBlock, mask->numel); break;
        case 16: scatter_masked<Sixteen>(out->data, from->data, mask->data, starts, kMaskBlock, mask->numel); break;
        default: scatter_masked<uint64_t>(out->data, from->data, mask->data, starts, kMaskBlock, mask->numel);
    }
    return out;
}

}  // namespace

TensorRef masked(Tensor* t, Tensor* mask) {
    reads_value("masked_select");
    TensorRef dense_mask, from;
    {
        GradModeGuard off(false);
        dense_mask = contiguous(mask);
        if (dense_mask.get() == mask) dense_mask = alias(mask);
        from = contiguous(t);
    }
    int64_t count;
    std::vector<int64_t> starts = mask_starts(dense_mask.get(), count);
    TensorRef out = empty(Shape{count}, t->dtype);
    switch (item_size(t->dtype)) {
        case 1: gather_masked<uint8_t>(out->data, from->data, dense_mask->data, starts, kMaskBlock, t->numel); break;
        case 2: gather_masked<uint16_t>(out->data, from->data, dense_mask->data, starts, kMaskBlock, t->numel); break;
        case 4: gather_masked<uint32_t>(out->data, from->data, dense_mask->data, starts, kMaskBlock, t->numel); break;
        case 16: gather_masked<Sixteen>(out->data, from->data, dense_mask->data, starts, kMaskBlock, t->numel); break;
        default: gather_masked<uint64_t>(out->data, from->data, dense_mask->data, starts, kMaskBlock, t->numel);
    }
    if (recording(t)) {
        auto function = [](auto& self, TensorRef* gradients, TensorRef* results) {
            if (!gradients[0]) return;
            TensorRef where = self.saved[0].unpack(&self);
            results[0] = spread_masked(gradients[0].get(), where.get());
            if (recording(gradients[0].get()))
                record("MaskedScatterBackward0", {gradients[0].get()}, results[0].get(), [where](auto&, TensorRef* g, TensorRef* r) {
                    if (g[0]) r[0] = masked(g[0].get(), where.get());
                });
        };
        auto* node = record("IndexBackward0", {t}, out.get(), function);
        node->saved.resize(1);
        node->saved[0].save(dense_mask.get());
    }
    return out;
}

namespace {

template <class T>
void fill_blocks(Tensor* t, const Tensor* mask, const char* element) {
    T value;
    std::memcpy(&value, element, sizeof(T));
    auto* to = reinterpret_cast<T*>(t->data);
    const char* set = mask->data;
    auto fill = [=](int64_t from, int64_t end) {
        for (int64_t i = from; i < end; ++i) to[i] = set[i] ? value : to[i];
    };
    if (t->numel <= kMaskBlock) return fill(0, t->numel);
    parallel_for((t->numel + kMaskBlock - 1) / kMaskBlock, [&](int64_t b) { fill(b * kMaskBlock, std::min(t->numel, (b + 1) * kMaskBlock)); });
}

template <class T>
void write_blocks(Tensor* t, const Tensor* mask, const char* values, const std::vector<int64_t>& starts) {
    parallel_for(int64_t(starts.size()), [&](int64_t b) {
        auto* from = reinterpret_cast<const T*>(values) + starts[size_t(b)];
        auto* to = reinterpret_cast<T*>(t->data);
        for (int64_t i = b * kMaskBlock; i < std::min(t->numel, (b + 1) * kMaskBlock); ++i)
            if (mask->data[i]) to[i] = *from++;
    });
}

}  // namespace

bool put_masked(Tensor* t, const Tensor* mask, Tensor* values) {
    if (recorder || recording(t, values) || mask->storage == t->storage || !t->contiguous || !mask->contiguous || !mask->same_shape(*t)) return false;
    GradModeGuard off(false);
    TensorRef from = cast(values, t->dtype);
    int size = item_size(t->dtype);
    if (from->ndim == 0) {
        check_in_place(t, "index_put_");
        alignas(16) char element[16];
        std::memcpy(element, from->data, size_t(size));
        switch (size) {
            case 1: fill_blocks<uint8_t>(t, mask, element); break;
            case 2: fill_blocks<uint16_t>(t, mask, element); break;
            case 4: fill_blocks<uint32_t>(t, mask, element); break;
            case 16: fill_blocks<Sixteen>(t, mask, element); break;
            default: fill_blocks<uint64_t>(t, mask, element);
        }
    } else {
        int64_t count;
        std::vector<int64_t> starts = mask_starts(mask, count);
        if (from->ndim != 1 || from->sizes[0] != count || from->storage == t->storage) return false;
        check_in_place(t, "index_put_");
        from = contiguous(from.get());
        switch (size) {
            case 1: write_blocks<uint8_t>(t, mask, from->data, starts); break;
            case 2: write_blocks<uint16_t>(t, mask, from->data, starts); break;
            case 4: write_blocks<uint32_t>(t, mask, from->data, starts); break;
            case 16: write_blocks<Sixteen>(t, mask, from->data, starts); break;
            default: write_blocks<uint64_t>(t, mask, from->data, starts);
        }
    }
    bump_version(t);
    return true;
}

}  // namespace flambeau
