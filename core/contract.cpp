// The blocking of matrix products.
//
// A product is cut into tiles of C that fit the vector registers. For large ones K is cut into blocks whose panel of B
// stays in the first-level cache, and M into blocks whose part of A stays in the second; both are packed so that the
// tile kernel reads memory in order. Small ones skip all of it: the tile kernel reads A through any strides and B
// wherever its rows are contiguous, so only a transposed B is copied.
//
// Every element is summed by one chain over each block of K, and the blocks are added in order; where a tile lies, and
// which thread computes it, changes no bit. Products with a vector have paths of their own, bound by memory.

#include "contract.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include "storage.h"
#include "threads.h"

namespace flambeau {

void (*request_contraction_kernels)(uint8_t dtype) = nullptr;

namespace {

constexpr int kDtypes = 10;
constexpr int kItem[kDtypes] = {1, 1, 1, 2, 4, 8, 2, 2, 4, 8};
enum class Kind : uint8_t { Float32, Float64, Int32, Int64 };
constexpr Kind kKind[kDtypes] = {Kind::Int32, Kind::Int32,   Kind::Int32,   Kind::Int32,   Kind::Int32,
                                 Kind::Int64, Kind::Float32, Kind::Float32, Kind::Float32, Kind::Float64};
constexpr int kWidth[4] = {4, 8, 4, 8};

constexpr int kSlotB = 1, kSlotA = 2, kSlotC = 3, kSlotStrip = 4, kSlotBias = 5;
constexpr int64_t kRowsAtOnce = 8, kDotsAtOnce = 4;  // contraction.py: ROWS_AT_ONCE, DOTS

/// Below this many multiply-adds a product stays on one thread: waking another costs as much.
constexpr int64_t kSerialWork = int64_t{1} << 20;
constexpr int64_t kSerialVectorWork = int64_t{1} << 16;  // products with a vector: one read per multiply-add

struct Kernels {
    ComputeKernels compute;
    MemoryKernels memory;
    int64_t block_k, block_m, block_n;
    std::atomic<bool> ready{false};
};
Kernels kernels[kDtypes];

alignas(64) constexpr char kZeros[256] = {};

int64_t cache_bytes(int level, int64_t otherwise) {
    long bytes = 0;
#ifdef _SC_LEVEL1_DCACHE_SIZE
    bytes = sysconf(level == 1 ? _SC_LEVEL1_DCACHE_SIZE : _SC_LEVEL2_CACHE_SIZE);
#endif
    (void)level;
    return bytes > 0 ? bytes : otherwise;
}

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t part(int64_t whole, int64_t parts, int64_t i) { return whole / parts * i + std::min(i, whole % parts); }

/// One product; strides in bytes.
struct Product {
    const Kernels* kernels;
    int item, width;  // bytes of an element in memory, and as computed
    Kind kind;
    bool same;  // memory holds what is computed in
    int64_t m, n, k;
    const char *a, *b;
    char* c;
    int64_t a_m, a_k, b_k, b_n, c_m, c_n;
    const char* bias;
    int64_t bias_m, bias_n;
    bool accumulate;

    void transpose() {
        std::swap(m, n);
        std::swap(a, b);
        std::swap(a_m, b_n);
        std::swap(a_k, b_k);
        std::swap(c_m, c_n);
        std::swap(bias_m, bias_n);
    }
};

template <class F>
void with_type(Kind kind, F&& f) {
    switch (kind) {
        case Kind::Float32: return f(float{});
        case Kind::Float64: return f(double{});
        case Kind::Int32: return f(uint32_t{});  // unsigned: overflow wraps
        case Kind::Int64: return f(uint64_t{});
    }
}

// --- tiles -----------------------------------------------------------------------------------------------------------

/// What the tiles of one product share. C has contiguous rows of computed values here.
struct Tiling {
    const Product& p;
    const ComputeKernels& kernel;
    char* c;
    int64_t c_m;
    const char* init;  // what the first block of K is added to: C itself, a bias or zeros
    int64_t init_m, init_n;
    bool pack_a, pack_b;
};

/// Copies a [width, k] piece to lines of `width` values, one for each k.
void pack(const Product& p, const char* source, int64_t across, int64_t along, int64_t width, int64_t k, char* to,
          int64_t line) {
    const auto& compute = p.kernels->compute;
    const auto& memory = p.kernels->memory;
    if (p.same && across == p.item) return compute.panel(k, source, along, to, line, width);
    if (p.same && along == p.item) return compute.transpose(source, across, to, line, width, k);
    if (along == p.item && across != p.item) {
        char* strip = scratch(width * k * p.width + 256, kSlotStrip);
        for (int64_t i = 0; i < width; ++i) memory.widen(k, source + i * across, along, strip + i * k * p.width);
        return compute.transpose(strip, k * p.width, to, line, width, k);
    }
    for (int64_t i = 0; i < k; ++i) memory.widen(width, source + i * along, across, to + i * line);
}

/// A part of A as the tiles of rows [i0, i1) read it: panels of as many rows as each tile has.
char* pack_rows(const Tiling& t, int64_t i0, int64_t i1, int64_t k0, int64_t k) {
    const Product& p = t.p;
    const int64_t rows = i1 - i0, tiles = ceil_div(rows, t.kernel.rows);
    char* packed = scratch(rows * k * p.width + 256, kSlotA);
    for (int64_t i = 0; i < tiles; ++i) {
        const int64_t start = part(rows, tiles, i), count = part(rows, tiles, i + 1) - start;
        pack(p, p.a + (i0 + start) * p.a_m + k0 * p.a_k, p.a_m, p.a_k, count, k, packed + start * k * p.width,
             count * p.width);
    }
    return packed;
}

/// The tiles of rows [i0, i1) and columns [j0, j1) for one block of K. `packed_a` and `packed_b` hold these rows and
/// these columns, or are null where the operand is read in place.
void multiply_block(const Tiling& t, int64_t i0, int64_t i1, int64_t j0, int64_t j1, int64_t k0, int64_t k,
                    const char* packed_a, const char* packed_b) {
    const Product& p = t.p;
    const int64_t size = p.width, panel = t.kernel.lanes * t.kernel.vectors;
    const int64_t rows = i1 - i0, tiles = ceil_div(rows, t.kernel.rows);
    const int64_t short_rows = rows / tiles, longer = rows % tiles;
    const bool first = k0 == 0;
    const int64_t init_m = first ? t.init_m : t.c_m;
    for (int64_t j = j0; j < j1; j += panel) {
        const int64_t n = std::min(panel, j1 - j), vectors = ceil_div(n, t.kernel.lanes);
        const bool partial = n != vectors * t.kernel.lanes;
        const char* b = packed_b ? packed_b + (j - j0) * k * size : p.b + k0 * p.b_k + j * p.b_n;
        const int64_t b_k = packed_b ? panel * size : p.b_k;
        char* c = t.c + i0 * t.c_m + j * size;
        const char* init = first ? t.init + i0 * t.init_m + j * t.init_n : c;
        const char* a = p.a + i0 * p.a_m + k0 * p.a_k;
        int64_t start = 0;
        for (int64_t i = 0; i < tiles; ++i) {
            const int64_t count = short_rows + (i < longer);
            TileKernel tile = t.kernel.tiles[count - 1][vectors - 1][partial];
            if (packed_a)
                tile(k, packed_a + start * k * size, size, count * size, b, b_k, init + start * init_m, init_m,
                     c + start * t.c_m, t.c_m, n);
            else
                tile(k, a + start * p.a_m, p.a_m, p.a_k, b, b_k, init + start * init_m, init_m, c + start * t.c_m,
                     t.c_m, n);
            start += count;
        }
    }
}

/// How rows and columns are shared out; a matter of speed only.
struct Grid {
    int64_t rows, columns;
};

Grid choose_grid(const Tiling& t, int64_t columns, int64_t k, bool parallel) {
    const Product& p = t.p;
    const int64_t panels = ceil_div(columns, t.kernel.lanes * t.kernel.vectors);
    int64_t rows = t.pack_a ? ceil_div(p.m, p.kernels->block_m) : 1;
    if (!parallel || p.m * columns * k <= kSerialWork / 2) return {rows, 1};
    const int64_t threads = thread_count();
    rows = std::max(rows, std::min(ceil_div(p.m, 4 * t.kernel.rows), 4 * threads));
    if (rows > threads) rows = std::min(ceil_div(rows, threads) * threads, p.m);
    int64_t across = rows >= 2 * threads ? 1 : std::min(panels, ceil_div(4 * threads, rows));
    return {rows, across};
}

/// Runs the tasks on the pool or here.
template <class Task>
void each(int64_t tasks, bool parallel, Task&& task) {
    if (parallel && tasks > 1) return parallel_for(tasks, task);
    for (int64_t i = 0; i < tasks; ++i) task(i);
}

void multiply(const Tiling& t, bool parallel) {
    const Product& p = t.p;
    const int64_t size = p.width, panel = t.kernel.lanes * t.kernel.vectors;
    const int64_t blocks = ceil_div(p.k, p.kernels->block_k);
    auto block_start = [&](int64_t block) { return part(p.k, blocks, block); };
    auto pack_panel = [&](int64_t j, int64_t j1, int64_t k0, int64_t k, char* to) {
        pack(p, p.b + k0 * p.b_k + j * p.b_n, p.b_n, p.b_k, std::min(panel, j1 - j), k, to, panel * size);
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
            p.kernels->memory.widen(1, bias + i * p.bias_m, 0, value);
            T* row = reinterpret_cast<T*>(c + i * c_m);
            std::fill(row, row + p.n, *reinterpret_cast<T*>(value));
        }
    });
}

/// A bias of n values as computed and contiguous.
const char* contiguous_bias(const Product& p) {
    if (p.same && p.bias_n == p.item) return p.bias;
    char* wide = scratch(p.n * p.width + 256, kSlotBias);
    p.kernels->memory.widen(p.n, p.bias, p.bias_n, wide);
    return wide;
}

void matrix_product(const Product& p, bool parallel) {
    const bool stage = !p.same || p.c_n != p.item || (p.accumulate && p.bias);
    if (stage) {
        // Computed values are collected apart, then converted or scattered; by rows, so that the space is bounded.
        const int64_t most = std::max<int64_t>(256, (int64_t{32} << 20) / (p.n * p.width));
        if (p.m > most) {
            for (int64_t i = 0; i < p.m; i += most) {
                Product piece = p;
                piece.m = std::min(most, p.m - i);
                piece.a += i * p.a_m;
                piece.c += i * p.c_m;
                if (p.bias) piece.bias += i * p.bias_m;
                matrix_product(piece, parallel);
            }
            return;
        }
    }
    char* c = p.c;
    int64_t c_m = p.c_m;
    if (stage) {
        c_m = p.n * p.width;
        c = scratch(p.m * c_m + 256, kSlotC);
    }
    const auto& kernel = p.kernels->compute;
    Tiling t{p, kernel, c, c_m, kZeros, 0, 0, false, false};
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
    // Packing B costs 2/m of the arithmetic or more, packing A 4/n or more; reading far apart costs more than that
    // only for many tiles.
    t.pack_b = !p.same || p.b_n != p.item || p.m >= 128;
    const bool conflicts = p.a_m % 2048 == 0 && p.m > 4 && p.k > 16;  // rows that compete for the same cache sets
    t.pack_a = !p.same || p.n >= 256 || (conflicts && p.n >= 64);
    multiply(t, parallel);
    if (!stage) return;
    auto finish = [&](int64_t i) {
        p.kernels->memory.narrow(p.n, p.c + i * p.c_m, p.c_n, c + i * c_m, p.accumulate);
    };
    const int64_t rows = std::max<int64_t>(1, 16384 / p.n), tasks = ceil_div(p.m, rows);
    auto finish_some = [&](int64_t task) {
        for (int64_t i = task * rows; i < std::min(p.m, (task + 1) * rows); ++i) finish(i);
    };
    each(tasks, parallel, finish_some);
}

// --- products with a vector ------------------------------------------------------------------------------------------

/// c[j] = bias[j] + sum over chunks of partial[chunk, j].
void finish_vector(const Product& p, char* partial, int64_t chunks) {
    with_type(p.kind, [&](auto zero) {
        using T = decltype(zero);
        T* total = reinterpret_cast<T*>(partial);
        for (int64_t chunk = 1; chunk < chunks; ++chunk)
            for (int64_t j = 0; j < p.n; ++j) total[j] += total[chunk * p.n + j];
        if (p.bias && p.bias_n == 0) {
            char value[8];
            p.kernels->memory.widen(1, p.bias, 0, value);
            const T b = *reinterpret_cast<T*>(value);
            for (int64_t j = 0; j < p.n; ++j) total[j] += b;
        } else if (p.bias) {
            const T* bias = reinterpret_cast<const T*>(contiguous_bias(p));
            for (int64_t j = 0; j < p.n; ++j) total[j] += bias[j];
        }
    });
    p.kernels->memory.narrow(p.n, p.c, p.c_n, partial, p.accumulate);
}

/// m == 1: c[n] = x[k] @ b[k, n]. False if no path fits.
bool vector_product(const Product& p, bool parallel) {
    const auto& compute = p.kernels->compute;
    const auto& memory = p.kernels->memory;
    const int64_t size = p.width;
    const bool columns = p.b_k == p.item || p.k == 1;             // each output is a dot product of contiguous values
    const bool rows = p.same && (p.b_n == p.item || p.n == 1);  // each k adds a contiguous row
    const bool few = p.n * p.k <= kSerialVectorWork / 2;
    if (!columns && !rows) return false;
    if (rows && few && p.c_n == p.item && !(columns && p.n == 1) && !(p.accumulate && p.bias) &&
        (!p.bias || p.bias_n == p.item) && p.k <= p.kernels->block_k) {
        const int64_t panel = compute.lanes * compute.vectors;
        for (int64_t j = 0; j < p.n; j += panel) {
            const int64_t n = std::min(panel, p.n - j), vectors = ceil_div(n, compute.lanes);
            const char* init = p.accumulate ? p.c + j * size : p.bias ? p.bias + j * size : kZeros;
            compute.tiles[0][vectors - 1][n != vectors * compute.lanes](p.k, p.a, 0, p.a_k, p.b + j * size, p.b_k, init,
                                                                         0, p.c + j * size, 0, n);
        }
        return true;
    }
    const char* x = p.a;
    const bool by_dots = columns && !(rows && p.n >= compute.lanes);
    if (by_dots && !(p.same && p.a_k == p.item)) {
        char* wide = scratch(p.k * size + 256, kSlotA);
        memory.widen(p.k, p.a, p.a_k, wide);
        x = wide;
    }
    // Cut by size only. Partial sums of the chunks of K are added in order at the end.
    const int64_t chunk = by_dots ? 16384 : std::max<int64_t>(256, (int64_t{1} << 17) / p.n / 8 * 8);
    const int64_t chunks = ceil_div(p.k, chunk);
    const int64_t group = by_dots ? std::max<int64_t>(kDotsAtOnce, 32768 / std::min(p.k, chunk) / 4 * 4) : 2048;
    const int64_t groups = ceil_div(p.n, group);
    char* partial = scratch(chunks * p.n * size + 256, kSlotC);
    auto task = [&](int64_t i) {
        const int64_t piece = i / groups, j0 = i % groups * group, j1 = std::min(p.n, j0 + group);
        const int64_t k0 = piece * chunk, k1 = std::min(p.k, k0 + chunk);
        char* out = partial + (piece * p.n + j0) * size;
        if (by_dots) {
            int64_t j = j0;
            for (; j + kDotsAtOnce <= j1; j += kDotsAtOnce, out += kDotsAtOnce * size)
                memory.dots_many(k1 - k0, p.b + j * p.b_n + k0 * p.item, p.b_n, x + k0 * size, out);
            for (; j < j1; ++j, out += size)
                memory.dots_one(k1 - k0, p.b + j * p.b_n + k0 * p.item, p.b_n, x + k0 * size, out);
            return;
        }
        std::fill(out, out + (j1 - j0) * size, 0);
        int64_t k = k0;
        const char* b = p.b + j0 * size;
        for (; k + kRowsAtOnce <= k1; k += kRowsAtOnce)
            compute.rows_many(j1 - j0, x + k * p.a_k, p.a_k, b + k * p.b_k, p.b_k, out, out);
        for (; k < k1; ++k) compute.rows_one(j1 - j0, x + k * p.a_k, p.a_k, b + k * p.b_k, p.b_k, out, out);
    };
    each(chunks * groups, parallel && p.n * p.k > kSerialVectorWork, task);
    finish_vector(p, partial, chunks);
    return true;
}

void product(Product p, bool parallel) {
    if (p.n == 1 && p.m != 1) p.transpose();
    if (p.m == 1) {
        if (vector_product(p, parallel)) return;
    } else if (p.c_n != p.item && p.c_m == p.item) {
        p.transpose();
    }
    if (p.m * p.n * p.k <= kSerialWork) parallel = false;
    matrix_product(p, parallel);
}

}  // namespace

void register_contraction_kernels(uint8_t dtype, void* compute, void* memory) {
    Kernels& entry = kernels[dtype];
    reinterpret_cast<void (*)(void*)>(compute)(&entry.compute);
    reinterpret_cast<void (*)(void*)>(memory)(&entry.memory);
    const int64_t size = kWidth[static_cast<int>(kKind[dtype])];
    const int64_t panel = entry.compute.lanes * entry.compute.vectors;
    const int64_t first = cache_bytes(1, 32 << 10), second = cache_bytes(2, 512 << 10);
    entry.block_k = std::clamp<int64_t>(first / (panel * size) / 64 * 64, 128, 384);
    entry.block_m = std::clamp<int64_t>(second / 4 / (entry.block_k * size) / entry.compute.rows, 4, 64) * entry.compute.rows;
    entry.block_n = ceil_div(4096, panel) * panel;
    entry.ready.store(true, std::memory_order_release);
}

void ensure_contraction_kernels(uint8_t dtype) {
    if (dtype >= kDtypes) throw std::invalid_argument("matmul: no kernels for dtype code " + std::to_string(dtype));
    if (kernels[dtype].ready.load(std::memory_order_acquire)) return;
    if (request_contraction_kernels) request_contraction_kernels(dtype);
    if (!kernels[dtype].ready.load(std::memory_order_acquire))
        throw std::runtime_error("matmul: the compiler gave no kernels for dtype code " + std::to_string(dtype));
}

InnerKernels inner_kernels(uint8_t dtype) {
    const Kernels& entry = kernels[dtype];
    return {entry.compute, entry.memory, entry.block_k};
}

void contract(const ContractProblem& problem) {
    ContractProblem q = problem;
    if (q.batch <= 0 || q.m <= 0 || q.n <= 0) return;
    const int item = kItem[q.dtype];
    if (q.batch > 1 && q.b_batch == 0 && q.a_batch == q.m * q.a_m && q.c_batch == q.m * q.c_m) {
        q.m *= q.batch;  // one tall product
        q.batch = 1;
    }
    if (q.k <= 0) {  // zeros and the bias: as one step with zero factors
        if (q.accumulate && !q.bias) return;
        q.k = 1;
        q.a = q.b = kZeros;
        q.a_batch = q.a_m = q.a_k = q.b_batch = q.b_k = q.b_n = 0;
    }
    Product p{&kernels[q.dtype], item, kWidth[static_cast<int>(kKind[q.dtype])], kKind[q.dtype], false,
              q.m, q.n, q.k, q.a, q.b, q.c, q.a_m * item, q.a_k * item, q.b_k * item, q.b_n * item, q.c_m * item,
              q.c_n * item, q.bias, 0, q.bias_n * item, q.accumulate};
    p.same = q.dtype == 4 || q.dtype == 5 || q.dtype == 8 || q.dtype == 9;
    if (q.n == 1) p.bias_n = 0;
    if (q.batch == 1) return product(p, true);

    auto run = [&](int64_t i, bool parallel) {
        Product each = p;
        each.a += i * q.a_batch * item;
        each.b += i * q.b_batch * item;
        each.c += i * q.c_batch * item;
        product(each, parallel);
    };
    const int64_t work = q.m * q.n * q.k;
    const bool inside = q.batch < 2 * thread_count() && work > 4 * kSerialWork;  // each item has work for all threads
    if (inside || work * q.batch <= kSerialWork) {
        for (int64_t i = 0; i < q.batch; ++i) run(i, inside);
        return;
    }
    const int64_t group = std::clamp<int64_t>(kSerialWork / 4 / work, 1, ceil_div(q.batch, thread_count()));
    parallel_for(ceil_div(q.batch, group), [&](int64_t task) {
        for (int64_t i = task * group; i < std::min(q.batch, (task + 1) * group); ++i) run(i, false);
    });
}

}  // namespace flambeau
