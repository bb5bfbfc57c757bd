// Transposed copies: a source that runs along another dimension than its target, moved in squares.
// It is not: the kernel that turns a square round (generated code, compiler/transposition.py) or the choice of when a
// copy is one (copy.cpp, which is its only caller).
#pragma once

#include <cstdint>

namespace flambeau {

constexpr int kMaxTransposedDims = 16;

/// target[outer, c, r] = source[outer, r, c]: r is contiguous in the target, c in the source; strides are in bytes.
struct Transposition {
    int64_t item = 0;                 // bytes of an element: 1, 2, 4, 8 or 16
    int64_t rows = 0, columns = 0;    // how many r and c
    int64_t from_line = 0, to_line = 0;  // from one r to the next in the source, one c to the next in the target
    int outer = 0;                    // further dimensions
    int64_t sizes[kMaxTransposedDims], from_strides[kMaxTransposedDims], to_strides[kMaxTransposedDims];
    bool past = false;                // the target is so large that it is written past the caches

    int64_t numel() const;
    /// Needs the lock of Python: it may ask the compiler for the kernel. `copy` then needs nothing.
    void prepare();
    /// On the pool above a work threshold.
    void copy(char* to, const char* from) const;

  private:
    void* plain_kernel = nullptr;
    void* past_kernel = nullptr;
    void block(char* to, const char* from, int64_t rows, int64_t columns, int64_t ahead) const;
};

/// The compiler's answer: the address of the kernel for an element size; set by the bindings.
extern void* (*request_transposition)(int64_t item, bool past);

}  // namespace flambeau
