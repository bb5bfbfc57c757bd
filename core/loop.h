// The loop of a map: the iteration space of an elementwise kernel over operands of any strides, and running it.
// It is not: the kernel (generated code), its choice or history (dispatch.cpp), or loops with reductions (rows.h).
// Called by dispatch.cpp and copy.cpp.
#pragma once
#include "dispatch.h"

namespace flambeau {

constexpr int64_t kParallelWork = 1 << 16;  // elements below which threads cost more than they bring
constexpr int64_t kTaskWork = 1 << 15;
constexpr int64_t kReleaseWork = 1 << 18;   // elements from which the GIL is let go

// The iteration space of a map: sizes, and for every operand its byte strides, outermost first.
struct Loop {
    int ndim = 0;
    int operands = 0;
    int64_t sizes[kMaxDims];
    int64_t strides[kMaxOperands][kMaxDims];
};

/// Orders by the first operand's stride, drops dimensions of size 1, merges neighbours that every operand walks as one.
void normalise(Loop& loop);
/// Some of the outer iterations and a part of the inner one, on this thread.
void run_block(MapKernel kernel, char* const* bases, const Loop& loop, int64_t outer_begin, int64_t outer_end,
               int64_t inner_begin, int64_t inner_end);
/// A transposed operand reads a cache line for one element: narrow inner blocks keep those lines until used up.
bool reads_across(const Loop& loop);
/// The whole loop, on the pool above a work threshold.
void run_loop(MapKernel kernel, char* const* bases, const Loop& loop);

}  // namespace flambeau
