// One pass of a convolution over staged lines, and the executor whose products have pixels as their rows.
// It is not: the staging (convolve_stage.h) or the choice of passes (convolve_kernels.cpp, which alone includes it beside
// convolve_pixels.cpp).
#pragma once
#include <vector>

#include "convolve_stage.h"

namespace flambeau {

/// One product over staged lines: y[n, row, pixel] = init[row] + sum over k of a[row, k] * source[place(pixel) + offset[k]].
struct Pass {
    std::vector<int64_t> offsets;  // of k, in bytes, for the first pixel
    int64_t k = 0, rows = 0;
    const char* packed = nullptr;  // blocks of k, in them tiles, in them lines of a tile's rows
    const char* init = nullptr;    // a panel's width of each row's starting value
    int64_t grid[3], step[3];      // pixels, and bytes between them in the source
    char* y = nullptr;
    int64_t y_n, y_row, y_step[3];  // bytes
    bool plane = false;             // the pixels of a row of y are contiguous
    int64_t taps = 0;               // where the sum is over (channel, taps) in this order, else 0
    const char* matrix = nullptr;   // rows of the weights as they lie, `matrix_row` bytes apart, read where not packed
    int64_t matrix_row = 0;
    const char* columns = nullptr;  // where pixels are the rows of the product: panels of the weights, in them lines of k
    const char* bias = nullptr;     // then each row's, or null
    int64_t pixels() const { return grid[0] * grid[1] * grid[2]; }

    void finish(int64_t item) {
        plane = y_step[2] == item && (grid[1] == 1 || y_step[1] == grid[2] * item) &&
                (grid[0] == 1 || y_step[0] == grid[1] * grid[2] * item);
        for (int d = 2; d > 0; --d)  // lines that follow each other are one
            if ((grid[d - 1] == 1 || step[d - 1] == grid[d] * step[d]) &&
                (grid[d - 1] == 1 || y_step[d - 1] == grid[d] * y_step[d])) {
                grid[d] *= grid[d - 1], grid[d - 1] = 1;
                if (d == 2 && grid[0] > 1) std::swap(grid[0], grid[1]), step[1] = step[0], y_step[1] = y_step[0];
            }
    }
};

/// Whether a pass is quicker with pixels as the rows of its products and channels as the columns: no line is packed, but
/// lines must not be short, nor the sums, which pay for turning the result.
bool by_pixels(const Kit&, const Pass&);
inline int64_t columns_bytes(const Kit& kit, int64_t rows, int64_t k) { return ceil_div(rows, kit.panel) * kit.panel * k * kit.item; }
/// `line(first row, rows, to)` writes a panel of the weights, lines of a panel's width for each step of the sum.
template <class Panel>
void pack_panels(const Kit& kit, char* to, int64_t rows, int64_t k, bool parallel, Panel&& write) {
    each(ceil_div(rows, kit.panel), parallel, [&](int64_t j) {
        const int64_t taken = std::min(kit.panel, rows - j * kit.panel);
        char* panel = to + j * k * kit.panel * kit.item;
        if (taken < kit.panel) std::memset(panel, 0, size_t(k * kit.panel * kit.item));
        write(j * kit.panel, taken, panel);
    });
}
constexpr int64_t kMostTiles = 64;
struct PixelTiles {  // how a sample's pixels fall into tiles: two short lines or a piece of one
    int64_t lines, pieces, groups, count;
    PixelTiles(const Kit&, const Pass&);
};
/// Tiles [first, last), at most kMostTiles, counted through the samples from `source` and `y` on; `samples` may be read,
/// and with `fetch` lines are asked for before they are.
void run_pixels(const Kit&, const Pass&, const char* source, int64_t source_n, char* y, bool fetch, int64_t samples,
                int64_t first, int64_t last);

}  // namespace flambeau
