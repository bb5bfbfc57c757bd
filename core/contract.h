// Contractions: c = bias + a @ b and c += a @ b over batches, for any strides and every dtype.
//
// Blocking, packing and threads live here; the inner kernels come from flambeau/compiler/contraction.py as machine code,
// a few for each dtype, whatever the shapes. It knows no tensors: callers have broadcast, allocated and checked. It
// touches no Python, so it may run with or without the GIL; only `ensure_contraction_kernels` asks the compiler.
#pragma once

#include <cstdint>

namespace flambeau {

struct ContractProblem {
    uint8_t dtype = 0;  // of a, b, c and bias in memory; half types are summed in float32, short integers in int32
    int64_t batch = 1, m = 0, n = 0, k = 0;
    const char* a = nullptr;
    const char* b = nullptr;
    char* c = nullptr;  // must not overlap a, b or bias
    // Strides in elements, any sign, zero to broadcast (not in c).
    int64_t a_batch = 0, a_m = 0, a_k = 0;
    int64_t b_batch = 0, b_k = 0, b_n = 0;
    int64_t c_batch = 0, c_m = 0, c_n = 0;
    const char* bias = nullptr;  // n values, added to every row
    int64_t bias_n = 1;
    bool accumulate = false;  // add to what c holds; with a bias, that is added too
};

/// Computes the problem. The kernels of its dtype must be there (`ensure_contraction_kernels`). The bits of a result
/// depend on sizes, strides and values, never on the number of threads.
void contract(const ContractProblem& problem);

/// Called once for a dtype when it is first needed, with the GIL held; must end in `register_contraction_kernels` or
/// throw. The bindings set it.
extern void (*request_contraction_kernels)(uint8_t dtype);

/// `compute` and `memory` are what `flambeau.compiler.contraction.kernels(dtype)` returned: the entries of two modules.
void register_contraction_kernels(uint8_t dtype, void* compute, void* memory);

/// With the GIL held, before `contract`: asks the compiler if the dtype's kernels are missing.
void ensure_contraction_kernels(uint8_t dtype);

// --- the tables the modules fill; contraction.py writes their words in this order ---

constexpr int kMostTileRows = 16, kMostTileVectors = 2;

/// Strides in bytes. A tile is c[rows, n] = init[rows, n] + a[rows, k] @ b[k, n] with k >= 1.
using TileKernel = void (*)(int64_t k, const char* a, int64_t a_row, int64_t a_k, const char* b, int64_t b_k,
                            const char* init, int64_t init_row, char* c, int64_t c_row, int64_t n);

struct ComputeKernels {
    int64_t lanes, rows, vectors, unused;
    TileKernel tiles[kMostTileRows][kMostTileVectors][2];  // [rows - 1][vectors - 1][n does not fill the vectors]
    void (*transpose)(const char* source, int64_t source_row, char* to, int64_t to_row, int64_t rows, int64_t columns);
    void (*panel)(int64_t rows, const char* source, int64_t source_row, char* to, int64_t to_row, int64_t n);
    void (*rows_many)(int64_t n, const char* x, int64_t x_step, const char* b, int64_t b_row, const char* init, char* c);
    void (*rows_one)(int64_t n, const char* x, int64_t x_step, const char* b, int64_t b_row, const char* init, char* c);
};

struct MemoryKernels {
    void (*dots_many)(int64_t k, const char* a, int64_t a_row, const char* x, char* out);
    void (*dots_one)(int64_t k, const char* a, int64_t a_row, const char* x, char* out);
    void (*widen)(int64_t count, const char* memory, int64_t stride, char* values);
    void (*narrow)(int64_t count, char* memory, int64_t stride, const char* values, int64_t accumulate);
};

/// The inner kernels themselves, for executors with a packing of their own (convolve.h); call `ensure_...` before. Only
/// dtypes that are computed in as they lie in memory: int32, int64, float32, float64.
struct InnerKernels {
    const ComputeKernels& compute;
    const MemoryKernels& memory;
    int64_t block_k;  // steps of a sum whose panel stays in the first-level cache
};
InnerKernels inner_kernels(uint8_t dtype);

}  // namespace flambeau
