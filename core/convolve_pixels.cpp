// Convolutions whose products have pixels as their rows: a value of the staged lines is multiplied with a vector of
// channels, so that nothing is packed but the weights. The result is turned to rows of pixels a piece at a time.
#include "convolve_pass.h"

namespace flambeau {

namespace {

constexpr int64_t kLeastSum = 128;   // shorter sums do not pay for turning the result
constexpr int64_t kLeastTile = 3;    // pixels that keep the arithmetic busy
constexpr int64_t kLinesAhead = 2;   // between asking for lines and reading them

/// Asks for what line `line`, counted through the samples, adds to the channels of steps [k0, k0 + k) of the sum.
void fetch_line(const Pass& p, int64_t item, const char* source, int64_t source_n, int64_t samples, int64_t line, int64_t k0, int64_t k) {
    const int64_t lines = p.grid[0] * p.grid[1], sample = line / lines;
    if (sample >= samples) return;
    line %= lines;
    source += sample * source_n + line / p.grid[1] * p.step[0] + line % p.grid[1] * p.step[1];
    for (int64_t i = k0 + (p.taps - 1 - k0 % p.taps); i < k0 + k; i += p.taps)
        for (int64_t at = 0; at < p.grid[2] * item + 63; at += 64) __builtin_prefetch(source + p.offsets[size_t(i)] + at, 0, 2);
}

}  // namespace

bool by_pixels(const Kit& kit, const Pass& p) {
    if (p.grid[0] * p.grid[1] == 1 && p.grid[2] >= 2 * kit.panel) return false;  // one long line is packed at little cost
    // Lanes without a channel cost as much as packing a panel, which pieces of short lines make dearer.
    const int64_t lanes = kit.inner.compute.lanes, idle = ceil_div(p.rows, lanes) * lanes - p.rows;
    const int64_t tile = PixelTiles(kit, p).lines * p.grid[2];
    return p.plane && p.k >= kLeastSum && idle <= (p.grid[2] < 16 ? lanes * 5 / 4 : lanes * 5 / 8) && (tile >= kLeastTile || p.rows <= 4 * lanes);
}

PixelTiles::PixelTiles(const Kit& kit, const Pass& p)
    : lines(p.grid[2] * 2 <= kit.inner.compute.rows && p.grid[1] > 1 ? 2 : 1),
      pieces(ceil_div(p.grid[2], kit.inner.compute.rows)), groups(ceil_div(p.grid[1], lines)) {
    count = p.grid[0] * groups * pieces;
}

void run_pixels(const Kit& kit, const Pass& p, const char* source, int64_t source_n, char* y, bool fetch, int64_t samples,
                int64_t first, int64_t last) {
    struct Tile {
        const char* source;
        int64_t lines, pixels, line;  // `pixels` of each line
    };
    const int64_t item = kit.item, width = kit.panel * item, blocks = ceil_div(p.k, kit.inner.block_k), plane = p.pixels();
    const PixelTiles shape(kit, p);
    auto pixel = [&](int64_t tile) {  // counted through the samples
        const int64_t rest = tile % shape.count, piece = rest % shape.pieces, group = rest / shape.pieces % shape.groups;
        return tile / shape.count * plane + rest / shape.pieces / shape.groups * p.grid[1] * p.grid[2] +
               group * shape.lines * p.grid[2] + part(p.grid[2], shape.pieces, piece);
    };
    const int64_t begin = pixel(first), end = pixel(last);
    char* sums = scratch((end - begin) * width + 256, kSlotEdges);
    char* start = scratch(width + 256, kSlotStrip);
    Tile tiles[kMostTiles];
    for (int64_t i = first; i < last; ++i) {
        const int64_t rest = i % shape.count, piece = rest % shape.pieces, group = rest / shape.pieces % shape.groups;
        const int64_t d = rest / shape.pieces / shape.groups, h = group * shape.lines, w = part(p.grid[2], shape.pieces, piece);
        tiles[i - first] = {source + i / shape.count * source_n + d * p.step[0] + h * p.step[1] + w * item,
                            std::min(shape.lines, p.grid[1] - h), part(p.grid[2], shape.pieces, piece + 1) - w,
                            piece ? -1 : i / shape.count * p.grid[0] * p.grid[1] + d * p.grid[1] + h};
    }
    for (int64_t row = 0; row < p.rows; row += kit.panel) {
        const int64_t taken = std::min(kit.panel, p.rows - row), vectors = ceil_div(taken, kit.inner.compute.lanes);
        std::memset(start, 0, size_t(width));
        if (p.bias) std::memcpy(start, p.bias + row * item, size_t(taken * item));
        for (int64_t block = 0; block < blocks; ++block) {
            const int64_t k0 = part(p.k, blocks, block), k = part(p.k, blocks, block + 1) - k0;
            const char* columns = p.columns + row * p.k * item + k0 * width;
            char* to = sums;
            for (int64_t i = 0; i < last - first; ++i) {
                const Tile& tile = tiles[i];
                if (fetch && row == 0 && tile.line >= 0) fetch_line(p, item, source, source_n, samples, tile.line + kLinesAhead, k0, k);
                kit.own.pixels[tile.lines - 1][tile.pixels - 1][vectors - 1](
                    k, tile.source, p.step[1], p.offsets.data() + k0, columns, block ? to : start, block ? width : 0, to);
                to += tile.lines * tile.pixels * width;
            }
        }
        for (int64_t at = begin; at < end;) {
            const int64_t sample = at / plane, many = std::min(end, (sample + 1) * plane) - at;
            kit.transpose(sums + (at - begin) * width, width, y + sample * p.y_n + row * p.y_row + at % plane * item, p.y_row, many, taken);
            at += many;
        }
    }
}

}  // namespace flambeau
