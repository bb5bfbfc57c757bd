// Rows: running kernels that reduce along dimensions (sum, softmax, layer_norm, ...), whatever the layout.
// It is not: the reductions themselves (generated code) or their history (dispatch.cpp, which is its only caller).
#pragma once
#include "dispatch.h"
#include "threads.h"

namespace flambeau {

// Lets other Python threads run during long kernels; set by the bindings.
struct GilBridge {
    void* (*release)() = nullptr;
    void (*acquire)(void*) = nullptr;
};
extern GilBridge gil;
struct GilRelease {
    void* state = nullptr;
    // Inside a task, or under another GilRelease of this thread, there is nothing to let go.
    explicit GilRelease(bool wanted) { if (wanted && gil.release && !released && !inside_parallel()) state = gil.release(), released = true; }
    ~GilRelease() { if (state) released = false, gil.acquire(state); }
    static inline thread_local bool released = false;
    GilRelease(const GilRelease&) = delete;
};

Resolution& resolution_for(Operation& op, const Arg* args, int count);
Shape broadcast_of(Operation& op, const Arg* args, int count);
void copy_strides(int64_t* into, const Tensor* t, const Shape& shape);  // bytes, 0 where broadcast
// Fresh outputs that no cache can hold are written past the caches: a third less memory traffic for a + b.
bool streams(const Tensor* output);
void run_row(Operation& op, Resolution& r, Arg* args, int count, const RowArguments& row, const Shape& full,
             TensorRef* outputs);

}  // namespace flambeau
