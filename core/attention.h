// Attention in tiles: softmax(scale * q @ k^T + mask) @ v and its gradient, in memory that is linear in the sequence.
//
// Blocks of queries meet blocks of keys; a running maximum and sum of every row stand for the scores, which are never
// kept. The row arithmetic is machine code from the declarations in flambeau/ops/attention.py; only the order of blocks,
// the contractions and the threads live here. It knows no tensors: callers have checked, allocated and broadcast.
#pragma once

#include <cstdint>

namespace flambeau {

/// A matrix for every batch and head; strides in elements.
struct AttentionOperand {
    char* data = nullptr;
    int64_t batch = 0, head = 0, row = 0, column = 0;
};

struct AttentionKernel {
    void* address = nullptr;
    int64_t scratch = 0;  // bytes for each element of a row
};

struct Attention {
    uint8_t dtype = 0;
    int64_t batch = 0, heads = 0, group = 1, queries = 0, keys = 0, inner = 0, width = 0;  // group: heads of q for one of k
    AttentionOperand q, k, v, out, mask;  // mask.data null: none
    char* statistics = nullptr;           // log of the sum of exponentials, [batch, heads, queries]
    int64_t mask_item = 1;
    bool causal = false, dropout = false;
    double scale = 1, kept = 1;              // kept: what a weight that dropout keeps is multiplied with
    int64_t threshold = 0, seed = 0, position = 0;  // dropout: random words below the threshold are dropped
    AttentionKernel plain, causal_kernel;    // the step of rows all of whose keys are seen, and of the others
    AttentionKernel rescale, finish, summary, delta;
    // Backward only.
    AttentionOperand gradient, by_q, by_k, by_v;
};

void attention_forward(const Attention&);
void attention_backward(const Attention&);

}  // namespace flambeau
