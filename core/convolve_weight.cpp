// The gradient of a convolution's weight: sums over pixels, (channels out) x (kernel positions, channels in).
//
// The input is staged with channels last, so that the line of values that one pixel gives to a kernel position is
// contiguous; the rows of the gradient are read as they lie where they can be. Sums are cut at fixed numbers of pixels.
#include <vector>

#include "convolve_lanes.h"

namespace flambeau {

namespace {

constexpr int64_t kPixelsAtOnce = 256;  // length of one block of a sum over pixels
constexpr int64_t kPanelsAtOnce = 8;    // panels of one task
constexpr int64_t kTasks = 16;          // so many are enough for any number of threads

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

/// How the sum over pixels is cut: into blocks, of one sample each unless samples are small.
struct Blocks {
    int64_t plane, all, each, count;
    Blocks(int64_t samples, int64_t plane_)
        : plane(plane_), all(samples * plane_), each(plane >= kPixelsAtOnce / 2 ? ceil_div(plane, kPixelsAtOnce) : 0),
          count(each ? samples * each : ceil_div(all, kPixelsAtOnce)) {}
    struct Block { int64_t n, first, pixels; };
    Block operator()(int64_t b) const {
        if (each) return {b / each, part(plane, each, b % each), part(plane, each, b % each + 1) - part(plane, each, b % each)};
        const int64_t at = b * kPixelsAtOnce;
        return {at / plane, at % plane, std::min(kPixelsAtOnce, all - at)};
    }
};

/// The rows of the gradient, block by block: read as they lie, or copied once where they are in pieces or compete for the
/// same places of the cache.
struct Rows {
    const Convolution& v;
    const Field& gradient;
    const Blocks& blocks;
    int64_t item;
    bool lie, direct;  // pixels of a sample follow each other; nothing is copied
    static constexpr int64_t kRow = kPixelsAtOnce + 16;
    char* copies = nullptr;
    Rows(const Kit& kit, const Convolution& v_, const Field& f, const Blocks& b) : v(v_), gradient(f), blocks(b), item(kit.item) {
        lie = (f.s[2] == 1 || v.out[2] == 1) && (v.out[1] == 1 || f.s[1] == v.out[2]) && (v.out[0] == 1 || f.s[0] == v.out[1] * v.out[2]);
        direct = lie && blocks.each && f.c * item % 2048;
    }
    int64_t bytes() const { return direct ? 0 : blocks.count * v.o * kRow * item; }
    int64_t stride() const { return direct ? gradient.c * item : kRow * item; }
    const char* row(const Blocks::Block& block, int64_t b, int64_t o) const {
        if (direct) return gradient.data + (block.n * gradient.n + o * gradient.c + block.first) * item;
        return copies + (b * v.o + o) * kRow * item;
    }
    void copy(bool parallel) const {
        if (direct) return;
        const int64_t pieces = ceil_div(v.o, 32);
        each(blocks.count * pieces, parallel, [&](int64_t task) {
            const int64_t b = task / pieces, piece = task % pieces;
            const Blocks::Block block = blocks(b);
            for (int64_t o = part(v.o, pieces, piece); o < part(v.o, pieces, piece + 1); ++o) {
                char* to = copies + (b * v.o + o) * kRow * item;
                int64_t n = block.n, at = block.first;
                for (int64_t left = block.pixels; left > 0;) {
                    const int64_t w = at % v.out[2], h = at / v.out[2] % v.out[1], d = at / v.out[2] / v.out[1];
                    const int64_t line = std::min(left, lie ? blocks.plane - at : v.out[2] - w);
                    const int64_t from = n * gradient.n + o * gradient.c + (lie ? at : d * gradient.s[0] + h * gradient.s[1] + w * gradient.s[2]);
                    copy_line(item, gradient.data + from * item, lie ? 1 : gradient.s[2], to, line);
                    to += line * item, left -= line, at += line;
                    if (at == blocks.plane) at = 0, ++n;
                }
            }
        });
    }
};

/// The input with channels last and zeros around it; distances in elements.
struct Turned {
    const Convolution& v;
    int64_t pixel, extent[3], step[3], sample;
    char* data = nullptr;
    /// Lines of pixels that begin at whole vectors may be apart: not all of them then want the same places of the cache.
    Turned(const Kit& kit, const Convolution& v_, bool apart) : v(v_), pixel(v_.c) {
        if (apart && pixel * kit.item % 128 == 0) pixel += 64 / kit.item;
        int64_t at = pixel;
        for (int d = 2; d >= 0; --d) {
            extent[d] = (v.out[d] - 1) * v.stride[d] + (v.kernel[d] - 1) * v.dilation[d] + 1;
            step[d] = at;
            at *= extent[d];
        }
        sample = at;
    }
    void fill(const Kit& kit, const Field& x, bool parallel) const {
        const int64_t item = kit.item;
        each(v.n * extent[0], parallel, [&](int64_t task) {
            const int64_t n = task / extent[0], e0 = task % extent[0], i0 = e0 - v.padding[0];
            for (int64_t e1 = 0; e1 < extent[1]; ++e1) {
                const int64_t i1 = e1 - v.padding[1];
                char* line = data + (n * sample + e0 * step[0] + e1 * step[1]) * item;
                if (i0 < 0 || i0 >= v.in[0] || i1 < 0 || i1 >= v.in[1]) {
                    std::memset(line, 0, size_t(extent[2] * pixel * item));
                    continue;
                }
                const char* source = x.data + (n * x.n + i0 * x.s[0] + i1 * x.s[1]) * item;
                const int64_t begin = std::min(v.padding[2], extent[2]), count = std::min(v.in[2], extent[2] - begin), end = begin + count;
                if (begin) std::memset(line, 0, size_t(begin * pixel * item));
                if (v.c == 1) copy_line(item, source, x.s[2], line + begin * item, count);
                else kit.transpose(source, x.c * item, line + begin * pixel * item, pixel * item, v.c, count);
                if (end < extent[2]) std::memset(line + end * pixel * item, 0, size_t((extent[2] - end) * pixel * item));
            }
        });
    }
    /// Where the kernel's position `tap` reads, from where its first one does.
    int64_t place(int64_t tap) const {
        const int64_t e = tap % v.kernel[2], b = tap / v.kernel[2] % v.kernel[1], a = tap / v.kernel[2] / v.kernel[1];
        return a * v.dilation[0] * step[0] + b * v.dilation[1] * step[1] + e * v.dilation[2] * step[2];
    }
    /// Bytes from the start to what the pixels of a block read, and some beyond that may be asked for.
    void offsets(int64_t item, const Blocks::Block& block, int64_t* to) const {
        int64_t n = block.n, w = block.first % v.out[2], h = block.first / v.out[2] % v.out[1], d = block.first / v.out[2] / v.out[1];
        for (int64_t i = 0; i < block.pixels; ++i) {
            to[i] = (n * sample + d * v.stride[0] * step[0] + h * v.stride[1] * step[1] + w * v.stride[2] * step[2]) * item;
            if (++w < v.out[2]) continue;
            w = 0;
            if (++h < v.out[1]) continue;
            h = 0;
            if (++d < v.out[0]) continue;
            d = 0, ++n;
        }
        for (int64_t i = 0; i < kSumAhead; ++i) to[block.pixels + i] = to[block.pixels - 1];
    }
};

/// sums[o] += the gradient's pixels of a block, for rows [o, o + count) of `a`: while they are near for the products.
void add_rows(const Kit& kit, uint8_t dtype, const char* a, int64_t a_row, int64_t pixels, int64_t count, const char* ones, char* sums) {
    for (int64_t row = 0; row < count;) {
        alignas(8) char found[32];
        const int64_t taken = count - row >= 4 ? 4 : 1;
        const auto dots = taken == 4 ? kit.inner.memory.dots_many : kit.inner.memory.dots_one;
        dots(pixels, a + row * a_row, a_row, ones, found);
        with_type(dtype, [&](auto zero) {
            using T = decltype(zero);
            for (int64_t i = 0; i < taken; ++i) reinterpret_cast<T*>(sums)[row + i] += reinterpret_cast<T*>(found)[i];
        });
        row += taken;
    }
}

/// The sums of the gradient's pixels for the bias, in as many parts as those of the weight.
struct PixelSums {
    uint8_t dtype;
    int64_t channels, item;
    std::vector<char> ones, sums;
    PixelSums(const Kit& kit, const Convolution& v, int64_t parts, bool wanted)
        : dtype(v.dtype), channels(v.o), item(kit.item), ones(wanted ? kPixelsAtOnce * item : 0), sums(wanted ? parts * channels * item : 0) {
        with_type(dtype, [&](auto zero) {
            for (size_t i = 0; i < ones.size() / size_t(item); ++i) reinterpret_cast<decltype(zero)*>(ones.data())[i] = 1;
        });
    }
    void add(const Kit& kit, int64_t part, const Blocks::Block& block, const char* a, int64_t a_row, int64_t first, int64_t count) {
        if (!ones.empty()) add_rows(kit, dtype, a, a_row, block.pixels, count, ones.data(), sums.data() + (part * channels + first) * item);
    }
    void finish(int64_t parts, char* bias);
};

/// to[i] = sum over parts, `apart` values from each other, in their order.
void add_parts(uint8_t dtype, char* to, int64_t parts, int64_t apart, int64_t n) {
    with_type(dtype, [&](auto zero) {
        using T = decltype(zero);
        T* sum = reinterpret_cast<T*>(to);
        for (int64_t i = 1; i < parts; ++i)
            for (int64_t j = 0; j < n; ++j) sum[j] += sum[i * apart + j];
    });
}

void PixelSums::finish(int64_t parts, char* bias) {
    if (ones.empty()) return;
    add_parts(dtype, sums.data(), parts, channels, channels);
    std::memcpy(bias, sums.data(), size_t(channels * item));
}

/// Channels that fill vectors: the lines of the input are read where they lie. A task takes some chunks of channels, a
/// panel's width each, at all of the kernel's positions, so that what it summed is turned while it is near.
void weight_in_place(const Kit& kit, const Convolution& v, const Field& gradient, const Field& x, char* weight, char* bias, bool parallel) {
    const int64_t item = kit.item, panel = kit.panel, lanes = kit.inner.compute.lanes;
    const int64_t channels = v.c / v.groups, rows = v.o / v.groups, taps = v.taps(), most = kit.inner.compute.rows;
    const Blocks blocks(v.n, v.plane());
    Rows left(kit, v, gradient, blocks);
    Turned right(kit, v, true);
    const int64_t chunks = ceil_div(channels, panel), together = std::clamp<int64_t>(kPanelsAtOnce / taps, 1, chunks);
    const int64_t shares = ceil_div(chunks, together), line = together * taps * panel;  // of a row's sums in a task
    const int64_t parts = std::clamp<int64_t>(ceil_div(kTasks, shares * v.groups), 1, std::clamp<int64_t>(blocks.count / 2, 1, 8));
    const int64_t size = rows * line, tasks = v.groups * shares;  // a task's sums
    Workspace turned(v.n * right.sample * item), copies(left.bytes()), sums(parts > 1 ? parts * tasks * size * item : 0);
    right.data = turned.data, left.copies = copies.data;
    PixelSums over(kit, v, parts, bias);
    GilRelease unlocked(parallel);
    left.copy(parallel);
    right.fill(kit, x, parallel);
    const int64_t tiles = ceil_div(rows, most);
    /// A row of a task's sums to its place among the weights: from (position, channel) to (channel, position).
    auto turn = [&](int64_t task, int64_t row, const char* from) {
        const int64_t g = task / shares, share = task % shares;
        for (int64_t chunk = part(chunks, shares, share); chunk < part(chunks, shares, share + 1); ++chunk) {
            const int64_t c = chunk * panel, taken = std::min(panel, channels - c);
            char* to = weight + ((g * rows + row) * channels + c) * taps * item;
            if (taps == 1) std::memcpy(to, from, size_t(taken * item));
            else kit.transpose(from, panel * item, to, taps * item, taps, taken);
            from += taps * panel * item;
        }
    };
    each(parts * tasks, parallel, [&](int64_t number) {
        const int64_t which = number / tasks, task = number % tasks, g = task / shares, share = task % shares;
        const int64_t chunk0 = part(chunks, shares, share), chunk1 = part(chunks, shares, share + 1);
        char* c = parts > 1 ? sums.data + number * size * item : scratch(size * item + 256, kSlotStage);
        char* zeros = scratch(panel * item + 256, kSlotPanel);
        std::memset(zeros, 0, size_t(panel * item));
        int64_t offsets[kPixelsAtOnce + kSumAhead];
        const int64_t first = part(blocks.count, parts, which), last = part(blocks.count, parts, which + 1);
        for (int64_t b = first; b < last; ++b) {
            const Blocks::Block block = blocks(b);
            right.offsets(item, block, offsets);
            const char* a = left.row(block, b, g * rows);
            if (share == 0) over.add(kit, which, block, a, left.stride(), g * rows, rows);
            for (int64_t chunk = chunk0; chunk < chunk1; ++chunk)
                for (int64_t tap = 0; tap < taps; ++tap) {
                    const int64_t vectors = std::min(panel, channels - chunk * panel) / lanes;
                    const char* source = right.data + (g * channels + chunk * panel + right.place(tap)) * item;
                    char* at = c + ((chunk - chunk0) * taps + tap) * panel * item;
                    for (int64_t t = 0; t < tiles; ++t) {
                        const int64_t start = part(rows, tiles, t), taken = part(rows, tiles, t + 1) - start;
                        char* to = at + start * line * item;
                        kit.own.sums[taken - 1][vectors - 1](block.pixels, a + start * left.stride(), left.stride(), source, offsets,
                                                             b == first ? zeros : to, b == first ? 0 : line * item, to, line * item);
                    }
                }
        }
        if (parts == 1)
            for (int64_t row = 0; row < rows; ++row) turn(task, row, c + row * line * item);
    });
    if (parts > 1)
        each(tasks * rows, parallel && tasks * size > 16384, [&](int64_t at) {
            char* row = sums.data + at * line * item;
            add_parts(v.dtype, row, parts, tasks * size, line);
            turn(at / rows, at % rows, row);
        });
    over.finish(parts, bias);
}

/// Any channels: what the kernel's positions read is gathered, a panel at a time.
void weight_gathered(const Kit& kit, const Convolution& v, const Field& gradient, const Field& x, char* weight, char* bias, bool parallel) {
    const int64_t item = kit.item, panel = kit.panel, channels = v.c / v.groups, rows = v.o / v.groups, taps = v.taps();
    const int64_t k = channels * taps, panels = ceil_div(k, panel);
    const auto& compute = kit.inner.compute;
    const Blocks blocks(v.n, v.plane());
    Rows left(kit, v, gradient, blocks);
    Turned right(kit, v, false);
    const int64_t shares = ceil_div(panels, std::min(panels, kPanelsAtOnce));
    const int64_t parts = std::clamp<int64_t>(ceil_div(kTasks, shares * v.groups), 1, std::clamp<int64_t>(blocks.count / 2, 1, 8));
    Workspace turned(v.n * right.sample * item), copies(left.bytes()), sums(parts * v.o * k * item);
    right.data = turned.data, left.copies = copies.data;
    PixelSums over(kit, v, parts, bias);
    GilRelease unlocked(parallel);
    left.copy(parallel);
    right.fill(kit, x, parallel);
    const bool merged = v.groups == 1 && v.dilation[2] == 1;  // neighbours along a kernel's line follow each other
    const int64_t run = merged ? channels * v.kernel[2] : channels, tiles = ceil_div(rows, compute.rows);
    each(parts * v.groups * shares, parallel, [&](int64_t task) {
        const int64_t which = task / shares / v.groups, g = task / shares % v.groups, share = task % shares;
        const int64_t j0 = part(panels, shares, share), j1 = part(panels, shares, share + 1);
        char* c = sums.data + (which * v.o + g * rows) * k * item;
        char* packed = scratch(kPixelsAtOnce * panel * item + 256, kSlotPanel);
        char* zeros = scratch(panel * item + 256, kSlotEdges);
        std::memset(zeros, 0, size_t(panel * item));
        int64_t offsets[kPixelsAtOnce + kSumAhead];
        const int64_t begin = part(blocks.count, parts, which), end = part(blocks.count, parts, which + 1);
        for (int64_t b = begin; b < end; ++b) {
            const Blocks::Block block = blocks(b);
            right.offsets(item, block, offsets);
            const char* a = left.row(block, b, g * rows);
            if (share == 0) over.add(kit, which, block, a, left.stride(), g * rows, rows);
            for (int64_t j = j0; j < j1; ++j) {
                const int64_t from = j * panel, width = std::min(panel, k - from), vectors = ceil_div(width, compute.lanes);
                for (int64_t i = 0; i < width;) {
                    const int64_t length = std::min(width - i, run - (from + i) % run);
                    const int64_t at = g * channels + right.place((from + i) / channels) + (from + i) % channels;
                    kit.own.gather(block.pixels, right.data + at * item, offsets, packed + i * item, panel * item, length);
                    i += length;
                }
                const bool partial = width != vectors * compute.lanes;
                for (int64_t t = 0; t < tiles; ++t) {
                    const int64_t start = part(rows, tiles, t), taken = part(rows, tiles, t + 1) - start;
                    char* to = c + (start * k + from) * item;
                    compute.tiles[taken - 1][vectors - 1][partial](block.pixels, a + start * left.stride(), left.stride(), item, packed,
                                                                   panel * item, b == begin ? zeros : to, b == begin ? 0 : k * item,
                                                                   to, k * item, width);
                }
            }
        }
    });
    // Parts together, and from (position, channel) to (channel, position).
    each(v.o, parallel && v.o * k > 16384, [&](int64_t o) {
        char* row = sums.data + o * k * item;
        add_parts(v.dtype, row, parts, v.o * k, k);
        char* to = weight + o * k * item;
        if (taps == 1 || channels == 1) std::memcpy(to, row, size_t(k * item));
        else kit.transpose(row, channels * item, to, taps * item, taps, channels);
    });
    over.finish(parts, bias);
}

}  // namespace

bool sums_pixels(const Convolution& v) { return !depthwise(v); }

void convolve_weight(const Convolution& v, const Field& gradient, const Field& x, char* weight, char* bias) {
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
    const auto run = v.c / v.groups % kit.inner.compute.lanes == 0 ? weight_in_place : weight_gathered;
    run(kit, v, gradient, x, weight, bias, parallel);
}

}  // namespace flambeau
