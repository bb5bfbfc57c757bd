// See pool.h. A plane of windows is cut into pieces for whose windows the same positions lie in the input: lines in the
// middle and at the borders. The pieces are found once and computed for every plane.
#include "pool.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "rows.h"
#include "threads.h"

namespace flambeau {

void (*request_window_kernels)(uint8_t dtype) = nullptr;

namespace {

constexpr int64_t kSerialWork = 1 << 15;   // elements that one thread is quicker with
constexpr int64_t kTaskWork = 1 << 14;     // elements of a task
constexpr int64_t kFetchBytes = 16 << 10;  // planes that fit the first-level cache together

WindowKernels tables[10];

const WindowKernels& kernels_for(uint8_t dtype) {
    if (!tables[dtype].maxima[0]) request_window_kernels(dtype);
    return tables[dtype];
}

struct Span { int64_t begin, count, first, last; };  // outputs, and the kernel's positions [first, last) that they have

std::vector<Span> spans(const Windows& w, int d) {
    std::vector<Span> found;
    for (int64_t o = 0; o < w.out[d]; ++o) {
        int64_t first = 0, last = w.kernel[d];
        const int64_t start = o * w.stride[d] - w.padding[d];
        while (first < last && start + first * w.dilation[d] < 0) ++first;
        while (last > first && start + (last - 1) * w.dilation[d] >= w.in[d]) --last;
        if (!found.empty() && found.back().first == first && found.back().last == last) ++found.back().count;
        else found.push_back({o, 1, first, last});
    }
    return found;
}

struct Piece {
    int64_t lines, n, source, out;  // source: bytes to the windows' start, which may lie before the plane
    std::vector<int64_t> offsets;
    std::vector<int32_t> places;
};

struct Plan {
    std::vector<Piece> pieces;
    int64_t line, step, in, out, item;  // bytes between lines and between windows; elements of planes
    int kind;
    Plan(const Windows& w, int64_t item_) : item(item_) {
        in = w.in[0] * w.in[1] * w.in[2], out = w.out[0] * w.out[1] * w.out[2];
        line = w.stride[1] * w.in[2] * item, step = w.stride[2] * item;
        kind = w.stride[2] == 1 ? 0 : w.stride[2] == 2 ? 1 : 2;
        const auto lines = spans(w, 1), columns = spans(w, 2);
        for (const Span& deep : spans(w, 0))
            for (int64_t d = deep.begin; d < deep.begin + deep.count; ++d)
                for (const Span& h : lines)
                    for (const Span& c : columns) {
                        const int64_t start[3] = {d * w.stride[0] - w.padding[0], h.begin * w.stride[1] - w.padding[1], c.begin * w.stride[2] - w.padding[2]};
                        Piece p{h.count, c.count, ((start[0] * w.in[1] + start[1]) * w.in[2] + start[2]) * item,
                                (d * w.out[1] + h.begin) * w.out[2] + c.begin, {}, {}};
                        for (int64_t i = deep.first; i < deep.last; ++i)
                            for (int64_t j = h.first; j < h.last; ++j)
                                for (int64_t k = c.first; k < c.last; ++k) {
                                    const int64_t at = (i * w.dilation[0] * w.in[1] + j * w.dilation[1]) * w.in[2] + k * w.dilation[2];
                                    p.offsets.push_back(p.source + at * item);
                                    p.places.push_back(int32_t(at));
                                }
                        pieces.push_back(std::move(p));
                    }
    }
    template <class F>
    void each_plane(int64_t planes, const Windows& w, F&& f) const {
        const int64_t work = std::max<int64_t>(in, out * w.kernel[0] * w.kernel[1] * w.kernel[2]);
        const int64_t group = std::max<int64_t>(1, kTaskWork / std::max<int64_t>(1, work)), tasks = (planes + group - 1) / group;
        if (planes * work < kSerialWork) {
            for (int64_t i = 0; i < planes; ++i) f(i);
            return;
        }
        GilRelease unlocked(true);
        parallel_for(tasks, [&](int64_t task) {
            for (int64_t i = task * group; i < std::min(planes, (task + 1) * group); ++i) f(i);
        });
    }
};

/// Asks for the plane after this one: short streams end before the CPU has seen what comes.
template <int kWrite>
void fetch(const char* plane, int64_t bytes) {
    if (bytes > kFetchBytes) return;
    for (int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(plane + bytes + at, kWrite, 3);
}

template <class T>
void fill_empty(const Piece& p, int64_t out_line, char* best, int32_t* place) {
    for (int64_t row = 0; row < p.lines; ++row)
        for (int64_t i = 0; i < p.n; ++i) {
            reinterpret_cast<T*>(best)[p.out + row * out_line + i] = -std::numeric_limits<T>::infinity();
            place[p.out + row * out_line + i] = -1;
        }
}

}  // namespace

void register_window_kernels(uint8_t dtype, void* table) { reinterpret_cast<void (*)(void*)>(table)(&tables[dtype]); }

void window_maxima(const Windows& w, Tensor* x, Tensor* best, Tensor* place) {
    const WindowKernels& kernels = kernels_for(x->dtype);
    const Plan plan(w, item_size(x->dtype));
    if (!plan.out || !best->numel) return;
    plan.each_plane(best->numel / plan.out, w, [&](int64_t i) {
        char *source = x->data + i * plan.in * plan.item, *values = best->data + i * plan.out * plan.item;
        auto* places = reinterpret_cast<int32_t*>(place->data) + i * plan.out;
        fetch<0>(source, plan.in * plan.item);
        for (const Piece& p : plan.pieces) {
            if (!p.offsets.empty())
                kernels.maxima[plan.kind](p.lines, plan.line, w.out[2], p.n, plan.step, int64_t(p.offsets.size()), p.offsets.data(),
                                          p.places.data(), source, values + p.out * plan.item, reinterpret_cast<char*>(places + p.out));
            else if (x->dtype == kFloat32) fill_empty<float>(p, w.out[2], values, places);
            else fill_empty<double>(p, w.out[2], values, places);
        }
    });
}

void window_spread(const Windows& w, Tensor* grad, Tensor* place, Tensor* x) {
    const WindowKernels& kernels = kernels_for(x->dtype);
    const Plan plan(w, item_size(x->dtype));
    if (!plan.in || !x->numel) return;
    plan.each_plane(x->numel / plan.in, w, [&](int64_t i) {
        char *target = x->data + i * plan.in * plan.item, *values = grad->data + i * plan.out * plan.item;
        char* places = place->data + i * plan.out * int64_t(sizeof(int32_t));
        fetch<1>(target, plan.in * plan.item);
        std::memset(target, 0, size_t(plan.in * plan.item));
        for (const Piece& p : plan.pieces)
            if (!p.offsets.empty())
                kernels.spread[plan.kind](p.lines, plan.line, w.out[2], p.n, plan.step, int64_t(p.offsets.size()), p.offsets.data(),
                                          p.places.data(), target, values + p.out * plan.item, places + p.out * int64_t(sizeof(int32_t)));
    });
}

}  // namespace flambeau
