// The entry of contractions: kernels by dtype, batches, and which path a product takes. Blocks and packing are in
// contract_matrix.cpp, products with a vector in contract_vector.cpp.

#include "contract.h"

#include <unistd.h>

#include <cstring>
#include <stdexcept>
#include <string>

#include "contract_product.h"

namespace flambeau {

using namespace contraction;

void (*request_contraction_kernels)(uint8_t dtype) = nullptr;

namespace {

constexpr int kDtypes = 10;
constexpr int kItem[kDtypes] = {1, 1, 1, 2, 4, 8, 2, 2, 4, 8};
constexpr Kind kKind[kDtypes] = {Kind::Int32, Kind::Int32,   Kind::Int32,   Kind::Int32,   Kind::Int32,
                                 Kind::Int64, Kind::Float32, Kind::Float32, Kind::Float32, Kind::Float64};
constexpr int kWidth[4] = {4, 8, 4, 8};

Kernels kernels[kDtypes];

int64_t cache_bytes(int level, int64_t otherwise) {
    long bytes = 0;
#ifdef _SC_LEVEL1_DCACHE_SIZE
    bytes = sysconf(level == 1 ? _SC_LEVEL1_DCACHE_SIZE : _SC_LEVEL2_CACHE_SIZE);
#endif
    (void)level;
    return bytes > 0 ? bytes : otherwise;
}

void product(Product p, bool parallel) {
    if (p.n == 1 && p.m != 1) p.transpose();
    if (p.m == 1 && vector_product(p, parallel)) return;
    // Reading and writing an element costs as much as many multiply-adds.
    if (p.m * p.n * p.k + 8 * (p.m * p.k + p.k * p.n + p.m * p.n) <= kSerialWork) parallel = false;
    if (const Few kind = few(p); kind != Few::No) {
        if (kind == Few::Rows) p.transpose();
        return few_columns(p, parallel);
    }
    if (p.m > 1 && p.c_n != p.item && p.c_m == p.item) p.transpose();
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
    // A panel of B a third larger than the first-level cache: it streams, and C is read and written less often.
    entry.block_k = std::clamp<int64_t>(first * 4 / 3 / (panel * size) / 64 * 64, 128, 512);
    entry.panel_k = std::clamp<int64_t>(first / (panel * size) / 64 * 64, 128, 384);
    entry.block_m = std::clamp<int64_t>(second / 4 / (entry.block_k * size) / entry.compute.rows, 4, 64) * entry.compute.rows;
    entry.second_level = second;
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
    return {entry.compute, entry.memory, entry.panel_k};
}

namespace {

/// The product of one item; a batch whose items lie below each other becomes one tall product.
Product describe(ContractProblem& q) {
    const int item = kItem[q.dtype];
    bool tall = q.batch > 1 && q.b_batch == 0 && q.a_batch == q.m * q.a_m && q.c_batch == q.m * q.c_m;
    for (int x = 0; q.epilogue && x < q.epilogue->operands; ++x)
        tall = tall && q.epilogue->batch[x] == q.m * q.epilogue->m[x];
    if (tall) {
        q.m *= q.batch;  // one tall product
        q.batch = 1;
    }
    if (q.k <= 0) {  // zeros and the bias: as one step with zero factors
        q.k = 1;
        q.a = q.b = kZeros;
        q.a_batch = q.a_m = q.a_k = q.b_batch = q.b_k = q.b_n = 0;
    }
    Product p{&kernels[q.dtype], item, kWidth[static_cast<int>(kKind[q.dtype])], kKind[q.dtype], false,
              q.m, q.n, q.k, q.a, q.b, q.c, q.a_m * item, q.a_k * item, q.b_k * item, q.b_n * item, q.c_m * item,
              q.c_n * item, q.bias, 0, q.bias_n * item, q.accumulate, false, q.epilogue};
    p.same = q.dtype == 4 || q.dtype == 5 || q.dtype == 8 || q.dtype == 9;
    if (q.n == 1) p.bias_n = 0;
    return p;
}

}  // namespace

void contract(const ContractProblem& problem) {
    ContractProblem q = problem;
    if (q.batch <= 0 || q.m <= 0 || q.n <= 0) return;
    if (q.k <= 0 && q.accumulate && !q.bias && !q.epilogue) return;
    const int item = kItem[q.dtype];
    const Product p = describe(q);
    if (q.batch == 1) return product(p, true);

    auto run = [&](int64_t i, bool parallel) {
        Product one = p;
        one.a += i * q.a_batch * item;
        one.b += i * q.b_batch * item;
        one.c += i * q.c_batch * item;
        one.batch = i;
        product(one, parallel);
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

// --- in parts ---

bool contract_parts(const ContractProblem& problem, ContractParts& parts) {
    ContractProblem q = problem;
    if (q.batch <= 0 || q.m <= 0 || q.n <= 0 || q.k <= 0 || q.epilogue) return false;
    const Product p = describe(q);
    parts = ContractParts();
    if (q.batch > 1) {  // each item as it would be computed alone
        parts.leading = q.batch;
        parts.a = q.a_batch * p.item, parts.b = q.b_batch * p.item, parts.c = q.c_batch * p.item;
        return true;
    }
    // Products with a vector, with a few columns, and those that are computed transposed are cut in other ways.
    if (p.m < 2 || p.n < 2 || p.c_n != p.item || p.accumulate || few(p) != Few::No) return false;
    parts.leading = p.m;
    parts.a = p.a_m, parts.c = p.c_m;
    return matrix_parts(p, parts.packed, parts.panels);
}

void contract_pack(const ContractProblem& problem, const char* b, char* packed, int64_t first, int64_t last) {
    ContractProblem q = problem;
    q.b = b;
    pack_panels(describe(q), packed, first, last);
}

void contract_part(const ContractProblem& problem, int64_t count, const char* a, const char* b, const char* bias, char* c,
                   const char* packed) {
    ContractProblem q = problem;
    q.a = a, q.b = b, q.c = c, q.bias = bias;
    Product p = describe(q);
    if (q.batch > 1) {
        for (int64_t i = 0; i < count; ++i) {
            Product one = p;
            one.a += i * q.a_batch * p.item;
            one.b += i * q.b_batch * p.item;
            one.c += i * q.c_batch * p.item;
            product(one, false);
        }
        return;
    }
    matrix_rows(p, count, packed);
}

void transpose_block(uint8_t dtype, const char* from, int64_t from_row, char* to, int64_t to_row, int64_t rows,
                     int64_t columns) {
    const ComputeKernels& compute = kernels[dtype].compute;
    const int64_t item = dtype == 8 ? 4 : 8, lanes = compute.lanes;
    const int64_t whole = rows / lanes * lanes;  // with all lanes filled no store passes the end of a line
    if (whole) compute.transpose(from, from_row, to, to_row, whole, columns);
    for (int64_t r = whole; r < rows; ++r)
        for (int64_t c = 0; c < columns; ++c)
            std::memcpy(to + c * to_row + r * item, from + r * from_row + c * item, static_cast<size_t>(item));
}

}  // namespace flambeau
