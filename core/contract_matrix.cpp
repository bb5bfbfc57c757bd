// The blocking of matrix products.
//
// A product is cut into tiles of C that fit the vector registers. For large ones K is cut into blocks whose panel of B
// stays near the core, and M into blocks whose part of A stays in the second-level cache; both are packed so that the
// tile kernel reads memory in order. Small ones skip all of it: the tile kernel reads A through any strides and B
// wherever its rows are contiguous, so only a transposed B is copied.
//
// Every element is summed by one chain over each block of K, and the blocks are added in order; where a tile lies, and
// which thread computes it, changes no bit. A block of C is converted and mapped as soon as it is finished.

#include <cstdlib>
#include <cstring>

#include "contract_product.h"
#include "storage.h"

namespace flambeau::contraction {

namespace {

/// Products of at most so many tiles compute the blocks of their sums side by side, at most so many at once.
constexpr int64_t kFewTiles = 8, kMostPieces = 64;

/// What the tiles of one product share. C has contiguous rows of computed values here.
struct Tiling {
    const Product& p;
    const ComputeKernels& kernel;
    char* c;  // null: each block of columns is collected in the thread's own memory
    int64_t c_m;
    const char* init;  // what the first block of K is added to: C itself, a bias or zeros
    int64_t init_m, init_n;
    bool pack_a, pack_b;
    bool stage;  // C is computed apart and then converted or scattered
    int64_t steps;  // of the sum, `depth` elements each
};

/// Copies [rows, count] elements of 2 bytes to contiguous ones.
void gather_pairs(const char* source, int64_t row, int64_t step, int64_t rows, int64_t count, char* to) {
    for (int64_t i = 0; i < rows; ++i, to += count * 2) {
        const char* from = source + i * row;
        for (int64_t x = 0; x < count; ++x, from += step) std::memcpy(to + x * 2, from, 2);
    }
}

/// Pairs of bfloat16: k elements of each of `width` rows or columns.
void pack_pairs(const Product& p, const char* source, int64_t across, int64_t along, int64_t width, int64_t k, char* to,
                int64_t line) {
    const auto& compute = p.kernels->compute;
    if (across != p.item && along != p.item) {
        char* strip = scratch(width * k * p.item + 256, kSlotStrip);
        const bool lines = std::abs(across) < std::abs(along);  // walk memory by the shorter steps
        if (lines)
            gather_pairs(source, along, across, k, width, strip);
        else
            gather_pairs(source, across, along, width, k, strip);
        source = strip;
        across = lines ? p.item : k * p.item;
        along = lines ? width * p.item : p.item;
    }
    if (across == p.item) return compute.panel(k, source, along, to, line, width);
    if (k > 1) compute.transpose(source, across, to, line, width, k / 2);
    for (int64_t i = 0; k % 2 && i < width; ++i) {  // the last element has no partner
        char* pair = to + k / 2 * line + i * 4;
        std::memcpy(pair, source + i * across + (k - 1) * 2, 2);
        std::memset(pair + 2, 0, 2);
    }
}

/// Copies a [width, k] piece to lines of `width` values, one for each step of the sum; k counts elements.
void pack(const Product& p, const char* source, int64_t across, int64_t along, int64_t width, int64_t k, char* to,
          int64_t line) {
    const auto& compute = p.kernels->compute;
    if (compute.depth == 2) return pack_pairs(p, source, across, along, width, k, to, line);
    if (p.same && across == p.item) return compute.panel(k, source, along, to, line, width);
    if (p.same && along == p.item) return compute.transpose(source, across, to, line, width, k);
    if (across == p.item || std::abs(across) <= std::abs(along))
        return p.kernels->memory.widen(k, width, source, along, across, to, line);
    char* strip = scratch(width * k * p.width + 256, kSlotStrip);
    p.kernels->memory.widen(width, k, source, across, along, strip, k * p.width);
    compute.transpose(strip, k * p.width, to, line, width, k);
}

/// How many elements of the sum the steps [k0, k0 + k) hold.
int64_t elements(const Tiling& t, int64_t k0, int64_t k) {
    return std::min(k * t.kernel.depth, t.p.k - k0 * t.kernel.depth);
}

/// A part of A as the tiles of rows [i0, i1) read it: panels of as many rows as each tile has.
char* pack_rows(const Tiling& t, int64_t i0, int64_t i1, int64_t k0, int64_t k) {
    const Product& p = t.p;
    const int64_t rows = i1 - i0, tiles = ceil_div(rows, t.kernel.rows);
    char* packed = scratch(rows * k * p.width + 256, kSlotA);
    for (int64_t i = 0; i < tiles; ++i) {
        const int64_t start = part(rows, tiles, i), count = part(rows, tiles, i + 1) - start;
        pack(p, p.a + (i0 + start) * p.a_m + k0 * t.kernel.depth * p.a_k, p.a_m, p.a_k, count, elements(t, k0, k),
             packed + start * k * p.width, count * p.width);
    }
    return packed;
}

/// The tiles of rows [i0, i1) and columns [j0, j1) for the steps [k0, k0 + k). `packed_a` and `packed_b` hold these rows
/// and these columns, or are null where the operand is read in place.
void multiply_block(const Tiling& t, int64_t i0, int64_t i1, int64_t j0, int64_t j1, int64_t k0, int64_t k,
                    const char* packed_a, const char* packed_b) {
    const Product& p = t.p;
    const int64_t size = p.width, panel = t.kernel.lanes * t.kernel.vectors, depth = t.kernel.depth;
    const int64_t rows = i1 - i0, tiles = ceil_div(rows, t.kernel.rows), panels = ceil_div(j1 - j0, panel);
    const bool first = k0 == 0, last = k0 + k == t.steps;
    // By columns a panel of B stays in the first-level cache for all rows. Where all of B stays in the second it goes by
    // rows: C is then written in the order of memory, which matters for short sums.
    const bool by_rows = panels > 1 && (j1 - j0) * k * size <= p.kernels->second_level / 2;
    const int64_t own_m = by_rows ? panels * panel * size : panel * size;
    char* own = t.c ? nullptr : scratch((by_rows ? ceil_div(rows, tiles) : rows) * own_m + 256, kSlotC);
    const int64_t c_m = own ? own_m : t.c_m, init_m = first ? t.init_m : c_m;
    auto run_tile = [&](int64_t i, int64_t count, int64_t j, char* c) {  // i from i0, j from j0
        const int64_t n = std::min(panel, j1 - j0 - j), vectors = ceil_div(n, t.kernel.lanes);
        const char* b = packed_b ? packed_b + j * k * size : p.b + k0 * p.b_k + (j0 + j) * p.b_n;
        const int64_t b_k = packed_b ? panel * size : p.b_k;
        const char* init = first ? t.init + (i0 + i) * t.init_m + (j0 + j) * t.init_n : c;
        TileKernel tile = t.kernel.tiles[count - 1][vectors - 1][n != vectors * t.kernel.lanes];
        if (packed_a)
            tile(k, packed_a + i * k * size, size, count * size, b, b_k, init, init_m, c, c_m, n);
        else
            tile(k, p.a + (i0 + i) * p.a_m + k0 * depth * p.a_k, p.a_m, p.a_k * depth, b, b_k, init, init_m, c, c_m, n);
    };
    auto finish = [&](int64_t i, int64_t i_end, int64_t j, int64_t j_end, const char* c) {
        if (!last) return;
        i += i0, i_end += i0, j += j0, j_end += j0;
        if (t.stage)
            p.kernels->memory.narrow(i_end - i, j_end - j, p.c + i * p.c_m + j * p.c_n, p.c_m, p.c_n, c, c_m,
                                     p.accumulate);
        p.finish(i, i_end, j, j_end);
    };
    char* corner = own ? own : t.c + i0 * c_m + j0 * size;
    if (by_rows) {
        for (int64_t tile = 0; tile < tiles; ++tile) {
            const int64_t i = part(rows, tiles, tile), count = part(rows, tiles, tile + 1) - i;
            char* c = own ? own : corner + i * c_m;
            for (int64_t j = 0; j < j1 - j0; j += panel) run_tile(i, count, j, c + j * size);
            finish(i, i + count, 0, j1 - j0, c);
        }
        return;
    }
    for (int64_t j = 0; j < j1 - j0; j += panel) {
        char* c = own ? own : corner + j * size;
        for (int64_t tile = 0; tile < tiles; ++tile) {
            const int64_t i = part(rows, tiles, tile), count = part(rows, tiles, tile + 1) - i;
            run_tile(i, count, j, c + i * c_m);
        }
        finish(0, rows, j, std::min(j + panel, j1 - j0), c);
    }
}

/// How rows and columns are shared out; a matter of speed only.
struct Grid {
    int64_t rows, columns;
};

Grid choose_grid(const Tiling& t, int64_t columns, int64_t k, bool parallel) {
    const Product& p = t.p;
    const int64_t panels = ceil_div(columns, t.kernel.lanes * t.kernel.vectors);
    int64_t rows = t.pack_a || t.stage || p.epilogue ? ceil_div(p.m, p.kernels->block_m) : 1;
    if (!parallel || p.m * columns * k + 4 * (p.m * k + p.m * columns) <= kSerialWork / 2) return {rows, 1};
    const int64_t threads = thread_count();
    rows = std::max(rows, std::min(ceil_div(p.m, 4 * t.kernel.rows), 4 * threads));
    if (rows > threads) rows = std::min(ceil_div(rows, threads) * threads, p.m);
    int64_t across = rows >= 2 * threads ? 1 : std::min(panels, ceil_div(4 * threads, rows));
    return {rows, across};
}

void multiply(const Tiling& t, bool parallel) {
    const Product& p = t.p;
    const int64_t size = p.width, panel = t.kernel.lanes * t.kernel.vectors;
    const int64_t blocks = ceil_div(t.steps, p.kernels->block_k);
    auto block_start = [&](int64_t block) { return part(t.steps, blocks, block); };
    auto pack_panel = [&](int64_t j, int64_t j1, int64_t k0, int64_t k, char* to) {
        pack(p, p.b + k0 * t.kernel.depth * p.b_k + j * p.b_n, p.b_n, p.b_k, std::min(panel, j1 - j), elements(t, k0, k), to,
             panel * size);
    };
    // The tiles of columns [j0, j1), for the blocks of K from `first` to `last`, shared out over the threads.
    auto share = [&](int64_t j0, int64_t j1, int64_t first, int64_t last, const char* packed_b) {
        const int64_t panels = ceil_div(j1 - j0, panel);
        const Grid grid = choose_grid(t, j1 - j0, block_start(last) - block_start(first), parallel);
        each(grid.rows * grid.columns, parallel, [&](int64_t task) {
            const int64_t row = task / grid.columns, column = task % grid.columns;
            const int64_t i0 = part(p.m, grid.rows, row), i1 = part(p.m, grid.rows, row + 1);
            const int64_t start = part(panels, grid.columns, column) * panel;
            const int64_t end = std::min(j1 - j0, part(panels, grid.columns, column + 1) * panel);
            for (int64_t block = first; block < last; ++block) {
                const int64_t k0 = block_start(block), k = block_start(block + 1) - k0;
                multiply_block(t, i0, i1, j0 + start, j0 + end, k0, k, t.pack_a ? pack_rows(t, i0, i1, k0, k) : nullptr,
                               packed_b ? packed_b + start * k * size : nullptr);
            }
        });
    };
    if (!t.pack_b) return share(0, p.n, 0, blocks, nullptr);
    const int64_t all_panels = ceil_div(p.n, panel);
    if (p.m <= 2 * p.kernels->block_m && (!parallel || all_panels >= 2 * thread_count())) {
        // Few rows: a panel of B is packed by whoever uses it and is used up at once, from the nearest cache.
        for (int64_t block = 0; block < blocks; ++block) {
            const int64_t k0 = block_start(block), k = block_start(block + 1) - k0;
            const char* packed_a = t.pack_a ? pack_rows(t, 0, p.m, k0, k) : nullptr;
            each(all_panels, parallel, [&](int64_t i) {
                const int64_t j = i * panel;
                char* packed_b = scratch(panel * k * size + 256, kSlotB);
                pack_panel(j, p.n, k0, k, packed_b);
                multiply_block(t, 0, p.m, j, std::min(p.n, j + panel), k0, k, packed_a, packed_b);
            });
        }
        return;
    }
    for (int64_t j0 = 0; j0 < p.n; j0 += p.kernels->block_n) {
        const int64_t j1 = std::min(p.n, j0 + p.kernels->block_n), columns = j1 - j0;
        for (int64_t block = 0; block < blocks; ++block) {
            const int64_t k0 = block_start(block), k = block_start(block + 1) - k0, panels = ceil_div(columns, panel);
            char* packed_b = scratch(panels * panel * k * size + 256, kSlotB);
            each(panels, parallel && columns * k > (int64_t{1} << 15), [&](int64_t i) {
                pack_panel(j0 + i * panel, j1, k0, k, packed_b + i * panel * k * size);
            });
            share(j0, j1, block, block + 1, packed_b);
        }
    }
}

/// A bias for each row: every value of the row starts as that.
void fill_rows(const Product& p, const char* bias, char* c, int64_t c_m) {
    char value[8];
    with_type(p.kind, [&](auto zero) {
        using T = decltype(zero);
        for (int64_t i = 0; i < p.m; ++i) {
            p.kernels->memory.widen(1, 1, bias + i * p.bias_m, 0, 0, value, 0);
            T* row = reinterpret_cast<T*>(c + i * c_m);
            std::fill(row, row + p.n, *reinterpret_cast<T*>(value));
        }
    });
}

/// Packing B costs 2/m of the arithmetic or more, packing A 4/n or more; reading far apart costs more than that only for
/// many tiles. Pairs of A are read in place where they lie side by side.
void choose_packing(Tiling& t) {
    const Product& p = t.p;
    t.pack_b = !p.same || p.b_n != p.item || p.m >= 128;
    const bool conflicts = p.a_m % 2048 == 0 && p.m > 4 && p.k > 16;  // rows that compete for the same cache sets
    const bool in_place = p.same || (t.kernel.depth == 2 && p.a_k == p.item && p.k % 2 == 0);
    t.pack_a = !in_place || p.n >= 256 || (conflicts && p.n >= 64);
}

/// The blocks of a long sum side by side, where there are too few tiles for all threads. Added in order, so that the
/// bits are those of one block after another.
void split_sum(const Product& p, bool parallel) {
    const int64_t depth = p.kernels->compute.depth, steps = ceil_div(p.k, depth), values = p.m * p.n, size = p.width;
    const int64_t blocks = ceil_div(steps, p.kernels->block_k), some = std::min(blocks, kMostPieces);
    char* total = scratch((some + 1) * values * size + 256, kSlotC);
    char* partial = total + values * size;
    const bool onto = p.accumulate && p.same && !p.bias;  // what C holds comes first, as in tiles
    const char* bias = p.bias ? contiguous_bias(p) : nullptr;
    if (onto) p.kernels->memory.widen(p.m, p.n, p.c, p.c_m, p.c_n, total, p.n * size);
    if (!onto && !bias) std::memset(total, 0, static_cast<size_t>(values * size));
    for (int64_t i = 0; bias && i < p.m; ++i)
        std::memcpy(total + i * p.n * size, bias, static_cast<size_t>(p.n * size));
    for (int64_t first = 0; first < blocks; first += some) {
        const int64_t count = std::min(some, blocks - first);
        each(count, parallel, [&](int64_t i) {
            const int64_t k0 = part(steps, blocks, first + i) * depth;
            Product piece = p;
            piece.k = std::min(p.k, part(steps, blocks, first + i + 1) * depth) - k0;
            piece.a += k0 * p.a_k;
            piece.b += k0 * p.b_k;
            piece.c = partial + i * values * size;
            piece.c_m = p.n * size;
            piece.c_n = size;
            piece.computed = true;
            piece.bias = nullptr;
            piece.accumulate = false;
            piece.epilogue = nullptr;
            matrix_product(piece, false);
        });
        with_type(p.kind, [&](auto zero) {
            using T = decltype(zero);
            T* sum = reinterpret_cast<T*>(total);
            const T* pieces = reinterpret_cast<const T*>(partial);
            for (int64_t i = 0; i < count; ++i)
                for (int64_t x = 0; x < values; ++x) sum[x] += pieces[i * values + x];
        });
    }
    p.kernels->memory.narrow(p.m, p.n, p.c, p.c_m, p.c_n, total, p.n * size, p.accumulate && !onto);
    p.finish(0, p.m, 0, p.n);
}

}  // namespace

const char* contiguous_bias(const Product& p) {
    if (p.same && p.bias_n == p.item) return p.bias;
    char* wide = scratch(p.n * p.width + 256, kSlotBias);
    p.kernels->memory.widen(1, p.n, p.bias, 0, p.bias_n, wide, 0);
    return wide;
}

void matrix_product(const Product& p, bool parallel) {
    const auto& kernel = p.kernels->compute;
    const int64_t steps = ceil_div(p.k, kernel.depth);
    const int64_t tiles = ceil_div(p.m, kernel.rows) * ceil_div(p.n, kernel.lanes * kernel.vectors);
    if (!p.computed && tiles <= kFewTiles && steps >= 4 * p.kernels->block_k && !p.bias_m)
        return split_sum(p, parallel);
    const bool stage = !p.computed && (!p.same || p.c_n != p.item || (p.accumulate && p.bias));
    // With one block of K what is collected is finished at once; else all of it waits for the last block.
    const bool whole = stage && (steps > p.kernels->block_k || (p.bias && p.bias_m));
    if (whole) {
        // By rows, so that the space is bounded.
        const int64_t most = std::max<int64_t>(256, (int64_t{32} << 20) / (p.n * p.width));
        if (p.m > most) {
            for (int64_t i = 0; i < p.m; i += most) {
                Product piece = p;
                piece.m = std::min(most, p.m - i);
                piece.a += i * p.a_m;
                piece.c += i * p.c_m;
                piece.first_m += i;
                if (p.bias) piece.bias += i * p.bias_m;
                matrix_product(piece, parallel);
            }
            return;
        }
    }
    char* c = stage ? nullptr : p.c;
    int64_t c_m = p.c_m;
    if (whole) {
        c_m = p.n * p.width;
        c = scratch(p.m * c_m + 256, kSlotC);
    }
    Tiling t{p, kernel, c, c_m, kZeros, 0, 0, false, false, stage, steps};
    if (p.bias && p.bias_m) {
        fill_rows(p, p.bias, c, c_m);
        t.init = c;
        t.init_m = c_m;
        t.init_n = p.width;
    } else if (p.bias) {
        t.init = contiguous_bias(p);
        t.init_n = p.width;
    } else if (p.accumulate && !stage) {
        t.init = c;
        t.init_m = c_m;
        t.init_n = p.width;
    }
    choose_packing(t);
    multiply(t, parallel);
}

// --- rows at a time, B packed before --------------------------------------------------------------------------------

namespace {

/// How the panels of B lie in memory packed as a whole: by blocks of K, in each of them panel after panel.
struct PackedB {
    int64_t steps, blocks, panel, panels;
    explicit PackedB(const Product& p)
        : steps(ceil_div(p.k, p.kernels->compute.depth)), blocks(ceil_div(steps, p.kernels->block_k)),
          panel(p.kernels->compute.lanes * p.kernels->compute.vectors), panels(ceil_div(p.n, panel)) {}
    int64_t start(int64_t block) const { return part(steps, blocks, block); }
    int64_t offset(const Product& p, int64_t block) const { return start(block) * panels * panel * p.width; }
};

}  // namespace

bool matrix_parts(const Product& p, int64_t& packed, int64_t& panels) {
    const PackedB b(p);
    const bool stage = !p.same || p.c_n != p.item || (p.accumulate && p.bias);
    if ((stage && b.blocks > 1) || (p.bias && p.bias_m)) return false;
    Tiling t{p, p.kernels->compute, nullptr, 0, nullptr, 0, 0, false, false, stage, b.steps};
    choose_packing(t);
    packed = t.pack_b ? b.steps * b.panels * b.panel * p.width + 256 : 0;
    panels = b.panels;
    return true;
}

void pack_panels(const Product& p, char* packed, int64_t first, int64_t last) {
    const PackedB b(p);
    Tiling t{p, p.kernels->compute, nullptr, 0, nullptr, 0, 0, false, false, false, b.steps};
    for (int64_t block = 0; block < b.blocks; ++block) {
        const int64_t k0 = b.start(block), k = b.start(block + 1) - k0;
        for (int64_t i = first; i < last; ++i) {
            const int64_t j = i * b.panel;
            pack(p, p.b + k0 * t.kernel.depth * p.b_k + j * p.b_n, p.b_n, p.b_k, std::min(b.panel, p.n - j),
                 elements(t, k0, k), packed + b.offset(p, block) + i * b.panel * k * p.width, b.panel * p.width);
        }
    }
}

void matrix_rows(const Product& p, int64_t count, const char* packed) {
    const PackedB b(p);
    const bool stage = !p.same || p.c_n != p.item || (p.accumulate && p.bias);
    Tiling t{p, p.kernels->compute, stage ? nullptr : p.c, p.c_m, kZeros, 0, 0, false, false, stage, b.steps};
    if (p.bias) {
        t.init = contiguous_bias(p);
        t.init_n = p.width;
    } else if (p.accumulate && !stage) {
        t.init = p.c;
        t.init_m = p.c_m;
        t.init_n = p.width;
    }
    choose_packing(t);
    const int64_t most = p.kernels->block_m;
    for (int64_t i0 = 0; i0 < count; i0 += most)
        for (int64_t block = 0; block < b.blocks; ++block) {
            const int64_t i1 = std::min(count, i0 + most), k0 = b.start(block), k = b.start(block + 1) - k0;
            multiply_block(t, i0, i1, 0, p.n, k0, k, t.pack_a ? pack_rows(t, i0, i1, k0, k) : nullptr,
                           packed ? packed + b.offset(p, block) : nullptr);
        }
}

}  // namespace flambeau::contraction
