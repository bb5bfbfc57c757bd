// Contractions: c = bias + a @ b and c += a @ b over batches, for any strides and every dtype.
//
// Blocking, packing and threads live here; the inner kernels come from flambeau/compiler/contraction.py as machine code,
// a few for each dtype, whatever the shapes. It knows no tensors: callers have broadcast, allocated and checked. It
// touches no Python, so it may run with or without the GIL; only `ensure_contraction_kernels` asks the compiler.
#pragma once

#include <cstdint>

namespace flambeau {

/// A map over C, run on each block as soon as it is finished and still in cache, exactly once for every element. The
/// kernel is a compiled map: it reads and writes `operands` arrays (usually C itself first, as its output, and again as
/// an input) for columns n inside rows m, so its inner stride classes are those of the strides along n.
struct ContractEpilogue {
    static constexpr int kMost = 16;
    void (*kernel)(char* const* pointers, const int64_t* inner_strides, const int64_t* outer_strides, int64_t inner,
                   int64_t outer) = nullptr;
    int operands = 0;
    char* base[kMost] = {};  // of the element that belongs to C's first
    int64_t batch[kMost] = {}, m[kMost] = {}, n[kMost] = {};  // strides in bytes along C's dimensions, zero to broadcast
};

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
    const ContractEpilogue* epilogue = nullptr;  // applied to what c then holds, in its own dtype
};

/// Computes the problem. The kernels of its dtype must be there (`ensure_contraction_kernels`). The bits of a result
/// depend on sizes, strides and values, never on the number of threads.
void contract(const ContractProblem& problem);

/// A product that can be computed some rows, or some items of its batch, at a time, with the bits of the whole.
struct ContractParts {
    int64_t leading = 0;          // rows of C, or items of the batch
    int64_t a = 0, b = 0, c = 0;  // bytes from one of them to the next
    int64_t packed = 0;           // bytes of B when packed, which all parts then read; 0: B is read in place
    int64_t panels = 0;           // pieces of B that can be packed apart
};
bool contract_parts(const ContractProblem& problem, ContractParts& parts);
void contract_pack(const ContractProblem& problem, const char* b, char* packed, int64_t first, int64_t last);
/// `a`, `b` and `c` start with the part; on the calling thread.
void contract_part(const ContractProblem& problem, int64_t count, const char* a, const char* b, const char* bias, char* c,
                   const char* packed);

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

/// `depth` steps of the sum lie side by side in one packed value: 1, or 2 for pairs of bfloat16. There a tile's k counts
/// pairs, `transpose` moves pairs as they lie in memory, and `panel` makes them from two rows of the source.
struct ComputeKernels {
    int64_t lanes, rows, vectors, depth;
    TileKernel tiles[kMostTileRows][kMostTileVectors][2];  // [rows - 1][vectors - 1][n does not fill the vectors]
    void (*transpose)(const char* source, int64_t source_row, char* to, int64_t to_row, int64_t rows, int64_t columns);
    void (*panel)(int64_t rows, const char* source, int64_t source_row, char* to, int64_t to_row, int64_t n);
};

struct MemoryKernels {
    void (*dots_many)(int64_t k, const char* a, int64_t a_row, const char* x, char* out);
    void (*dots_one)(int64_t k, const char* a, int64_t a_row, const char* x, char* out);
    void (*rows_many)(int64_t n, const char* x, int64_t x_step, const char* b, int64_t b_row, char* c);
    void (*rows_one)(int64_t n, const char* x, int64_t x_step, const char* b, int64_t b_row, char* c);
    void (*widen)(int64_t rows, int64_t count, const char* memory, int64_t memory_row, int64_t stride, char* values,
                  int64_t values_row);
    void (*narrow)(int64_t rows, int64_t count, char* memory, int64_t memory_row, int64_t stride, const char* values,
                   int64_t values_row, int64_t accumulate);
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
