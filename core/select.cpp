// See select.h. A row is walked once; what beats the worst of the elements kept so far takes its place in a heap. The
// order of elements is total (equal ones by position), so long rows can be cut into parts and the parts' results merged.
#include "select.h"

#include <algorithm>
#include <vector>

#include "record.h"
#include "rows.h"
#include "threads.h"
#include "views.h"

namespace flambeau {

namespace {

constexpr int64_t kPart = int64_t{1} << 16;  // elements of a long row that one task walks
constexpr int64_t kTaskWork = 1 << 15;
constexpr int64_t kReleaseWork = 1 << 18;    // elements from which the GIL is let go
constexpr int64_t kBlock = 32;               // elements that are compared with the worst at once

template <class T>
struct Found {
    T value;
    int64_t place;
};

// Whether `a` comes before `b`.
template <class T, bool largest>
bool before(const Found<T>& a, const Found<T>& b) {
    const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
    if (a_nan != b_nan) return a_nan == largest;
    if (!a_nan && a.value != b.value) return largest ? a.value > b.value : a.value < b.value;
    return a.place < b.place;
}

template <class T, bool largest>
void take(std::vector<Found<T>>& heap, const Found<T>& one) {
    if (!before<T, largest>(one, heap.front())) return;
    // The place of the worst is filled from below until the new one fits.
    size_t hole = 0;
    for (size_t next = 1; next < heap.size(); next = 2 * hole + 1) {
        if (next + 1 < heap.size() && before<T, largest>(heap[next], heap[next + 1])) ++next;
        if (!before<T, largest>(one, heap[next])) break;
        heap[hole] = heap[next];
        hole = next;
    }
    heap[hole] = one;
}

// The best `count` of row[begin, end), the worst of them in front.
template <class T, bool largest>
void walk(const T* row, int64_t begin, int64_t end, int64_t count, std::vector<Found<T>>& heap) {
    heap.clear();
    int64_t at = begin;
    for (; at < std::min(end, begin + count); ++at) heap.push_back({row[at], at});
    std::make_heap(heap.begin(), heap.end(), before<T, largest>);
    while (at < end) {
        const T worst = heap.front().value;
        const int64_t stop = std::min(end, at + kBlock);
        bool any = worst != worst && !largest;  // every number comes before NaN
        // What is unordered with the worst may come before it: NaN, if the largest are asked.
        if (largest) for (int64_t i = at; i < stop; ++i) any |= !(row[i] <= worst);
        else for (int64_t i = at; i < stop; ++i) any |= row[i] < worst;
        if (any)
            for (int64_t i = at; i < stop; ++i)
                if (!largest || !(row[i] <= heap.front().value)) take<T, largest>(heap, {row[i], i});
        at = stop;
    }
}

template <class T, bool largest>
void select_rows(const Tensor* from, Tensor* out, int64_t count) {
    const int64_t length = from->sizes[from->ndim - 1], rows = from->numel / length;
    auto* source = reinterpret_cast<const T*>(from->data);
    auto* to = reinterpret_cast<int64_t*>(out->data);
    auto finish = [&](std::vector<Found<T>>& heap, int64_t row) {
        std::sort_heap(heap.begin(), heap.end(), before<T, largest>);
        for (int64_t i = 0; i < count; ++i) to[row * count + i] = heap[size_t(i)].place;
    };
    GilRelease unlocked(rows * length >= kReleaseWork);
    const int64_t parts = count * 8 <= kPart ? (length + kPart - 1) / kPart : 1;
    if (parts == 1 || rows >= 4 * thread_count()) {
        const int64_t group = std::max<int64_t>(1, kTaskWork / length), tasks = (rows + group - 1) / group;
        auto some = [&](int64_t task) {
            std::vector<Found<T>> heap;
            heap.reserve(size_t(count));
            for (int64_t row = task * group; row < std::min(rows, (task + 1) * group); ++row) {
                walk<T, largest>(source + row * length, 0, length, count, heap);
                finish(heap, row);
            }
        };
        if (rows * length < 2 * kTaskWork) for (int64_t task = 0; task < tasks; ++task) some(task);
        else parallel_for(tasks, some);
        return;
    }
    std::vector<std::vector<Found<T>>> heaps(size_t(rows * parts));
    parallel_for(rows * parts, [&](int64_t task) {
        const int64_t row = task / parts, begin = task % parts * kPart;
        walk<T, largest>(source + row * length, begin, std::min(length, begin + kPart), count, heaps[size_t(task)]);
    });
    for (int64_t row = 0; row < rows; ++row) {
        std::vector<Found<T>>& best = heaps[size_t(row * parts)];  // a first part that is full: only the last is shorter
        for (int64_t part = 1; part < parts; ++part)
            for (const Found<T>& one : heaps[size_t(row * parts + part)]) take<T, largest>(best, one);
        finish(best, row);
    }
}

template <class T>
void select(const Tensor* from, Tensor* out, int64_t count, bool largest) {
    if (largest) select_rows<T, true>(from, out, count);
    else select_rows<T, false>(from, out, count);
}

void select_any(const Tensor* from, Tensor* out, int64_t count, bool largest) {
    if (!out->numel) return;
    switch (from->dtype) {
        case kFloat32: return select<float>(from, out, count, largest);
        case kFloat64: return select<double>(from, out, count, largest);
        case kInt32: return select<int32_t>(from, out, count, largest);
        case kUInt64: return select<uint64_t>(from, out, count, largest);
        default: return select<int64_t>(from, out, count, largest);
    }
}

}  // namespace

TensorRef few_extremes(Tensor* t, int64_t count, bool largest) {
    const bool itself = t->dtype == kFloat64 || t->dtype == kUInt64 || t->dtype == kInt32;
    const uint8_t code = itself ? t->dtype : is_float(t->dtype) ? uint8_t(kFloat32) : uint8_t(kInt64);
    TensorRef from = contiguous(cast(t, code).get());
    Shape shape = t->shape();
    shape.sizes[shape.ndim - 1] = count;
    TensorRef out = empty(shape, kInt64);
    Tensor* tensors[2] = {from.get(), out.get()};
    run_step("topk", tensors, 1, 1, [count, largest](Tensor* const* t) { select_any(t[0], t[1], count, largest); });
    return out;
}

}  // namespace flambeau
