// The gradient of a convolution's weight: sums over pixels, (channels out) x (kernel positions, channels in).
//
// The input is staged with channels last, so that a line of the packed panel, the values that one pixel gives to a
// kernel position, is contiguous; the gradient's rows are read as they lie. Sums are cut at fixed numbers of pixels.
#include <vector>

#include "convolve_lanes.h"

namespace flambeau {

namespace {

constexpr int64_t kPixelsAtOnce = 256;  // length of one block of a sum over pixels

template <class F>
void with_type(uint8_t dtype, F&& f) {
    switch (dtype) {
        case 8: return f(float{});
        case 9: return f(double{});
        case 4: return f(uint32_t{});  // unsigned: overflow wraps
        default: return f(uint64_t{});
    }
}

/// Depthwise: each weight is a dot product of a plane of the gradient with a shifted plane of the input.
void depthwise_weight(const Kit& kit, const Convolution& v, const Field& gradient, const Field& x, char* weight, bool parallel) {
    const int64_t item = kit.item, many = v.o / v.groups, taps = v.taps();
    int64_t extent[3];
    for (int d = 0; d < 3; ++d) extent[d] = (v.out[d] - 1) * v.stride[d] + (v.kernel[d] - 1) * v.dilation[d] + 1;
    const Stage stage(v.in, extent, v.stride, v.kernel, v.dilation, v.padding, x);
    std::vector<int64_t> offsets;
    for (int64_t a = 0; a < v.kernel[0]; ++a)
        for (int64_t b = 0; b < v.kernel[1]; ++b)
            for (int64_t e = 0; e < v.kernel[2]; ++e)
                offsets.push_back((stage.place(0, a * v.dilation[0]) + stage.place(1, b * v.dilation[1]) + stage.place(2, e * v.dilation[2])) * item);
    // The positions along a kernel's line in one pass: four sums are computed, which reads a little behind the plane.
    const bool lines_follow = !stage.direct && v.stride[2] == 1 && v.kernel[2] <= 4;
    const int64_t at_once = lines_follow ? v.kernel[2] : 1, behind = lines_follow ? 4 * v.dilation[2] * item : 0;
    each(v.groups, parallel, [&](int64_t c) {
        char* staged = scratch((stage.direct ? 0 : stage.channel * item) + behind + 256, kSlotStage);
        char* line = scratch(v.out[2] * item + 256, kSlotPanel);
        std::memset(weight + c * many * taps * item, 0, size_t(many * taps * item));
        for (int64_t n = 0; n < v.n; ++n) {
            const char* source = x.data + (n * x.n + c * x.c) * item;
            if (!stage.direct) {
                stage.fill(kit, source, x, staged, n == 0);
                source = staged;
            }
            for (int64_t m = 0; m < many; ++m)
                for (int64_t i = 0; i < v.out[0] * v.out[1]; ++i) {  // a line at a time: between lines lies what is no pixel
                    const int64_t d = i / v.out[1], h = i % v.out[1];
                    const char* g = gradient.data + (n * gradient.n + (c * many + m) * gradient.c + d * gradient.s[0] + h * gradient.s[1]) * item;
                    copy_line(item, g, gradient.s[2], line, v.out[2]);
                    for (int64_t t = 0; t < taps; t += at_once) {
                        alignas(8) char values[32];
                        const char* shifted = source + (d * stage.step[0] + h * stage.step[1]) * item + offsets[size_t(t)];
                        if (at_once > 1) kit.inner.memory.dots_many(v.out[2], shifted, v.dilation[2] * item, line, values);
                        else kit.inner.memory.dots_one(v.out[2], shifted, 0, line, values);
                        with_type(v.dtype, [&](auto zero) {
                            using T = decltype(zero);
                            for (int64_t j = 0; j < at_once; ++j)
                                reinterpret_cast<T*>(weight)[(c * many + m) * taps + t + j] += reinterpret_cast<T*>(values)[j];
                        });
                    }
                }
        }
    });
}

}  // namespace

void convolve_weight(const Convolution& v, const Field& gradient, const Field& x, char* weight) {
    const Kit kit = kit_for(v.dtype);
    const bool parallel = work_of(v) > kConvolveSerialWork;
    if (depthwise(v) && in_lanes(kit, v)) {
        const int64_t parts = std::clamp<int64_t>(ceil_div(16, ceil_div(v.c, kit.inner.compute.lanes)), 1, v.n);
        Workspace room(parts * lanes_bytes(kit, v));
        GilRelease unlocked(parallel);
        return lanes_weight(kit, v, gradient, x, weight, room.data, parts, parallel);
    }
    if (depthwise(v)) {
        GilRelease unlocked(parallel);
        return depthwise_weight(kit, v, gradient, x, weight, parallel);
    }
    const int64_t item = kit.item, panel = kit.panel, channels = v.c / v.groups, rows = v.o / v.groups, taps = v.taps();
    const int64_t k = channels * taps, panels = ceil_div(k, panel), pixels = v.plane(), all = v.n * pixels;
    const auto& compute = kit.inner.compute;
    // The input with channels last and zeros around it, in elements.
    int64_t extent[3], low[3], step[3], at = v.c;
    for (int d = 2; d >= 0; --d) {
        extent[d] = (v.out[d] - 1) * v.stride[d] + (v.kernel[d] - 1) * v.dilation[d] + 1;
        low[d] = v.padding[d];
        step[d] = at;
        at *= extent[d];
    }
    const int64_t sample = at;
    // The sum over pixels is cut into blocks, and the blocks into parts that are added in their order.
    const int64_t blocks = ceil_div(all, kPixelsAtOnce);
    const int64_t together = std::min<int64_t>(panels, 8), shares = ceil_div(panels, together);  // panels of one task
    const int64_t parts = std::clamp<int64_t>(ceil_div(16, shares * v.groups), 1, std::clamp<int64_t>(blocks / 2, 1, 8));
    Workspace staged(v.n * sample * item), sums(parts * v.o * k * item);
    GilRelease unlocked(parallel);
    each(v.n * extent[0], parallel, [&](int64_t task) {
        const int64_t n = task / extent[0], e0 = task % extent[0], i0 = e0 - low[0];
        for (int64_t e1 = 0; e1 < extent[1]; ++e1) {
            const int64_t i1 = e1 - low[1];
            char* line = staged.data + (n * sample + e0 * step[0] + e1 * step[1]) * item;
            if (i0 < 0 || i0 >= v.in[0] || i1 < 0 || i1 >= v.in[1]) {
                std::memset(line, 0, size_t(extent[2] * v.c * item));
                continue;
            }
            const char* source = x.data + (n * x.n + i0 * x.s[0] + i1 * x.s[1]) * item;
            const int64_t begin = std::min(low[2], extent[2]), count = std::min(v.in[2], extent[2] - begin), end = begin + count;
            if (begin) std::memset(line, 0, size_t(begin * v.c * item));
            if (v.c == 1) copy_line(item, source, x.s[2], line + begin * item, count);
            else kit.transpose(source, x.c * item, line + begin * v.c * item, v.c * item, v.c, count);
            if (end < extent[2]) std::memset(line + end * v.c * item, 0, size_t((extent[2] - end) * v.c * item));
        }
    });
    const bool merged = v.groups == 1 && v.dilation[2] == 1;  // neighbours along a kernel's line follow each other
    const int64_t run = merged ? channels * v.kernel[2] : channels;
    auto place_of = [&](int64_t j) {  // of a step of the sum's other side: kernel position, then channel
        const int64_t tap = j / channels, e = tap % v.kernel[2], b = tap / v.kernel[2] % v.kernel[1], a = tap / v.kernel[2] / v.kernel[1];
        return a * v.dilation[0] * step[0] + b * v.dilation[1] * step[1] + e * v.dilation[2] * step[2] + j % channels;
    };
    const int64_t tiles = ceil_div(rows, compute.rows);
    const bool rows_lie = (gradient.s[2] == 1 || v.out[2] == 1) && (v.out[1] == 1 || gradient.s[1] == v.out[2]) &&
                          (v.out[0] == 1 || gradient.s[0] == v.out[1] * v.out[2]);
    each(parts * v.groups * shares, parallel, [&](int64_t task) {
        const int64_t which = task / shares / v.groups, g = task / shares % v.groups, share = task % shares;
        const int64_t j0 = part(panels, shares, share), j1 = part(panels, shares, share + 1);
        char* c = sums.data + (which * v.o + g * rows) * k * item;
        for (int64_t row = 0; row < rows; ++row)
            std::memset(c + (row * k + j0 * panel) * item, 0, size_t((std::min(k, j1 * panel) - j0 * panel) * item));
        char* packed = scratch(kPixelsAtOnce * panel * item + 256, kSlotPanel);
        constexpr int64_t kRow = kPixelsAtOnce + 16;
        char* held = scratch(rows * kRow * item + 256, kSlotStage);
        int64_t offsets[kPixelsAtOnce];
        for (int64_t block = part(blocks, parts, which); block < part(blocks, parts, which + 1); ++block) {
            const int64_t q0 = block * kPixelsAtOnce, count = std::min(kPixelsAtOnce, all - q0);
            int64_t n = q0 / pixels;
            const int64_t rest = q0 % pixels;
            int64_t w = rest % v.out[2], h = rest / v.out[2] % v.out[1], d = rest / v.out[2] / v.out[1];
            const char* a = held;
            int64_t a_row = kRow * item;
            const char* first = gradient.data + (n * gradient.n + g * rows * gradient.c) * item;
            if (rows_lie && n == (q0 + count - 1) / pixels && gradient.c * item % 2048) {
                a = first + rest * item;
                a_row = gradient.c * item;
            }
            for (int64_t i = 0; i < count;) {
                const int64_t line = std::min(count - i, rows_lie ? pixels - (d * v.out[1] + h) * v.out[2] - w : v.out[2] - w);
                if (a == held) {
                    const char* from = first + (d * gradient.s[0] + h * gradient.s[1] + w * gradient.s[2]) * item;
                    for (int64_t row = 0; row < rows; ++row)
                        copy_line(item, from + row * gradient.c * item, rows_lie ? 1 : gradient.s[2], held + (row * kRow + i) * item, line);
                }
                for (int64_t left = line; left > 0; --left) {
                    offsets[i++] = (n * sample + d * v.stride[0] * step[0] + h * v.stride[1] * step[1] + w * v.stride[2] * step[2]) * item;
                    if (++w < v.out[2]) continue;
                    w = 0;
                    if (++h < v.out[1]) continue;
                    h = 0;
                    if (++d < v.out[0]) continue;
                    d = 0, ++n, first += gradient.n * item;
                }
            }
            for (int64_t j = j0; j < j1; ++j) {
                const int64_t from = j * panel, width = std::min(panel, k - from), vectors = ceil_div(width, compute.lanes);
                for (int64_t i = 0; i < width;) {
                    const int64_t length = std::min(width - i, run - (from + i) % run);
                    kit.own.gather(count, staged.data + (g * channels + place_of(from + i)) * item, offsets, packed + i * item,
                                   panel * item, length);
                    i += length;
                }
                const bool partial = width != vectors * compute.lanes;
                for (int64_t t = 0; t < tiles; ++t) {
                    const int64_t start = part(rows, tiles, t), taken = part(rows, tiles, t + 1) - start;
                    char* to = c + (start * k + from) * item;
                    compute.tiles[taken - 1][vectors - 1][partial](count, a + start * a_row, a_row, item, packed, panel * item, to,
                                                                   k * item, to, k * item, width);
                }
            }
        }
    });
    // Parts together, and from (position, channel) to (channel, position).
    each(v.o, parallel && v.o * k > 16384, [&](int64_t o) {
        char* row = sums.data + o * k * item;
        with_type(v.dtype, [&](auto zero) {
            using T = decltype(zero);
            T* sum = reinterpret_cast<T*>(row);
            for (int64_t i = 1; i < parts; ++i)
                for (int64_t j = 0; j < k; ++j) sum[j] += sum[i * v.o * k + j];
        });
        char* to = weight + o * k * item;
        if (taps == 1 || channels == 1) std::memcpy(to, row, size_t(k * item));
        else kit.transpose(row, channels * item, to, taps * item, taps, channels);
    });
}

}  // namespace flambeau
