// See loop.h.
#include "loop.h"

#include <algorithm>
#include <cmath>

#include "rows.h"
#include "threads.h"

namespace flambeau {

void normalise(Loop& loop) {
    int order[kMaxDims], n = 0;
    for (int d = 0; d < loop.ndim; ++d)
        if (loop.sizes[d] != 1) order[n++] = d;
    for (int i = 1; i < n; ++i)
        for (int j = i; j > 0; --j) {
            int64_t a = 0, b = 0;
            for (int o = 0; o < loop.operands && a == b; ++o)
                a = loop.strides[o][order[j - 1]], b = loop.strides[o][order[j]];
            if (a >= b) break;
            std::swap(order[j - 1], order[j]);
        }
    Loop out;
    out.operands = loop.operands;
    for (int i = 0; i < n; ++i) {
        int d = order[i];
        bool merge = out.ndim > 0;
        for (int o = 0; o < loop.operands && merge; ++o)
            merge = out.strides[o][out.ndim - 1] == loop.strides[o][d] * loop.sizes[d];
        if (merge) {
            out.sizes[out.ndim - 1] *= loop.sizes[d];
            for (int o = 0; o < loop.operands; ++o) out.strides[o][out.ndim - 1] = loop.strides[o][d];
        } else {
            out.sizes[out.ndim] = loop.sizes[d];
            for (int o = 0; o < loop.operands; ++o) out.strides[o][out.ndim] = loop.strides[o][d];
            ++out.ndim;
        }
    }
    loop.ndim = out.ndim;
    for (int d = 0; d < out.ndim; ++d) {
        loop.sizes[d] = out.sizes[d];
        for (int o = 0; o < loop.operands; ++o) loop.strides[o][d] = out.strides[o][d];
    }
}

void run_block(MapKernel kernel, char* const* bases, const Loop& loop, int64_t outer_begin, int64_t outer_end,
               int64_t inner_begin, int64_t inner_end) {
    int nd = loop.ndim, operands = loop.operands;
    int64_t inner_strides[kMaxOperands], outer_strides[kMaxOperands];
    char* pointers[kMaxOperands];
    int64_t rows = nd >= 2 ? loop.sizes[nd - 2] : 1;
    for (int o = 0; o < operands; ++o) {
        inner_strides[o] = nd ? loop.strides[o][nd - 1] : 0;
        outer_strides[o] = nd >= 2 ? loop.strides[o][nd - 2] : 0;
    }
    int64_t position = outer_begin;
    while (position < outer_end) {
        int64_t row = position % rows, rest = position / rows;
        int64_t count = std::min(rows - row, outer_end - position);
        for (int o = 0; o < operands; ++o)
            pointers[o] = bases[o] + inner_begin * inner_strides[o] + row * outer_strides[o];
        for (int d = nd - 3; d >= 0; --d) {
            int64_t at = rest % loop.sizes[d];
            rest /= loop.sizes[d];
            for (int o = 0; o < operands; ++o) pointers[o] += at * loop.strides[o][d];
        }
        kernel(pointers, inner_strides, outer_strides, inner_end - inner_begin, count);
        position += count;
    }
}

bool reads_across(const Loop& loop) {
    int nd = loop.ndim;
    if (nd < 2 || loop.sizes[nd - 1] <= 64) return false;
    for (int o = 0; o < loop.operands; ++o) {
        int64_t in = std::abs(loop.strides[o][nd - 1]), out = std::abs(loop.strides[o][nd - 2]);
        if (in > 64 && out > 0 && out < in) return true;
    }
    return false;
}

void run_loop(MapKernel kernel, char* const* bases, const Loop& loop) {
    int nd = loop.ndim;
    int64_t inner = nd ? loop.sizes[nd - 1] : 1, outer = 1;
    for (int d = 0; d + 1 < nd; ++d) outer *= loop.sizes[d];
    bool transposed = reads_across(loop);
    int64_t total = inner * outer;
    if (total < kParallelWork && !transposed) {
        run_block(kernel, bases, loop, 0, outer, 0, inner);
        return;
    }
    int64_t inner_block = transposed ? 64 : std::min<int64_t>(inner, kTaskWork);
    if (inner_block > 64) inner_block = (inner_block + 63) / 64 * 64;
    int64_t inner_blocks = (inner + inner_block - 1) / inner_block;
    int64_t outer_block = std::max<int64_t>(1, kTaskWork / std::min(inner, inner_block));
    int64_t outer_blocks = (outer + outer_block - 1) / outer_block;
    auto task = [&](int64_t t) {
        int64_t i = t % inner_blocks, o = t / inner_blocks;
        run_block(kernel, bases, loop, o * outer_block, std::min(outer, (o + 1) * outer_block), i * inner_block,
                  std::min(inner, (i + 1) * inner_block));
    };
    GilRelease unlocked(total >= kReleaseWork);
    parallel_for(inner_blocks * outer_blocks, task);
}

}  // namespace flambeau
