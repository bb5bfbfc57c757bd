// See scan.h. A line is walked by one thread in order, so the result does not depend on the number of threads.
#include "scan.h"

#include <algorithm>
#include <vector>

#include "record.h"
#include "rows.h"
#include "threads.h"
#include "views.h"

namespace flambeau {

namespace {

constexpr int64_t kTaskWork = 1 << 15;      // elements one task takes
constexpr int64_t kReleaseWork = 1 << 18;   // elements from which the GIL is let go
constexpr int64_t kSlice = 64;              // neighbouring lines that are walked together

struct Lines {
    int64_t outer = 1, length = 1, inner = 1;

    Lines(const Tensor* t, int dim) {
        length = t->ndim ? t->sizes[dim] : 1;
        for (int d = 0; d < dim; ++d) outer *= t->sizes[d];
        for (int d = dim + 1; d < t->ndim; ++d) inner *= t->sizes[d];
    }

    // body(start, width): `width` neighbouring lines whose first elements begin at `start`.
    template <class Body>
    void each(Body body) const {
        const int64_t slices = (inner + kSlice - 1) / kSlice, count = outer * slices;
        if (!count || !length) return;
        auto one = [&](int64_t number) {
            const int64_t first = number % slices * kSlice;
            body(number / slices * length * inner + first, std::min(kSlice, inner - first));
        };
        const int64_t work = std::max<int64_t>(1, length * std::min(inner, kSlice));
        GilRelease unlocked(count * work >= kReleaseWork);
        if (count * work < 2 * kTaskWork) {
            for (int64_t i = 0; i < count; ++i) one(i);
            return;
        }
        const int64_t group = std::max<int64_t>(1, kTaskWork / work);
        parallel_for((count + group - 1) / group, [&](int64_t task) {
            for (int64_t i = task * group; i < std::min(count, (task + 1) * group); ++i) one(i);
        });
    }
};

// Both dense, of one shape and dtype.
void accumulate(const Tensor* from, Tensor* out, int dim, bool product) {
    const Lines lines(from, dim);
    auto run = [&](auto zero, auto one, auto load, auto store) {
        using T = decltype(zero);
        using Total = decltype(one);
        auto* source = reinterpret_cast<const T*>(from->data);
        auto* to = reinterpret_cast<T*>(out->data);
        lines.each([&](int64_t start, int64_t width) {
            auto along = [&](auto join) {
                if (width == 1) {  // one line: nothing but the chain of sums
                    Total total = product ? one : Total(0);
                    for (int64_t j = 0; j < lines.length; ++j, start += lines.inner) to[start] = store(total = join(total, Total(load(source[start]))));
                    return;
                }
                Total totals[kSlice];
                std::fill(totals, totals + width, product ? one : Total(0));
                for (int64_t j = 0; j < lines.length; ++j, start += lines.inner)
                    for (int64_t i = 0; i < width; ++i) to[start + i] = store(totals[i] = join(totals[i], Total(load(source[start + i]))));
            };
            if (product) along([](Total a, Total b) { return a * b; });
            else along([](Total a, Total b) { return a + b; });
        });
    };
    auto same = [](auto v) { return v; };
    switch (from->dtype) {
        case kFloat32: run(0.f, 1.0, [](float v) { return double(v); }, [](double v) { return float(v); }); break;
        case kFloat64: run(0.0, 1.0, same, same); break;
        case kFloat16: run(uint16_t(0), 1.f, half_to_float, float_to_half); break;
        case kBFloat16: run(uint16_t(0), 1.f, bfloat_to_float, float_to_bfloat); break;
        default: run(uint64_t(0), uint64_t(1), same, same);
    }
}

// Dense, of one shape: `extremes` of the dtype of `from` (float32, float64, int64 or uint64), `places` int64.
void walk_extremes(const Tensor* from, Tensor* extremes, Tensor* places, int dim, bool largest) {
    const Lines lines(from, dim);
    auto run = [&](auto zero, auto better) {
        using T = decltype(zero);
        auto* source = reinterpret_cast<const T*>(from->data);
        auto* held = reinterpret_cast<T*>(extremes->data);
        auto* to = reinterpret_cast<int64_t*>(places->data);
        lines.each([&](int64_t start, int64_t width) {
            if (width == 1) {  // in registers; a branch, for the extreme seldom changes
                T best = source[start];
                int64_t place = 0;
                for (int64_t j = 0; j < lines.length; ++j, start += lines.inner) {
                    const T value = source[start];
                    if (better(value, best) | (value != value)) best = value, place = j;
                    held[start] = best;
                    to[start] = place;
                }
                return;
            }
            T best[kSlice];
            int64_t place[kSlice] = {};
            std::copy(source + start, source + start + width, best);
            for (int64_t j = 0; j < lines.length; ++j, start += lines.inner)
                for (int64_t i = 0; i < width; ++i) {
                    const T value = source[start + i];
                    const bool take = better(value, best[i]) | (value != value);  // a comparison with NaN is false
                    best[i] = take ? value : best[i];
                    place[i] = take ? j : place[i];
                    held[start + i] = best[i];
                    to[start + i] = place[i];
                }
        });
    };
    auto order = [&](auto zero) {
        if (largest) run(zero, [](auto a, auto b) { return a >= b; });
        else run(zero, [](auto a, auto b) { return a <= b; });
    };
    if (from->dtype == kFloat32) order(0.f);
    else if (from->dtype == kFloat64) order(0.0);
    else if (from->dtype == kUInt64) order(uint64_t(0));
    else order(int64_t(0));
}

}  // namespace

TensorRef cumulative(Tensor* t, int dim, bool product) {
    const uint8_t code = is_float(t->dtype) ? t->dtype : uint8_t(kInt64);
    TensorRef from = contiguous(cast(t, code).get()), out = empty(t->shape(), code);
    Tensor* tensors[2] = {from.get(), out.get()};
    run_step("cumulative", tensors, 1, 1, [dim, product](Tensor* const* t) { accumulate(t[0], t[1], dim, product); });
    return cast(out.get(), t->dtype);
}

void running_extreme(Tensor* t, int dim, bool largest, TensorRef& values, TensorRef& places) {
    const bool itself = t->dtype == kFloat64 || t->dtype == kUInt64;
    const uint8_t code = itself ? t->dtype : !is_float(t->dtype) ? uint8_t(kInt64) : uint8_t(kFloat32);
    TensorRef from = contiguous(cast(t, code).get()), extremes = empty(t->shape(), code);
    places = empty(t->shape(), kInt64);
    Tensor* tensors[3] = {from.get(), extremes.get(), places.get()};
    run_step(largest ? "cummax" : "cummin", tensors, 1, 2,
             [dim, largest](Tensor* const* t) { walk_extremes(t[0], t[1], t[2], dim, largest); });
    values = cast(extremes.get(), t->dtype);
}

}  // namespace flambeau
