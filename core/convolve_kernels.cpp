// The blocking of convolutions.
//
// A convolution is a product of the weights, (channels out) x (channels in x kernel positions), with a matrix whose
// columns are output pixels. That matrix is never made: an operand is staged once, with its borders of zeros and with
// strided lines pulled apart, so that every kernel position reads a shifted copy of the same lines; a panel of it, one
// block of the sum by as many pixels as a register tile has columns, is packed into the first-level cache, multiplied
// with all rows of the packed weights by the tiles of contract.h, and forgotten.
//
// The gradient of the input is the same product over the gradient, once for each phase of the strides. The gradient of
// the weight sums over pixels: the input is staged with channels last, so that a line of the panel is contiguous.
// Most passes have pixels as the rows of that product instead, and pack nothing but weights (convolve_pixels.cpp). Depthwise
// convolutions have channels in the lanes of a vector (convolve_lanes.cpp), few rows are summed line by line (below).
#include "convolve_kernels.h"

#include <stdexcept>
#include <vector>

#include "convolve_lanes.h"
#include "convolve_pass.h"

namespace flambeau {

void (*request_convolve_kernels)(uint8_t dtype) = nullptr;

namespace {

constexpr int64_t kStageBytes = int64_t{1} << 20;  // samples staged together by one thread: they stay in its cache
constexpr int64_t kPanelsAtOnce = 8;               // panels that share one pass over a block of the weights

constexpr int64_t kRowsAhead = 3;                  // rows of the weights between asking for lines and reading them
constexpr int64_t kFewRows = 3;                    // rows that are not worth a packed panel
constexpr int64_t kTilesAtOnce = 40;               // tiles of pixels that are summed up before they are turned
constexpr int64_t kFetchAhead = 2;                 // panels between asking for lines and reading them

constexpr int64_t kFewPanels = 16;                 // panels of pixels that packing the weights costs more than it saves

bool own_ready[10];

struct Segment {
    int64_t lane, count, source, y;  // source and y in bytes
};

/// The pieces of lines that the pixels [first, first + count) lie in; with the offsets of their samples.
int segments(const Pass& p, int64_t item, int64_t source_n, int64_t first, int64_t count, Segment* into) {
    const int64_t pixels = p.pixels();
    int64_t sample = first / pixels, rest = first % pixels;
    int64_t w = rest % p.grid[2], h = rest / p.grid[2] % p.grid[1], d = rest / p.grid[2] / p.grid[1];
    int found = 0;
    for (int64_t lane = 0; lane < count;) {
        const int64_t take = std::min(count - lane, p.grid[2] - w);
        into[found++] = {lane, take, sample * source_n + d * p.step[0] + h * p.step[1] + w * item,
                         sample * p.y_n + d * p.y_step[0] + h * p.y_step[1] + w * p.y_step[2]};
        lane += take;
        w = 0;
        if (++h == p.grid[1]) {
            h = 0;
            if (++d == p.grid[0]) d = 0, ++sample;
        }
    }
    return found;
}

/// Asks for what pixel `q` and the next `count` add to the lines in the cache: the last tap's of every channel.
void fetch_ahead(const Pass& p, int64_t item, const char* source, int64_t source_n, int64_t q, int64_t count, int64_t k0, int64_t k) {
    Segment first, pieces[64];
    const int found = segments(p, item, source_n, q, count, pieces);
    first = pieces[0];
    const int64_t span = std::min<int64_t>(pieces[found - 1].source + pieces[found - 1].count * item - first.source, 256);
    if (span <= 0) return;
    for (int64_t i = k0 + (p.taps - 1 - k0 % p.taps); i < k0 + k; i += p.taps)
        for (int64_t at = 0; at < span + 63; at += 64) __builtin_prefetch(source + first.source + p.offsets[size_t(i)] + at, 0, 2);
}

/// Panels [first, last) of the pixels of `samples` samples, tiles [t0, t1) of the rows. `source` is the first sample's.
void run_pass(const Kit& kit, const Pass& p, const char* source, int64_t source_n, char* y, int64_t samples, int64_t first,
              int64_t last, int64_t t0, int64_t t1) {
    const int64_t item = kit.item, panel = kit.panel, all = samples * p.pixels(), width = panel * item;
    const auto& compute = kit.inner.compute;
    const int64_t tiles = ceil_div(p.rows, compute.rows), row0 = part(p.rows, tiles, t0), row1 = part(p.rows, tiles, t1);
    const int64_t blocks = std::max<int64_t>(1, ceil_div(p.k, kit.inner.block_k)), held = row1 - row0;
    char* packed = scratch(std::min(p.k, kit.inner.block_k + 1) * width + 256, kSlotPanel);
    char* edges = scratch((last - first) * held * width + 256, kSlotEdges);
    Segment pieces[64];
    for (int64_t block = 0; block < blocks; ++block) {
        const int64_t k0 = part(p.k, blocks, block), k = part(p.k, blocks, block + 1) - k0;
        for (int64_t i = first; i < last; ++i) {
            const int64_t q = i * panel, count = std::min(panel, all - q);
            const int found = segments(p, item, source_n, q, count, pieces);
            if (p.taps && q + kFetchAhead * panel < all)
                fetch_ahead(p, item, source, source_n, q + kFetchAhead * panel, std::min(panel, all - q - kFetchAhead * panel), k0, k);
            for (int s = 0; s < found; ++s)
                kit.own.gather(k, source + pieces[s].source, p.offsets.data() + k0, packed + pieces[s].lane * item, width,
                               pieces[s].count);
            const bool inside = p.plane && q / p.pixels() == (q + count - 1) / p.pixels();
            char* c = inside ? y + pieces[0].y + row0 * p.y_row : edges + (i - first) * held * width;
            const int64_t c_row = inside ? p.y_row : width;
            const char* init = block ? c : p.init + row0 * width;
            const int64_t init_row = block ? c_row : width, vectors = ceil_div(count, compute.lanes);
            const bool partial = count != vectors * compute.lanes;
            if (k == 0) {  // no position of the kernel reaches this phase
                for (int64_t row = 0; row < held; ++row)
                    std::memcpy(c + row * c_row, init + row * init_row, size_t(count * item));
            } else {
                for (int64_t t = t0; t < t1; ++t) {
                    const int64_t start = part(p.rows, tiles, t), rows = part(p.rows, tiles, t + 1) - start;
                    const char* a = p.matrix ? p.matrix + start * p.matrix_row + k0 * item : p.packed + (k0 * p.rows + start * k) * item;
                    compute.tiles[rows - 1][vectors - 1][partial](
                        k, a, p.matrix ? p.matrix_row : item, p.matrix ? item : rows * item, packed, width,
                        init + (start - row0) * init_row, init_row, c + (start - row0) * c_row, c_row, count);
                }
            }
            if (inside || block + 1 < blocks) continue;
            for (int64_t row = 0; row < held; ++row)
                for (int s = 0; s < found; ++s) {
                    const char* from = c + row * width + pieces[s].lane * item;
                    char* to = y + pieces[s].y + (row0 + row) * p.y_row;
                    copy_line(item, from, 1, to, pieces[s].count, p.y_step[2] / item);
                }
        }
    }
}

/// Packs the rows of a matrix the way `run_pass` reads them. `tile(row, rows, k0, k, to)` writes lines of `rows` values.
template <class Tile>
void pack_rows(const Kit& kit, char* packed, int64_t rows, int64_t k, bool parallel, Tile&& tile) {
    const int64_t blocks = ceil_div(k, kit.inner.block_k), tiles = ceil_div(rows, kit.inner.compute.rows);
    each(blocks * tiles, parallel, [&](int64_t task) {
        const int64_t i = task / blocks, block = task % blocks;  // rows are read on
        const int64_t k0 = part(k, blocks, block), count = part(k, blocks, block + 1) - k0;
        const int64_t start = part(rows, tiles, i), taken = part(rows, tiles, i + 1) - start;
        tile(start, taken, k0, count, packed + (k0 * rows + start * count) * kit.item);
    });
}

/// The same from a matrix whose rows lie along a line for each of `outer` steps of the sum, which is read in its order.
/// `lines(outer step, first, many, row, rows, to)` writes lines of `rows` values for some of its `inner` steps.
template <class Lines>
void pack_columns(const Kit& kit, char* packed, int64_t rows, int64_t outer, int64_t inner, bool parallel, Lines&& lines) {
    const int64_t k = outer * inner, blocks = ceil_div(k, kit.inner.block_k), tiles = ceil_div(rows, kit.inner.compute.rows);
    each(ceil_div(outer, 8), parallel, [&](int64_t task) {
        int64_t block = 0;
        for (int64_t o = task * 8; o < std::min(outer, task * 8 + 8); ++o)
            for (int64_t i = o * inner; i < (o + 1) * inner;) {
                while (i >= part(k, blocks, block + 1)) ++block;
                const int64_t k0 = part(k, blocks, block), end = part(k, blocks, block + 1), many = std::min(end, (o + 1) * inner) - i;
                for (int64_t t = 0; t < tiles; ++t) {
                    const int64_t start = part(rows, tiles, t), taken = part(rows, tiles, t + 1) - start;
                    lines(o, i - o * inner, many, start, taken, packed + (k0 * rows + start * (end - k0) + (i - k0) * taken) * kit.item);
                }
                i += many;
            }
    });
}

/// A panel's width of every channel's bias, or zeros.
void fill_init(const Kit& kit, const char* bias, int64_t channels, char* to) {
    const int64_t width = kit.panel * kit.item;
    if (!bias) return void(std::memset(to, 0, size_t(channels * width)));
    for (int64_t i = 0; i < channels; ++i)
        for (int64_t j = 0; j < kit.panel; ++j) std::memcpy(to + i * width + j * kit.item, bias + i * kit.item, size_t(kit.item));
}

/// Stages the samples and runs every pass of every group over them; how tasks are cut changes no bit.
void run_passes(const Kit& kit, const Stage& stage, const Field& f, int64_t samples, int64_t channels, int64_t groups,
                const std::vector<Pass>& passes, int64_t passes_each, bool parallel, char* shared) {
    const int64_t item = kit.item, sample_bytes = stage.direct ? 0 : channels * stage.channel * item;
    const int64_t channel = stage.channel * item, threads = parallel ? thread_count() : 1;
    int64_t pixels = 1;
    for (const Pass& p : passes) pixels = std::max(pixels, p.pixels());
    int64_t together = stage.direct ? ceil_div(1024, pixels) : std::max<int64_t>(1, kStageBytes / std::max<int64_t>(1, sample_bytes));
    together = std::min(together, std::max<int64_t>(ceil_div(256, pixels), samples / (4 * threads)));
    together = std::clamp<int64_t>(together, 1, samples);
    const int64_t units = ceil_div(samples, together);
    auto source_of = [&](const char* staged, int64_t sample, int64_t group) {
        const int64_t c = channels / groups * group;
        return stage.direct ? f.data + sample * f.n * item + c * f.c * item : staged + c * channel;
    };
    const int64_t source_n = stage.direct ? f.n * item : sample_bytes;
    if (threads == 1 || units >= 2 * threads) {
        each(units, parallel, [&](int64_t unit) {
            const int64_t begin = unit * together, count = std::min(together, samples - begin);
            char* staged = nullptr;
            if (!stage.direct) {
                staged = scratch(count * sample_bytes + 256, kSlotStage);
                for (int64_t i = 0; i < count * channels; ++i)
                    stage.fill(kit, f.data + ((begin + i / channels) * f.n + i % channels * f.c) * item, f, staged + i * channel);
            }
            for (int64_t at = 0; at < groups * passes_each; ++at) {
                const Pass& p = passes[at];
                if (p.columns) {
                    for (int64_t t = 0, tiles = count * PixelTiles(kit, p).count; t < tiles; t += kTilesAtOnce)
                        run_pixels(kit, p, source_of(staged, begin, at / passes_each), source_n, p.y + begin * p.y_n,
                                   p.taps && stage.direct, stage.direct ? samples - begin : count, t, std::min(tiles, t + kTilesAtOnce));
                    continue;
                }
                const int64_t panels = ceil_div(count * p.pixels(), kit.panel);
                for (int64_t i = 0; i < panels; i += kPanelsAtOnce)
                    run_pass(kit, p, source_of(staged, begin, at / passes_each), source_n, p.y + begin * p.y_n, count, i,
                             std::min(panels, i + kPanelsAtOnce), 0, ceil_div(p.rows, kit.inner.compute.rows));
            }
        });
        return;
    }
    if (!stage.direct)
        each(samples * channels, parallel, [&](int64_t i) {
            stage.fill(kit, f.data + (i / channels * f.n + i % channels * f.c) * item, f, shared + i * channel);
        });
    for (int64_t at = 0; at < groups * passes_each; ++at) {
        const Pass& p = passes[at];
        if (p.columns) {
            const int64_t all = samples * PixelTiles(kit, p).count;
            const int64_t parts = std::max(ceil_div(all, kTilesAtOnce), std::min(ceil_div(all, 4), 4 * threads));
            each(parts, parallel, [&](int64_t i) {
                run_pixels(kit, p, source_of(shared, 0, at / passes_each), source_n, p.y, false, samples, part(all, parts, i), part(all, parts, i + 1));
            });
            continue;
        }
        const int64_t panels = ceil_div(samples * p.pixels(), kit.panel), tiles = ceil_div(p.rows, kit.inner.compute.rows);
        // Tasks share a block of the weights among panels first, and cut the rows before they give that up.
        int64_t chunk = std::min(panels, kPanelsAtOnce), shares = 1;
        while (ceil_div(panels, chunk) * shares < 4 * threads && tiles >= 6 * shares) shares *= 2;
        while (ceil_div(panels, chunk) * shares < 4 * threads && chunk > 1) --chunk;
        const int64_t chunks = ceil_div(panels, chunk);
        each(chunks * shares, parallel, [&](int64_t task) {
            const int64_t i = task / shares * chunk, share = task % shares;
            run_pass(kit, p, source_of(shared, 0, at / passes_each), source_n, p.y, samples, i, std::min(panels, i + chunk),
                     part(tiles, shares, share), part(tiles, shares, share + 1));
        });
    }
}

// --- few channels out ------------------------------------------------------------------------------------------------

/// Whether so few rows share what would be packed that lines are better summed as they are staged; `bytes` of a group.
bool few_rows(int64_t rows, int64_t bytes, const Convolution& v) {
    return rows <= kFewRows && bytes <= kStageBytes && v.n * v.groups >= 4 && v.in[2] >= 4;
}

/// The passes of one plane with one row each, as sums of shifted lines; `source` has room behind its end.
void run_taps(const Kit& kit, const Pass& p, const char* weights, const char* bias, const char* source, char* y) {
    const int64_t item = kit.item;
    alignas(8) static constexpr char zero[8] = {};
    const int64_t pitch = p.grid[1] > 1 ? p.step[1] / item : p.grid[2];
    const int64_t length = ceil_div((p.grid[1] - 1) * pitch + p.grid[2], kit.own.step) * kit.own.step;
    char* line = scratch(length * item + 256, kSlotPanel);
    for (int64_t d = 0; d < p.grid[0]; ++d) {
        kit.own.taps(length, p.k, weights, p.offsets.data(), source + d * p.step[0], bias ? bias : zero, line);
        for (int64_t h = 0; h < p.grid[1]; ++h) {
            const char* from = line + h * pitch * item;
            char* to = y + d * p.y_step[0] + h * p.y_step[1];
            copy_line(item, from, 1, to, p.grid[2], p.y_step[2] / item);
        }
    }
}

/// `inputs` channels of the source go into each of the `outputs` channels of a group.
void run_lines(const Kit& kit, const Stage& stage, const Field& f, int64_t samples, int64_t groups, int64_t inputs,
                   int64_t outputs, const std::vector<Pass>& passes, const std::vector<std::vector<char>>& weights,
                   const char* bias, bool parallel) {
    const int64_t item = kit.item, channel = stage.channel * item, count = int64_t(passes.size());
    const int64_t planes = samples * groups, most = std::max<int64_t>(1, 32768 / std::max<int64_t>(1, stage.channel));
    each(ceil_div(planes, most), parallel, [&](int64_t task) {
        char* staged = scratch(inputs * channel + kit.own.step * item + 256, kSlotStage);
        for (int64_t i = task * most; i < std::min(planes, (task + 1) * most); ++i) {
            const int64_t sample = i / groups, group = i % groups;
            for (int64_t j = 0; j < inputs; ++j)
                stage.fill(kit, f.data + (sample * f.n + (group * inputs + j) * f.c) * item, f, staged + j * channel, i == task * most);
            for (int64_t at = 0; at < count; ++at) {
                const Pass& p = passes[at];
                for (int64_t row = 0; row < outputs; ++row) {
                    const int64_t c = group * outputs + row;
                    run_taps(kit, p, weights[at].data() + c * p.k * item, bias ? bias + c * item : nullptr, staged,
                             p.y + sample * p.y_n + c * p.y_row);
                }
            }
        }
    });
}

}  // namespace

ConvolveKernels own_kernels[10];

Kit kit_for(uint8_t dtype) {
    ensure_contraction_kernels(dtype);
    if (!own_ready[dtype] && request_convolve_kernels) request_convolve_kernels(dtype);
    if (!own_ready[dtype]) throw std::runtime_error("convolution: the compiler gave no kernels for this dtype");
    return Kit(dtype);
}

void register_convolve_kernels(uint8_t dtype, void* table) {
    reinterpret_cast<void (*)(void*)>(table)(&own_kernels[dtype]);
    own_ready[dtype] = true;
}

void convolve_forward(const Convolution& v, const Field& x, const char* weight, const char* bias, const Field& y) {
    const Kit kit = kit_for(v.dtype);
    const int64_t item = kit.item, channels = v.c / v.groups, rows = v.o / v.groups, taps = v.taps(), k = channels * taps;
    if (depthwise(v) && in_lanes(kit, v)) {
        const bool parallel = work_of(v) > kConvolveSerialWork;
        Workspace room(lanes_bytes(kit, v));
        GilRelease unlocked(parallel);
        return lanes_forward(kit, v, x, weight, bias, y, room.data, parallel);
    }
    int64_t extent[3];
    for (int d = 0; d < 3; ++d) extent[d] = (v.out[d] - 1) * v.stride[d] + (v.kernel[d] - 1) * v.dilation[d] + 1;
    Stage stage(v.in, extent, v.stride, v.kernel, v.dilation, v.padding, x);
    const bool parallel = work_of(v) > kConvolveSerialWork, alone = depthwise(v) || few_rows(rows, channels * stage.channel * item, v);
    if (alone && stage.direct) {  // its lines are read past their end: a copy has room
        const int64_t low[3] = {0, 0, 1};
        ++extent[2];
        stage = Stage(v.in, extent, v.stride, v.kernel, v.dilation, low, x);
    }
    const bool shifted = alone && stage.low[2] != v.padding[2];
    Workspace packed(alone ? 0 : std::max(v.o * k * item, v.groups * columns_bytes(kit, rows, k))), init(alone ? 0 : v.o * kit.panel * item);
    Workspace shared(alone || stage.direct ? 0 : v.n * v.c * stage.channel * item);
    GilRelease unlocked(parallel);

    Pass p;
    p.k = k, p.rows = rows, p.taps = taps;
    for (int64_t c = 0; c < channels; ++c)
        for (int64_t a = 0; a < v.kernel[0]; ++a)
            for (int64_t b = 0; b < v.kernel[1]; ++b)
                for (int64_t e = 0; e < v.kernel[2]; ++e)
                    p.offsets.push_back((c * stage.channel + stage.place(0, a * v.dilation[0]) +
                                         stage.place(1, b * v.dilation[1]) + stage.place(2, e * v.dilation[2] + shifted)) * item);
    for (int d = 0; d < 3; ++d) p.grid[d] = v.out[d], p.step[d] = stage.step[d] * item, p.y_step[d] = y.s[d] * item;
    p.y = y.data, p.y_n = y.n * item, p.y_row = y.c * item;
    if (alone) {
        std::vector<std::vector<char>> weights{std::vector<char>(weight, weight + v.o * k * item)};
        return run_lines(kit, stage, x, v.n, v.groups, channels, rows, {p}, weights, bias, parallel);
    }
    p.finish(item);
    fill_init(kit, bias, v.o, init.data);
    // For few pixels the weights are read as they lie, unless their rows compete for the same places of the cache.
    const bool in_place = ceil_div(v.n * v.plane(), kit.panel) <= kFewPanels && k * item % 2048;
    std::vector<Pass> passes;
    for (int64_t g = 0; g < v.groups; ++g) {
        passes.push_back(p);
        Pass& each_pass = passes.back();
        each_pass.packed = packed.data + g * rows * k * item;
        each_pass.init = init.data + g * rows * kit.panel * item;
        each_pass.y = y.data + g * rows * y.c * item;
        const char* matrix = weight + g * rows * k * item;
        if (by_pixels(kit, p)) {
            char* columns = packed.data + g * columns_bytes(kit, rows, k);
            each_pass.columns = columns;
            each_pass.bias = bias ? bias + g * rows * item : nullptr;
            pack_panels(kit, columns, rows, k, parallel && rows * k > 16384, [&](int64_t row, int64_t taken, char* to) {
                kit.transpose(matrix + row * k * item, k * item, to, kit.panel * item, taken, k);
            });
            continue;
        }
        if (in_place) {
            each_pass.matrix = matrix, each_pass.matrix_row = k * item;
            continue;
        }
        pack_rows(kit, packed.data + g * rows * k * item, rows, k, parallel && rows * k > 16384,
                  [&](int64_t row, int64_t taken, int64_t k0, int64_t count, char* to) {
                      kit.transpose(matrix + (row * k + k0) * item, k * item, to, taken * item, taken, count);
                  });
    }
    run_passes(kit, stage, x, v.n, v.c, v.groups, passes, 1, parallel, shared.data);
}

void convolve_back(const Convolution& v, const Field& gradient, const char* weight, const char* bias, const Field& x) {
    const Kit kit = kit_for(v.dtype);
    const int64_t item = kit.item, rows = v.c / v.groups, sums = v.o / v.groups, taps = v.taps();
    const bool parallel = work_of(v) > kConvolveSerialWork;
    if (depthwise(v) && in_lanes(kit, v)) {
        Workspace room(lanes_bytes(kit, v));
        GilRelease unlocked(parallel);
        return lanes_back(kit, v, gradient, weight, bias, x, room.data, parallel);
    }
    std::vector<Phase> phases[3];
    int64_t low[3], extent[3], ones[3] = {1, 1, 1};
    for (int d = 0; d < 3; ++d) phases[d] = phases_of(v, d, low[d], extent[d]);
    const bool alone = depthwise(v) || few_rows(rows, sums * v.plane() * item, v);
    if (alone) low[2] = std::max<int64_t>(low[2], 1);  // never read in place
    for (int d = 0; d < 3; ++d) extent[d] += low[d];
    const Stage stage(v.out, extent, ones, ones, ones, low, gradient);

    Workspace packed(alone ? 0 : std::max(v.o * rows * taps * item, v.groups * columns_bytes(kit, rows, sums * taps)));
    Workspace init(alone ? 0 : v.c * kit.panel * item), shared(alone || stage.direct ? 0 : v.n * v.o * stage.channel * item);
    GilRelease unlocked(parallel);
    if (!alone) {
        fill_init(kit, bias, v.c, init.data);
    }
    std::vector<Pass> passes;
    std::vector<std::vector<char>> weights;
    const int64_t groups = alone ? 1 : v.groups;
    for (int64_t g = 0; g < groups; ++g) {
        char* room = packed.data + g * sums * rows * taps * item;
        for (const Phase& a : phases[0])
            for (const Phase& b : phases[1])
                for (const Phase& e : phases[2]) {
                    Pass p;
                    std::vector<int64_t> positions, places;  // of the kernel, and what they read
                    const Phase* three[3] = {&a, &b, &e};
                    for (auto [ka, ja] : a.taps)
                        for (auto [kb, jb] : b.taps)
                            for (auto [ke, je] : e.taps) {
                                positions.push_back((ka * v.kernel[1] + kb) * v.kernel[2] + ke);
                                places.push_back((a.t + low[0] - ja) * stage.step[0] + (b.t + low[1] - jb) * stage.step[1] +
                                                 (e.t + low[2] - je) * stage.step[2]);
                            }
                    const int64_t reached = int64_t(positions.size());
                    for (int64_t o = 0; o < sums; ++o)
                        for (int64_t at : places) p.offsets.push_back((at + o * stage.channel) * item);
                    p.k = reached * sums, p.rows = rows;
                    p.y = x.data + g * rows * x.c * item, p.y_n = x.n * item, p.y_row = x.c * item;
                    for (int d = 0; d < 3; ++d) {
                        p.grid[d] = three[d]->count;
                        p.step[d] = stage.step[d] * item;
                        p.y += three[d]->first * x.s[d] * item;
                        p.y_step[d] = v.stride[d] * x.s[d] * item;
                    }
                    if (alone) {
                        std::vector<char> values(size_t(v.c * p.k * item));
                        for (int64_t c = 0; c < v.c; ++c)
                            for (int64_t i = 0; i < p.k; ++i) {
                                const int64_t o = c / rows * sums + i / reached;
                                std::memcpy(values.data() + (c * p.k + i) * item,
                                            weight + ((o * rows + c % rows) * taps + positions[size_t(i % reached)]) * item, size_t(item));
                            }
                        weights.push_back(std::move(values));
                        passes.push_back(std::move(p));
                        continue;
                    }
                    p.finish(item);
                    p.init = init.data + g * rows * kit.panel * item;
                    p.packed = room;
                    const char* matrix = weight + g * sums * rows * taps * item;
                    if (reached == taps && by_pixels(kit, p)) {  // one phase: no strides
                        char* columns = packed.data + g * columns_bytes(kit, rows, p.k);
                        p.columns = columns;
                        p.bias = bias ? bias + g * rows * item : nullptr;
                        pack_panels(kit, columns, rows, p.k, parallel && rows * p.k > 16384, [&](int64_t row, int64_t taken, char* to) {
                            if (taps == 1)
                                return kit.inner.compute.panel(sums, matrix + row * item, rows * item, to, kit.panel * item, taken);
                            for (int64_t o = 0; o < sums; ++o) {
                                const char* from = matrix + (o * rows + row) * taps * item;
                                for (int64_t at = 0; at < taken * taps * item; at += 64)  // far from what is read now
                                    __builtin_prefetch(from + kRowsAhead * rows * taps * item + at);
                                kit.transpose(from, taps * item, to + o * taps * kit.panel * item, kit.panel * item, taken, taps);
                            }
                        });
                        passes.push_back(std::move(p));
                        continue;
                    }
                    pack_columns(kit, room, rows, sums, reached, parallel && rows * p.k > 16384,
                                 [&](int64_t o, int64_t j, int64_t many, int64_t row, int64_t taken, char* to) {
                                     const char* from = matrix + (o * rows + row) * taps * item;
                                     if (taps == 1) return void(std::memcpy(to, from, size_t(taken * item)));
                                     if (reached == taps) return kit.transpose(from + j * item, taps * item, to, taken * item, taken, many);
                                     for (int64_t i = 0; i < many; ++i)
                                         copy_line(item, from + positions[size_t(j + i)] * item, taps, to + i * taken * item, taken);
                                 });
                    room += p.k * rows * item;
                    passes.push_back(std::move(p));
                }
    }
    if (alone) return run_lines(kit, stage, gradient, v.n, v.groups, sums, rows, passes, weights, bias, parallel);
    run_passes(kit, stage, gradient, v.n, v.o, v.groups, passes, int64_t(passes.size()) / v.groups, parallel, shared.data);
}

}  // namespace flambeau
