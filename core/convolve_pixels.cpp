// Convolutions whose products have pixels as their rows: a value of the staged lines is multiplied with a vector of
// channels, so that nothing is packed but the weights. The result is turned to rows of pixels a piece at a time.
#include "convolve_pass.h"

namespace flambeau {

namespace {

constexpr int64_t kMostRows = 96;    // with more rows a packed panel is used often enough
constexpr int64_t kLeastSum = 128;   // shorter sums do not pay for turning the result
constexpr int64_t kLeastLine = 7;    // pixels that keep the arithmetic busy
constexpr int64_t kLinesAhead = 2;   // between asking for lines and reading them

/// Asks for what line `line` adds to the channels of steps [k0, k0 + k) of the sum.
void fetch_line(const Pass& p, int64_t item, const char* source, const char* next, int64_t line, int64_t k0, int64_t k) {
    const int64_t lines = p.grid[0] * p.grid[1];
    if (line >= lines) {
        if (!next || line >= 2 * lines) return;
        source = next, line -= lines;
    }
    source += line / p.grid[1] * p.step[0] + line % p.grid[1] * p.step[1];
    for (int64_t i = k0 + (p.taps - 1 - k0 % p.taps); i < k0 + k; i += p.taps)
        for (int64_t at = 0; at < p.grid[2] * item + 63; at += 64) __builtin_prefetch(source + p.offsets[size_t(i)] + at, 0, 2);
}

}  // namespace

bool by_pixels(const Kit& kit, const Pass& p) {
    return p.plane && p.rows >= kit.inner.compute.lanes / 2 && p.rows <= kMostRows && p.k >= kLeastSum && p.grid[2] >= kLeastLine;
}

void run_pixels(const Kit& kit, const Pass& p, const char* source, const char* next, char* y, int64_t first, int64_t last) {
    const int64_t item = kit.item, width = kit.panel * item, blocks = ceil_div(p.k, kit.inner.block_k);
    const int64_t pieces = ceil_div(p.grid[2], kit.inner.compute.rows);
    auto pixel = [&](int64_t tile) { return tile / pieces * p.grid[2] + part(p.grid[2], pieces, tile % pieces); };
    const int64_t begin = pixel(first), count = pixel(last) - begin;
    char* sums = scratch(count * width + 256, kSlotEdges);
    char* start = scratch(width + 256, kSlotStrip);
    for (int64_t row = 0; row < p.rows; row += kit.panel) {
        const int64_t taken = std::min(kit.panel, p.rows - row), vectors = ceil_div(taken, kit.inner.compute.lanes);
        std::memset(start, 0, size_t(width));
        if (p.bias) std::memcpy(start, p.bias + row * item, size_t(taken * item));
        for (int64_t block = 0; block < blocks; ++block) {
            const int64_t k0 = part(p.k, blocks, block), k = part(p.k, blocks, block + 1) - k0;
            const char* columns = p.columns + row * p.k * item + k0 * width;
            char* to = sums;
            for (int64_t tile = first; tile < last; ++tile) {
                const int64_t line = tile / pieces, piece = tile % pieces, w = part(p.grid[2], pieces, piece);
                const int64_t rows = part(p.grid[2], pieces, piece + 1) - w;
                if (p.taps && row == 0 && piece == 0) fetch_line(p, item, source, next, line + kLinesAhead, k0, k);
                kit.own.pixels[rows - 1][vectors - 1](
                    k, source + line / p.grid[1] * p.step[0] + line % p.grid[1] * p.step[1] + w * item, p.offsets.data() + k0,
                    columns, block ? to : start, block ? width : 0, to);
                to += rows * width;
            }
        }
        kit.transpose(sums, width, y + row * p.y_row + begin * item, p.y_row, count, taken);
    }
}

}  // namespace flambeau
