// See attention.h. Tasks are (batch, head, block of queries) forward. Backward they are (batch, head of k) where these
// keep all threads busy; else one walk over blocks of keys and another over blocks of queries share out finer tasks.
// Sums are added in the order of the blocks either way, so no choice changes a bit.
#include "attention.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "contract.h"
#include "dispatch.h"
#include "storage.h"
#include "tensor.h"
#include "threads.h"

namespace flambeau {

namespace {

constexpr int64_t kKeyBlock = 256;
constexpr int kSlot = 6;
constexpr int64_t kSerialWork = int64_t{1} << 17;  // multiply-adds below which a call stays on one thread

using Map = void (*)(char* const*, const int64_t*, const int64_t*, int64_t, int64_t);
using Row = void (*)(char* const*, const int64_t*, const int64_t*, int64_t, int64_t, char*);

// Short blocks follow the diagonal closer, long ones pack the keys less often.
int64_t query_block(const Attention& a) { return a.causal && a.queries <= 512 ? 32 : 64; }
int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t line(int64_t bytes) { return (bytes + 63) / 64 * 64; }

struct Place {  // a batch and a head
    int64_t batch, head;
};

char* at(const AttentionOperand& o, Place p, int64_t row, int64_t item) {
    return o.data + (p.batch * o.batch + p.head * o.head + row * o.row) * item;
}

// c[m, n] (+)= a[m, k] @ b[k, n], strides in elements.
void multiply(const Attention& a, int64_t m, int64_t n, int64_t k, const char* x, int64_t x_m, int64_t x_k, const char* y,
              int64_t y_k, int64_t y_n, char* z, int64_t z_m, int64_t z_n, bool accumulate) {
    ContractProblem p;
    p.dtype = a.dtype;
    p.m = m, p.n = n, p.k = k;
    p.a = x, p.a_m = x_m, p.a_k = x_k;
    p.b = y, p.b_k = y_k, p.b_n = y_n;
    p.c = z, p.c_m = z_m, p.c_n = z_n;
    p.accumulate = accumulate;
    contract(p);
}

// The operands of a step kernel, in the order in which they are declared.
struct Operands {
    char* pointers[24];
    int64_t rows[24], lengths[24];
    int count = 0;
    void element(char* data, int64_t row, int64_t length) { pointers[count] = data, rows[count] = row, lengths[count++] = length; }
    void value(const void* data, int64_t row) { element(static_cast<char*>(const_cast<void*>(data)), row, 0); }
};

// What one block of queries and one of keys share, and the memory they work in.
struct Block {
    const Attention& a;
    int64_t item, pitch;                       // bytes of an element; elements of a line of scores
    char *scores, *more, *sums, *maximum, *total, *correction, *difference;
    int64_t *last, *place;

    static int64_t key_block(const Attention& a) { return std::min(kKeyBlock, a.keys); }
    Block(const Attention& problem, bool backward) : a(problem), item(item_size(problem.dtype)) {
        pitch = line((key_block(a) + 8) * item) / item;
        const int64_t rows = std::min(query_block(a), a.queries), square = line(rows * pitch * item);
        const int64_t wide = line(rows * a.width * item), column = line(rows * 8);
        char* memory = scratch(square * (backward ? 2 : 1) + wide + 6 * column, kSlot);
        auto take = [&](int64_t bytes) { return std::exchange(memory, memory + bytes); };
        scores = take(square);
        more = backward ? take(square) : nullptr;
        sums = take(wide);
        maximum = take(column), total = take(column), correction = take(column), difference = take(column);
        last = reinterpret_cast<int64_t*>(take(column)), place = reinterpret_cast<int64_t*>(take(column));
    }

    int64_t keys_seen(int64_t q0, int64_t rows) const { return a.causal ? std::min(a.keys, q0 + rows) : a.keys; }

    void score(Place p, int64_t q0, int64_t rows, int64_t k0, int64_t keys) {
        const Place kp{p.batch, p.head / a.group};
        multiply(a, rows, keys, a.inner, at(a.q, p, q0, item), a.q.row, a.q.column, at(a.k, kp, k0, item), a.k.column,
                 a.k.row, scores, pitch, 1, false);
    }

    // Appends what both step kernels end with, and runs the kernel.
    void finish_step(Operands& o, Place p, int64_t q0, int64_t rows, int64_t k0, int64_t keys, bool cut) {
        if (cut) {
            for (int64_t i = 0; i < rows; ++i) last[i] = q0 + i - k0;
            o.value(last, 8);
        }
        if (a.dropout) {
            for (int64_t i = 0; i < rows; ++i)
                place[i] = a.position + ((p.batch * a.heads + p.head) * a.queries + q0 + i) * a.keys + k0;
            o.value(place, 8);
        }
        o.value(&a.scale, 0);
        if (a.dropout) o.value(&a.threshold, 0), o.value(&a.kept, 0), o.value(&a.seed, 0);
        const AttentionKernel& kernel = cut ? a.causal_kernel : a.plain;
        reinterpret_cast<Row>(kernel.address)(o.pointers, o.rows, o.lengths, rows, keys,
                                              kernel.scratch ? scratch(kernel.scratch * keys) : nullptr);
    }
    void add_mask(Operands& o, Place p, int64_t q0, int64_t k0) {
        if (!a.mask.data) return;
        char* data = at(a.mask, p, q0, a.mask_item) + k0 * a.mask.column * a.mask_item;
        o.element(data, a.mask.row * a.mask_item, a.mask.column * a.mask_item);
    }
    bool cuts(int64_t q0, int64_t k0, int64_t keys) const { return a.causal && k0 + keys - 1 > q0; }
    int64_t statistic(Place p, int64_t q0) const { return ((p.batch * a.heads + p.head) * a.queries + q0) * item; }
};

void forward_task(const Attention& a, Place p, int64_t q0) {
    Block b(a, false);
    const int64_t item = b.item, rows = std::min(query_block(a), a.queries - q0), seen = b.keys_seen(q0, rows);
    const int64_t step = Block::key_block(a);
    const Place kp{p.batch, p.head / a.group};
    for (int64_t i = 0; i < rows; ++i) {
        // No key was met yet: the maximum of nothing, and a sum of zero.
        write_double(a.dtype, b.maximum + i * item, -std::numeric_limits<double>::infinity());
        std::memset(b.total + i * item, 0, size_t(item));
    }
    for (int64_t k0 = 0; k0 < seen; k0 += step) {
        const int64_t keys = std::min(step, seen - k0);
        b.score(p, q0, rows, k0, keys);
        Operands o;
        o.element(b.scores, b.pitch * item, item);
        o.value(b.maximum, item), o.value(b.total, item), o.value(b.correction, item);
        o.element(b.scores, b.pitch * item, item);
        b.add_mask(o, p, q0, k0);
        o.value(b.maximum, item), o.value(b.total, item);
        b.finish_step(o, p, q0, rows, k0, keys, b.cuts(q0, k0, keys));
        if (k0) {
            char* pointers[3] = {b.sums, b.sums, b.correction};
            const int64_t inner[3] = {item, item, 0}, outer[3] = {a.width * item, a.width * item, item};
            reinterpret_cast<Map>(a.rescale.address)(pointers, inner, outer, a.width, rows);
        }
        multiply(a, rows, a.width, keys, b.scores, b.pitch, 1, at(a.v, kp, k0, item), a.v.row, a.v.column, b.sums,
                 a.width, 1, k0 > 0);
    }
    char* pointers[3] = {at(a.out, p, q0, item), b.sums, b.total};
    const int64_t inner[3] = {item, item, 0}, outer[3] = {a.out.row * item, a.width * item, item};
    reinterpret_cast<Map>(a.finish.address)(pointers, inner, outer, a.width, rows);
    if (!a.statistics) return;
    char* summary[3] = {a.statistics + b.statistic(p, q0), b.maximum, b.total};
    const int64_t columns[3] = {item, item, item}, none[3] = {0, 0, 0};
    reinterpret_cast<Map>(a.summary.address)(summary, columns, none, rows, 1);
}

// Weights into `scores`, the cotangents of the scores into `more`.
void recompute(Block& b, Place p, int64_t q0, int64_t rows, int64_t k0, int64_t keys) {
    const Attention& a = b.a;
    const int64_t item = b.item;
    const Place kp{p.batch, p.head / a.group};
    b.score(p, q0, rows, k0, keys);
    multiply(a, rows, keys, a.width, at(a.gradient, p, q0, item), a.gradient.row, a.gradient.column,
             at(a.v, kp, k0, item), a.v.column, a.v.row, b.more, b.pitch, 1, false);
    Operands o;
    o.element(b.scores, b.pitch * item, item), o.element(b.more, b.pitch * item, item);
    o.element(b.scores, b.pitch * item, item), o.element(b.more, b.pitch * item, item);
    b.add_mask(o, p, q0, k0);
    o.value(a.statistics + b.statistic(p, q0), item), o.value(b.difference, item);
    b.finish_step(o, p, q0, rows, k0, keys, b.cuts(q0, k0, keys));
}

// sum(gradient * out) of every row of the block.
void find_difference(Block& b, Place p, int64_t q0, int64_t rows) {
    const Attention& a = b.a;
    const int64_t item = b.item;
    Operands o;
    o.value(b.difference, item);
    o.element(at(a.gradient, p, q0, item), a.gradient.row * item, a.gradient.column * item);
    o.element(at(a.out, p, q0, item), a.out.row * item, a.out.column * item);
    reinterpret_cast<Row>(a.delta.address)(o.pointers, o.rows, o.lengths, rows, a.width,
                                           a.delta.scratch ? scratch(a.delta.scratch * a.width) : nullptr);
}

void clear(const AttentionOperand& o, Place p, int64_t row, int64_t rows, int64_t columns, int64_t item) {
    for (int64_t i = 0; i < rows; ++i) std::memset(at(o, p, row + i, item), 0, size_t(columns * item));
}

// The pairs of blocks of one head of k in [k_begin, k_end), for the gradients that are wanted.
void backward_task(const Attention& a, int64_t batch, int64_t key_head, int64_t k_begin, int64_t k_end, int64_t q_begin,
                   int64_t q_end, bool want_q, bool want_kv) {
    Block b(a, true);
    const int64_t item = b.item, step = Block::key_block(a);
    const Place kp{batch, key_head};
    for (int64_t k0 = k_begin; k0 < k_end; k0 += step) {
        bool first = true;
        for (int64_t g = 0; g < a.group; ++g) {
            const Place p{batch, key_head * a.group + g};
            for (int64_t q0 = q_begin; q0 < q_end; q0 += query_block(a)) {
                const int64_t rows = std::min(query_block(a), a.queries - q0), seen = b.keys_seen(q0, rows);
                if (k0 >= seen) continue;
                const int64_t keys = std::min({step, seen - k0, a.keys - k0});
                const int64_t whole = std::min(step, a.keys - k0);
                find_difference(b, p, q0, rows);
                recompute(b, p, q0, rows, k0, keys);
                if (want_q)
                    multiply(a, rows, a.inner, keys, b.more, b.pitch, 1, at(a.k, kp, k0, item), a.k.row, a.k.column,
                             at(a.by_q, p, q0, item), a.by_q.row, a.by_q.column, k0 > 0);
                if (want_kv) {
                    if (first && keys < whole) {  // later rows of the block are met by later queries only
                        clear(a.by_k, kp, k0 + keys, whole - keys, a.inner, item);
                        clear(a.by_v, kp, k0 + keys, whole - keys, a.width, item);
                    }
                    multiply(a, keys, a.width, rows, b.scores, 1, b.pitch, at(a.gradient, p, q0, item), a.gradient.row,
                             a.gradient.column, at(a.by_v, kp, k0, item), a.by_v.row, a.by_v.column, !first);
                    multiply(a, keys, a.inner, rows, b.more, 1, b.pitch, at(a.q, p, q0, item), a.q.row, a.q.column,
                             at(a.by_k, kp, k0, item), a.by_k.row, a.by_k.column, !first);
                }
                first = false;
            }
        }
        if (want_kv && first) {
            const int64_t rows = std::min(step, a.keys - k0);
            clear(a.by_k, kp, k0, rows, a.inner, item);
            clear(a.by_v, kp, k0, rows, a.width, item);
        }
    }
}

template <class F>
void share(const Attention& a, int64_t tasks, F&& task) {
    if (a.batch * a.heads * a.queries * a.keys * (a.inner + a.width) > kSerialWork && tasks > 1)
        return parallel_for(tasks, task);
    for (int64_t i = 0; i < tasks; ++i) task(i);
}

}  // namespace

void attention_forward(const Attention& a) {
    const int64_t blocks = ceil_div(a.queries, query_block(a));
    share(a, a.batch * a.heads * blocks, [&](int64_t task) {
        const int64_t pair = task / blocks, block = blocks - 1 - task % blocks;  // long rows of a causal head first
        forward_task(a, Place{pair / a.heads, pair % a.heads}, block * query_block(a));
    });
}

void attention_backward(const Attention& a) {
    const int64_t heads = a.heads / a.group, pairs = a.batch * heads, step = Block::key_block(a);
    if (pairs >= 2 * thread_count() || pairs % thread_count() == 0 || thread_count() == 1) {
        share(a, pairs, [&](int64_t task) {
            backward_task(a, task / heads, task % heads, 0, a.keys, 0, a.queries, true, true);
        });
        return;
    }
    const int64_t key_blocks = ceil_div(a.keys, step), query_blocks = ceil_div(a.queries, query_block(a));
    share(a, pairs * key_blocks, [&](int64_t task) {
        const int64_t pair = task / key_blocks, k0 = task % key_blocks * step;
        backward_task(a, pair / heads, pair % heads, k0, std::min(a.keys, k0 + step), 0, a.queries, false, true);
    });
    share(a, pairs * query_blocks, [&](int64_t task) {
        const int64_t pair = task / query_blocks, q0 = (query_blocks - 1 - task % query_blocks) * query_block(a);
        backward_task(a, pair / heads, pair % heads, 0, a.keys, q0, std::min(a.queries, q0 + query_block(a)), true, false);
    });
}

}  // namespace flambeau
