// What the executors of convolution share: their kernels, their memory, and how an operand is staged for them.
// It is not: a convolution (convolve_kernels, _pixels, _lanes and _weight.cpp, which alone include it).
#pragma once
#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "contract.h"
#include "convolve_kernels.h"
#include "copy_line.h"
#include "rows.h"
#include "storage.h"
#include "threads.h"

namespace flambeau {

constexpr int64_t kConvolveSerialWork = int64_t{1} << 19;  // multiply-adds below which one thread is quicker
constexpr int kSlotPanel = 1, kSlotStage = 2, kSlotEdges = 3, kSlotStrip = 4;

extern ConvolveKernels own_kernels[10];

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -ceil_div(-a, b); }
inline int64_t part(int64_t whole, int64_t parts, int64_t i) { return whole / parts * i + std::min(i, whole % parts); }

template <class Task>
void each(int64_t tasks, bool parallel, Task&& task) {
    if (parallel && tasks > 1) return parallel_for(tasks, task);
    for (int64_t i = 0; i < tasks; ++i) task(i);
}

struct Kit {  // the kernels of a dtype and its item size
    InnerKernels inner;
    const ConvolveKernels& own;
    int64_t item, panel;
    bool masked;
    explicit Kit(uint8_t dtype)
        : inner(inner_kernels(dtype)), own(own_kernels[dtype]), item(own.item),
          panel(inner.compute.lanes * inner.compute.vectors),
          masked(inner.compute.tiles[0][0][0] == inner.compute.tiles[0][0][1]) {}
    /// to[c, r] = from[r, c], and nothing written behind it.
    void transpose(const char* from, int64_t from_row, char* to, int64_t to_row, int64_t rows, int64_t columns) const {
        if (masked || rows % inner.compute.lanes == 0)
            return inner.compute.transpose(from, from_row, to, to_row, rows, columns);
        char* strip = scratch((columns * rows + 64) * item, kSlotStrip);
        inner.compute.transpose(from, from_row, strip, rows * item, rows, columns);
        for (int64_t i = 0; i < columns; ++i) std::memcpy(to + i * to_row, strip + i * rows * item, size_t(rows * item));
    }
};

Kit kit_for(uint8_t dtype);  // asks the compiler for what is missing

/// How the lines of one operand lie for the kernels: with zeros around them, and coordinates that differ by a period
/// next to each other. Element (phase, quotient) of a dimension is coordinate quotient * period + phase - low.
struct Stage {
    bool direct = false;  // read in place: nothing to pad, nothing to pull apart
    int64_t period[3], phases[3], quotients[3], low[3], size[3];
    int64_t step[3], phase_step[3], channel;  // in elements
    struct Bounds { int64_t begin, end; };
    std::vector<Bounds> inside;  // for each phase of a line: the quotients that are no border

    Stage(const int64_t* size_, const int64_t* extent, const int64_t* period_, const int64_t* taps,
          const int64_t* dilation, const int64_t* low_, const Field& f) {
        int64_t at = 1;
        bool plain = f.s[2] == 1 || size_[2] == 1;
        for (int d = 2; d >= 0; --d) {
            period[d] = period_[d], low[d] = low_[d], size[d] = size_[d];
            bool whole = true;  // every position of the kernel falls into the first phase
            for (int64_t k = 0; k < taps[d]; ++k) whole = whole && k * dilation[d] % period[d] == 0;
            phases[d] = whole ? 1 : std::min(period[d], extent[d]);
            quotients[d] = ceil_div(extent[d], period[d]);
            step[d] = at;
            phase_step[d] = at * quotients[d];
            at *= quotients[d] * phases[d];
            plain = plain && low[d] == 0 && period[d] == 1 && extent[d] <= size[d];
        }
        channel = at;
        for (int64_t p = 0; p < phases[2]; ++p) {
            const int64_t begin = std::clamp<int64_t>(ceil_div(low[2] - p, period[2]), 0, quotients[2]);
            inside.push_back({begin, std::clamp<int64_t>(ceil_div(size[2] + low[2] - p, period[2]), begin, quotients[2])});
        }
        if (plain) {
            direct = true;
            step[2] = 1, step[1] = f.s[1], step[0] = f.s[0];
            channel = f.c;
        }
    }
    int64_t place(int d, int64_t x) const { return x / period[d] * step[d] + x % period[d] * phase_step[d]; }

    /// One channel of one sample. Where `to` held a channel before, its zeros are there already.
    void fill(const Kit& kit, const char* from, const Field& f, char* to, bool zeros = true) const {
        const int64_t item = kit.item;
        if (zeros && channel * item <= 8192) {  // at once, not in pieces around every line
            std::memset(to, 0, size_t(channel * item));
            zeros = false;
        }
        for (int64_t p0 = 0; p0 < phases[0]; ++p0)
            for (int64_t q0 = 0; q0 < quotients[0]; ++q0) {
                const int64_t i0 = q0 * period[0] + p0 - low[0];
                for (int64_t p1 = 0; p1 < phases[1]; ++p1)
                    for (int64_t q1 = 0; q1 < quotients[1]; ++q1) {
                        const int64_t i1 = q1 * period[1] + p1 - low[1];
                        char* line = to + (p0 * phase_step[0] + q0 * step[0] + p1 * phase_step[1] + q1 * step[1]) * item;
                        if (i0 < 0 || i0 >= size[0] || i1 < 0 || i1 >= size[1]) {
                            if (zeros) std::memset(line, 0, size_t(phases[2] * quotients[2] * item));
                            continue;
                        }
                        const char* source = from + (i0 * f.s[0] + i1 * f.s[1]) * item;
                        for (int64_t p2 = 0; p2 < phases[2]; ++p2, line += quotients[2] * item) {
                            const int64_t n = quotients[2];
                            const auto [begin, end] = inside[size_t(p2)];
                            if (zeros && begin) std::memset(line, 0, size_t(begin * item));
                            if (end > begin)
                                copy_line(item, source + (begin * period[2] + p2 - low[2]) * f.s[2] * item,
                                          period[2] * f.s[2], line + begin * item, end - begin);
                            if (zeros && end < n) std::memset(line + end * item, 0, size_t((n - end) * item));
                        }
                    }
            }
    }
};

struct Workspace {  // memory for one call, taken while the GIL is held
    Ref<Storage> storage;
    char* data;
    explicit Workspace(int64_t bytes) : storage(Ref<Storage>::adopt(storage_allocate(size_t(bytes + 256)))), data(storage->data) {}
};

inline bool depthwise(const Convolution& v) { return v.c == v.groups && v.groups > 1 && v.o / v.groups <= 4; }

inline int64_t work_of(const Convolution& v) { return v.n * v.plane() * v.o * (v.c / v.groups) * v.taps(); }

/// Along one dimension of the input's gradient: input i takes part with output t - j where i + padding = stride * t +
/// phase and dilation * tap = stride * j + phase. For one phase of the input that is a convolution without strides.
struct Phase {
    int64_t first, count, t;  // inputs first, first + stride, ... are `count`; the first one's t
    std::vector<std::pair<int64_t, int64_t>> taps;  // (tap, j)
};
/// The phases of dimension d, and how far they read: `low` before the first output, `extent` from the first output on.
inline std::vector<Phase> phases_of(const Convolution& v, int d, int64_t& low, int64_t& extent) {
    std::vector<Phase> phases;
    low = 0, extent = 1;
    for (int64_t r = 0; r < v.stride[d]; ++r) {
        Phase phase;
        phase.first = ((r - v.padding[d]) % v.stride[d] + v.stride[d]) % v.stride[d];
        if (phase.first >= v.in[d]) continue;
        phase.count = ceil_div(v.in[d] - phase.first, v.stride[d]);
        phase.t = (phase.first + v.padding[d] - r) / v.stride[d];
        for (int64_t k = 0; k < v.kernel[d]; ++k)
            if (k * v.dilation[d] % v.stride[d] == r) {
                phase.taps.emplace_back(k, k * v.dilation[d] / v.stride[d]);
                low = std::max(low, phase.taps.back().second - phase.t);
                extent = std::max(extent, phase.t + phase.count - phase.taps.back().second);
            }
        phases.push_back(std::move(phase));
    }
    return phases;
}

}  // namespace flambeau
