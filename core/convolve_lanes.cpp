// Depthwise convolutions with channels next to each other: a vector holds one pixel of as many channels as it has lanes.
//
// Planes are turned a strip of lines at a time, into lines of pixels with their borders of zeros, and back. No lane ever
// holds what is no pixel, strides cost nothing, and small planes waste nothing. It is not: few channels, three dimensions, or
// several channels out for one (convolve_kernels.cpp). Called by the three executors.
#include "convolve_lanes.h"

#include <vector>

namespace flambeau {

namespace {

constexpr int64_t kStripBytes = int64_t{96} << 10;  // of staged lines: they stay in the second-level cache

struct Lines {  // how one operand's planes are staged: zeros around, `width` pixels a line
    const Field& f;
    int64_t height_in, width_in, low[2], width;
};

/// Lines [first, first + rows) of channels [c, c + channels) of sample n.
void stage_lines(const Kit& kit, const Lines& s, int64_t n, int64_t c, int64_t channels, int64_t first, int64_t rows, char* to) {
    const int64_t item = kit.item, pixel = kit.inner.compute.lanes * item, line = s.width * pixel;
    const char* plane = s.f.data + (n * s.f.n + c * s.f.c) * item;
    const int64_t begin = std::min(std::max<int64_t>(s.low[1], 0), s.width), skip = std::max<int64_t>(-s.low[1], 0);
    const int64_t count = std::max<int64_t>(0, std::min(s.width_in - skip, s.width - begin));
    const int64_t top = std::clamp<int64_t>(s.low[0] - first, 0, rows);
    const int64_t bottom = std::clamp<int64_t>(s.height_in + s.low[0] - first, top, rows);
    const int64_t source = first + top - s.low[0];
    std::memset(to, 0, size_t(top * line));
    std::memset(to + bottom * line, 0, size_t((rows - bottom) * line));
    // Short lines that follow each other are turned together.
    const bool together = s.width_in < 16 && skip == 0 && s.f.s[1] == s.width_in && s.f.s[2] == 1 && bottom > top;
    const char* turned = nullptr;
    if (together) {
        const int64_t pixels = (bottom - top) * s.width_in;
        char* room = scratch(pixels * pixel + 256, kSlotPanel);
        kit.transpose(plane + source * s.width_in * item, s.f.c * item, room, pixel, channels, pixels);
        turned = room;
    }
    for (int64_t row = top; row < bottom; ++row) {
        char* at = to + row * line;
        std::memset(at, 0, size_t(begin * pixel));
        if (turned) std::memcpy(at + begin * pixel, turned + (row - top) * s.width_in * pixel, size_t(count * pixel));
        else if (count)
            kit.transpose(plane + ((source + row - top) * s.f.s[1] + skip) * item, s.f.c * item, at + begin * pixel, pixel, channels, count);
        std::memset(at + (begin + count) * pixel, 0, size_t((s.width - begin - count) * pixel));
    }
}

/// The weights with channels last: for each block of channels, (taps, lanes).
void turn_weights(const Kit& kit, const Convolution& v, const char* weight, char* to) {
    const int64_t lanes = kit.inner.compute.lanes, taps = v.taps();
    std::memset(to, 0, size_t(ceil_div(v.c, lanes) * taps * lanes * kit.item));
    for (int64_t c = 0; c < v.c; c += lanes)
        kit.transpose(weight + c * taps * kit.item, taps * kit.item, to + c * taps * kit.item, lanes * kit.item, std::min(lanes, v.c - c), taps);
}

/// The taps that one phase of the result's lines and of their pixels sums, and where its first pixel lies.
struct LanePass {
    std::vector<char> weights;  // a block's (taps, lanes)
    std::vector<int64_t> taps, offsets;
    int64_t first[2], count[2], step[2], source_step[2];
};

struct Job {
    Lines lines;
    std::vector<LanePass> passes;
    int64_t height, width;  // of the result's planes
    // Lines of the source for result lines [a, b): from `from(a)` on.
    int64_t scale_up, scale_down, reach;  // first source line = a * scale_up / scale_down, `reach` more for the last
};

void run(const Kit& kit, const Convolution& v, const Job& job, const char* weights, const char* bias, const Field& y, bool parallel) {
    const int64_t item = kit.item, lanes = kit.inner.compute.lanes, pixel = lanes * item, taps = v.taps();
    const int64_t blocks = ceil_div(v.c, lanes), line = job.lines.width * pixel;
    const int64_t unit = job.scale_down;  // strips begin where every phase does
    int64_t strip = std::clamp<int64_t>(kStripBytes / line * job.scale_down / job.scale_up, 4, job.height);
    strip = ceil_div(strip, unit) * unit;
    const int64_t strips = ceil_div(job.height, strip);
    each(v.n * blocks * strips, parallel, [&](int64_t task) {
        const int64_t n = task / strips / blocks, block = task / strips % blocks, h0 = task % strips * strip;
        const int64_t h1 = std::min(job.height, h0 + strip), c = block * lanes, channels = std::min(lanes, v.c - c);
        const int64_t s0 = h0 * job.scale_up / job.scale_down, rows = ceil_div((h1 - 1 - h0) * job.scale_up, job.scale_down) + 1 + job.reach;
        char* staged = scratch(rows * line + 256, kSlotStage);
        char* result = scratch((h1 - h0) * job.width * pixel + 256, kSlotEdges);
        char* start = scratch(pixel + 256, kSlotStrip + 1);
        std::memset(start, 0, size_t(pixel));
        if (bias) std::memcpy(start, bias + c * item, size_t(channels * item));
        stage_lines(kit, job.lines, n, c, channels, s0, rows, staged);
        for (const LanePass& p : job.passes) {
            const int64_t k = int64_t(p.taps.size());
            char* chosen = scratch(k * pixel + 256, kSlotPanel);
            for (int64_t t = 0; t < k; ++t)
                std::memcpy(chosen + t * pixel, weights + (block * taps + p.taps[size_t(t)]) * pixel, size_t(pixel));
            // Lines of this phase inside the strip.
            const int64_t i0 = std::max<int64_t>(0, ceil_div(h0 - p.first[0], p.step[0]));
            for (int64_t i = i0; i < p.count[0] && p.first[0] + i * p.step[0] < h1; ++i)
                kit.own.lanes(p.count[1], k, chosen, p.offsets.data(), staged + (i * p.source_step[0] - s0) * line,
                              p.source_step[1] * pixel, start,
                              result + ((p.first[0] + i * p.step[0] - h0) * job.width + p.first[1]) * pixel, p.step[1] * pixel);
        }
        kit.transpose(result, pixel, y.data + (n * y.n + c * y.c + h0 * job.width) * item, y.c * item, (h1 - h0) * job.width, channels);
    });
}

int64_t extent_of(const Convolution& v, int d) { return (v.out[d] - 1) * v.stride[d] + (v.kernel[d] - 1) * v.dilation[d] + 1; }

}  // namespace

bool in_lanes(const Kit& kit, const Convolution& v) {
    return v.o == v.c && v.c >= kit.inner.compute.lanes / 2 && v.in[0] == 1 && v.kernel[0] == 1 && v.out[0] == 1 && v.padding[0] == 0;
}

int64_t lanes_bytes(const Kit& kit, const Convolution& v) {
    return ceil_div(v.c, kit.inner.compute.lanes) * v.taps() * kit.inner.compute.lanes * kit.item;
}

void lanes_forward(const Kit& kit, const Convolution& v, const Field& x, const char* weight, const char* bias, const Field& y,
                   char* room, bool parallel) {
    const int64_t pixel = kit.inner.compute.lanes * kit.item;
    turn_weights(kit, v, weight, room);
    Job job{{x, v.in[1], v.in[2], {v.padding[1], v.padding[2]}, extent_of(v, 2)}, {}, v.out[1], v.out[2], v.stride[1], 1,
            (v.kernel[1] - 1) * v.dilation[1]};
    LanePass p{{}, {}, {}, {0, 0}, {v.out[1], v.out[2]}, {1, 1}, {v.stride[1], v.stride[2]}};
    for (int64_t a = 0; a < v.kernel[1]; ++a)
        for (int64_t b = 0; b < v.kernel[2]; ++b) {
            p.taps.push_back(a * v.kernel[2] + b);
            p.offsets.push_back((a * v.dilation[1] * job.lines.width + b * v.dilation[2]) * pixel);
        }
    job.passes.push_back(std::move(p));
    run(kit, v, job, room, bias, y, parallel);
}

void lanes_back(const Kit& kit, const Convolution& v, const Field& gradient, const char* weight, const char* bias, const Field& x,
                char* room, bool parallel) {
    const int64_t pixel = kit.inner.compute.lanes * kit.item;
    turn_weights(kit, v, weight, room);
    int64_t low[2], extent[2];
    const std::vector<Phase> phases[2] = {phases_of(v, 1, low[0], extent[0]), phases_of(v, 2, low[1], extent[1])};
    // A strip of lines that begins at a multiple of the stride reads from that line / stride on.
    Job job{{gradient, v.out[1], v.out[2], {low[0], low[1]}, extent[1] + low[1]}, {}, v.in[1], v.in[2], 1, v.stride[1], 0};
    for (const Phase& a : phases[0])
        for (const Phase& b : phases[1]) {
            LanePass p{{}, {}, {}, {a.first, b.first}, {a.count, b.count}, {v.stride[1], v.stride[2]}, {1, 1}};
            for (auto [ka, ja] : a.taps)
                for (auto [kb, jb] : b.taps) {
                    p.taps.push_back(ka * v.kernel[2] + kb);
                    const int64_t down = a.t + low[0] - ja;
                    job.reach = std::max(job.reach, down + 1);
                    p.offsets.push_back((down * job.lines.width + b.t + low[1] - jb) * pixel);
                }
            job.passes.push_back(std::move(p));
        }
    run(kit, v, job, room, bias, x, parallel);
}

void lanes_weight(const Kit& kit, const Convolution& v, const Field& gradient, const Field& x, char* weight, char* room,
                  int64_t parts, bool parallel) {
    const int64_t item = kit.item, lanes = kit.inner.compute.lanes, pixel = lanes * item, taps = v.taps();
    const int64_t blocks = ceil_div(v.c, lanes), bytes = lanes_bytes(kit, v);
    const Lines source{x, v.in[1], v.in[2], {v.padding[1], v.padding[2]}, extent_of(v, 2)};
    const Lines pixels{gradient, v.out[1], v.out[2], {0, 0}, v.out[2]};
    std::vector<int64_t> offsets;
    for (int64_t a = 0; a < v.kernel[1]; ++a)
        for (int64_t b = 0; b < v.kernel[2]; ++b) offsets.push_back((a * v.dilation[1] * source.width + b * v.dilation[2]) * pixel);
    const int64_t line = source.width * pixel, reach = (v.kernel[1] - 1) * v.dilation[1];
    const int64_t strip = std::clamp<int64_t>(kStripBytes / line / v.stride[1], 4, v.out[1]);
    each(parts * blocks, parallel, [&](int64_t task) {
        const int64_t which = task / blocks, block = task % blocks, c = block * lanes, channels = std::min(lanes, v.c - c);
        char* sums = room + which * bytes + block * taps * pixel;
        std::memset(sums, 0, size_t(taps * pixel));
        for (int64_t n = part(v.n, parts, which); n < part(v.n, parts, which + 1); ++n)
            for (int64_t h = 0; h < v.out[1]; h += strip) {
                const int64_t count = std::min(strip, v.out[1] - h), rows = (count - 1) * v.stride[1] + 1 + reach;
                char* staged = scratch(rows * line + 256, kSlotStage);
                char* g = scratch(count * v.out[2] * pixel + 256, kSlotEdges);
                stage_lines(kit, source, n, c, channels, h * v.stride[1], rows, staged);
                stage_lines(kit, pixels, n, c, channels, h, count, g);
                for (int64_t t = 0; t < taps; t += kMostLaneSums)
                    kit.own.lane_sums[std::min(taps - t, kMostLaneSums) - 1](
                        count, v.out[2], offsets.data() + t, staged, v.stride[1] * line, v.stride[2] * pixel, g, v.out[2] * pixel,
                        sums + t * pixel);
            }
    });
    for (int64_t c = 0; c < v.c; c += lanes) {
        char* total = room + c * taps * item;
        for (int64_t i = 1; i < parts; ++i) kit.own.add(taps * lanes, total + i * bytes, total);
        kit.transpose(total, pixel, weight + c * taps * item, taps * item, taps, std::min(lanes, v.c - c));
    }
}

}  // namespace flambeau
