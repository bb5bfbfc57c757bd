// What the parts of contractions share: one product with strides in bytes, and the kernels of its dtype. Private to
// contract.cpp (entry, batches), contract_matrix.cpp (blocks, packing, threads) and contract_vector.cpp.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <utility>

#include "contract.h"
#include "threads.h"

namespace flambeau::contraction {

enum class Kind : uint8_t { Float32, Float64, Int32, Int64 };

// Slots of `scratch`: they live on different threads and at different depths of one call.
constexpr int kSlotB = 1, kSlotA = 2, kSlotC = 3, kSlotStrip = 4, kSlotBias = 5;
constexpr int64_t kRowsAtOnce = 8, kDotsAtOnce = 4;  // contraction.py: ROWS_AT_ONCE, DOTS

/// Below this many multiply-adds a product stays on one thread: waking another costs as much.
constexpr int64_t kSerialWork = int64_t{1} << 20;
constexpr int64_t kDotsLength = 16384;  // longer dot products are cut
constexpr int64_t kSerialVectorWork = int64_t{1} << 16;  // products with a vector: one read per multiply-add

struct Kernels {
    ComputeKernels compute;
    MemoryKernels memory;
    int64_t block_k, block_m, block_n;  // block_k counts values of `depth` steps
    int64_t panel_k;                    // as block_k, so that a panel fits the first-level cache
    int64_t second_level;               // bytes of that cache
    std::atomic<bool> ready{false};
};

alignas(64) inline constexpr char kZeros[256] = {};

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
    bool computed = false;  // C takes values as computed, not as in memory
    const ContractEpilogue* epilogue = nullptr;
    int64_t batch = 0;        // number of the product, for the epilogue
    bool transposed = false;  // the epilogue's m is this n
    int64_t first_m = 0;      // the epilogue's row of this row 0

    void transpose() {
        std::swap(m, n);
        std::swap(a, b);
        std::swap(a_m, b_n);
        std::swap(a_k, b_k);
        std::swap(c_m, c_n);
        std::swap(bias_m, bias_n);
        transposed = !transposed;
    }

    /// The map over rows [i0, i1) and columns [j0, j1), if there is one.
    void finish(int64_t i0, int64_t i1, int64_t j0, int64_t j1) const {
        if (!epilogue) return;
        i0 += first_m, i1 += first_m;
        if (transposed) std::swap(i0, j0), std::swap(i1, j1);
        const ContractEpilogue& e = *epilogue;
        char* pointers[ContractEpilogue::kMost];
        for (int x = 0; x < e.operands; ++x) pointers[x] = e.base[x] + batch * e.batch[x] + i0 * e.m[x] + j0 * e.n[x];
        e.kernel(pointers, e.n, e.m, j1 - j0, i1 - i0);
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

/// Runs the tasks on the pool or here.
template <class Task>
void each(int64_t tasks, bool parallel, Task&& task) {
    if (parallel && tasks > 1) return parallel_for(tasks, task);
    for (int64_t i = 0; i < tasks; ++i) task(i);
}

/// A bias of n values as computed and contiguous.
const char* contiguous_bias(const Product& p);

void matrix_product(const Product& p, bool parallel);

/// Whether rows of C can be computed some at a time with the bits of the whole; how many bytes the packed B takes (0: it
/// is read in place), and how many panels that is.
bool matrix_parts(const Product& p, int64_t& packed, int64_t& panels);

/// Packs the panels [first, last) of B, for `matrix_rows`.
void pack_panels(const Product& p, char* packed, int64_t first, int64_t last);

/// The first `count` rows of C, on this thread.
void matrix_rows(const Product& p, int64_t count, const char* packed);

/// m == 1: c[n] = x[k] @ b[k, n]. False if no path fits.
bool vector_product(const Product& p, bool parallel);

/// Whether few columns, or few rows, are computed as dot products: a matter of sizes and strides. Whoever computes some
/// rows of a product apart must not do so then: the bits are other than those of tiles.
enum class Few { No, Columns, Rows };
Few few(const Product& p);
void few_columns(const Product& p, bool parallel);

}  // namespace flambeau::contraction
