// Products of a matrix with one vector or a few, which memory bounds: dot products where the sums lie contiguous, else
// additions of whole rows. They are cut by size only, and the partial sums are added in order, so no bit depends on
// threads.

#include "contract_product.h"
#include "storage.h"

namespace flambeau::contraction {

namespace {

/// c[j] = bias[j] + sum over chunks of partial[chunk, j].
void finish_vector(const Product& p, char* partial, int64_t chunks) {
    with_type(p.kind, [&](auto zero) {
        using T = decltype(zero);
        T* total = reinterpret_cast<T*>(partial);
        for (int64_t chunk = 1; chunk < chunks; ++chunk)
            for (int64_t j = 0; j < p.n; ++j) total[j] += total[chunk * p.n + j];
        if (p.bias && p.bias_n == 0) {
            char value[8];
            p.kernels->memory.widen(1, 1, p.bias, 0, 0, value, 0);
            const T b = *reinterpret_cast<T*>(value);
            for (int64_t j = 0; j < p.n; ++j) total[j] += b;
        } else if (p.bias) {
            const T* bias = reinterpret_cast<const T*>(contiguous_bias(p));
            for (int64_t j = 0; j < p.n; ++j) total[j] += bias[j];
        }
    });
    p.kernels->memory.narrow(1, p.n, p.c, 0, p.c_n, partial, 0, p.accumulate);
    p.finish(0, 1, 0, p.n);
}

}  // namespace

bool vector_product(const Product& p, bool parallel) {
    const auto& compute = p.kernels->compute;
    const auto& memory = p.kernels->memory;
    const int64_t size = p.width;
    const bool columns = p.b_k == p.item || p.k == 1;             // each output is a dot product of contiguous values
    const bool rows = p.b_n == p.item || p.n == 1;  // each k adds a contiguous row
    const bool few = p.n * p.k <= kSerialVectorWork / 2;
    if (!columns && !rows) return false;
    if (rows && few && p.same && p.c_n == p.item && !(columns && p.n == 1) && !(p.accumulate && p.bias) &&
        (!p.bias || p.bias_n == p.item) && p.k <= p.kernels->block_k) {
        const int64_t panel = compute.lanes * compute.vectors;
        for (int64_t j = 0; j < p.n; j += panel) {
            const int64_t n = std::min(panel, p.n - j), vectors = ceil_div(n, compute.lanes);
            const char* init = p.accumulate ? p.c + j * size : p.bias ? p.bias + j * size : kZeros;
            compute.tiles[0][vectors - 1][n != vectors * compute.lanes](p.k, p.a, 0, p.a_k, p.b + j * size, p.b_k, init,
                                                                         0, p.c + j * size, 0, n);
        }
        p.finish(0, 1, 0, p.n);
        return true;
    }
    const char* x = p.a;
    const bool by_dots = columns && !(rows && p.n >= compute.lanes);
    int64_t x_step = p.a_k;
    if (!p.same || (by_dots && p.a_k != p.item)) {
        char* wide = scratch(p.k * size + 256, kSlotA);
        memory.widen(1, p.k, p.a, 0, p.a_k, wide, 0);
        x = wide;
        x_step = size;
    }
    // Cut by size only. Partial sums of the chunks of K are added in order at the end.
    const int64_t chunk = by_dots ? kDotsLength : std::max<int64_t>(256, (int64_t{1} << 17) / p.n / 8 * 8);
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
        const char* b = p.b + j0 * p.item;
        for (; k + kRowsAtOnce <= k1; k += kRowsAtOnce)
            memory.rows_many(j1 - j0, x + k * x_step, x_step, b + k * p.b_k, p.b_k, out);
        for (; k < k1; ++k) memory.rows_one(j1 - j0, x + k * x_step, x_step, b + k * p.b_k, p.b_k, out);
    };
    each(chunks * groups, parallel && p.n * p.k > kSerialVectorWork, task);
    finish_vector(p, partial, chunks);
    return true;
}

Few few(const Product& p) {
    // A tile would leave most of its lanes empty; dot products do not, once the sums are long enough to pay for adding
    // up the lanes.
    auto suits = [&](int64_t many, int64_t some, int64_t along) {
        return some <= 5 && many >= kDotsAtOnce && along == p.item && p.k >= 64 * some && p.k <= kDotsLength;
    };
    if (p.m < 2 || p.n < 2) return Few::No;
    if (suits(p.m, p.n, p.a_k)) return Few::Columns;
    return suits(p.n, p.m, p.b_k) ? Few::Rows : Few::No;
}

void few_columns(const Product& p, bool parallel) {
    const auto& memory = p.kernels->memory;
    const int64_t size = p.width, line = p.k * size;
    char* columns = scratch(p.n * line + 256, kSlotB);
    for (int64_t j = 0; j < p.n; ++j) memory.widen(1, p.k, p.b + j * p.b_n, 0, p.b_k, columns + j * line, 0);
    const bool bias_rows = p.bias && p.bias_m;
    const char* bias = p.bias && !bias_rows ? contiguous_bias(p) : nullptr;
    const int64_t at_once = std::max(kDotsAtOnce, 32768 / p.k / kDotsAtOnce * kDotsAtOnce);
    each(ceil_div(p.m, at_once), parallel, [&](int64_t task) {
        alignas(64) char values[kDotsAtOnce * 8], lines[kDotsAtOnce * 8 * 8], bias_values[kDotsAtOnce * 8];
        const int64_t last = std::min(p.m, (task + 1) * at_once);
        for (int64_t i = task * at_once; i < last; i += kDotsAtOnce) {
            const int64_t rows = std::min(kDotsAtOnce, last - i);
            const char* a = p.a + i * p.a_m;
            if (bias_rows) memory.widen(1, rows, p.bias + i * p.bias_m, 0, p.bias_m, bias_values, 0);
            for (int64_t j = 0; j < p.n; ++j) {
                if (rows == kDotsAtOnce)
                    memory.dots_many(p.k, a, p.a_m, columns + j * line, values);
                for (int64_t r = 0; rows < kDotsAtOnce && r < rows; ++r) {  // one row many times: its bits stay the same
                    char same[kDotsAtOnce * 8];
                    memory.dots_many(p.k, a + r * p.a_m, 0, columns + j * line, same);
                    std::copy(same, same + size, values + r * size);
                }
                with_type(p.kind, [&](auto zero) {
                    using T = decltype(zero);
                    const T add = bias ? reinterpret_cast<const T*>(bias)[j] : T{};
                    for (int64_t r = 0; r < rows; ++r) {
                        const T one = bias_rows ? reinterpret_cast<const T*>(bias_values)[r] : add;
                        reinterpret_cast<T*>(lines)[r * p.n + j] = reinterpret_cast<const T*>(values)[r] + one;
                    }
                });
            }
            memory.narrow(rows, p.n, p.c + i * p.c_m, p.c_m, p.c_n, lines, p.n * size, p.accumulate);
        }
        p.finish(task * at_once, last, 0, p.n);
    });
}

}  // namespace flambeau::contraction
