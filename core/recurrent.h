// Recurrent layers over whole sequences: the product with the hidden state and the cell's fused map, step after step.
//
// The input's product is done before, for all steps at once, by the caller; so are the gradients of the weights after.
// The map and its gradient are machine code from the declarations in flambeau/ops/recurrent.py; only the order of steps,
// the contractions and the threads live here. It knows no tensors: callers have checked and allocated.
#pragma once

#include <cstdint>
#include <vector>

namespace flambeau {

/// What an operand of a cell's map is: the slot, and which gate for the last two.
enum class CellOperand : int { GradHidden = 0, GradCell = 1, Hidden = 2, Cell = 3, Gate = 16, HiddenGate = 32 };

/// Rows are (step, sequence) pairs, the sequences that are still running at a step first; all matrices are contiguous.
struct Recurrent {
    uint8_t dtype = 0;
    int64_t hidden = 0, state = 0, gates = 0, batch = 0;  // state: the size of h, smaller than hidden with a projection
    bool reverse = false, direct = false;                 // direct: the map itself also reads h
    std::vector<int64_t> sizes;                           // how many sequences run at each step
    char* gate = nullptr;         // [rows, gates * hidden]: from the input, plus (without hidden_gate) from h
    char* hidden_gate = nullptr;  // [rows, gates * hidden] where the cell keeps the two apart, or null
    const char* weight = nullptr;      // forward [state, gates * hidden], backward its transpose
    const char* bias = nullptr;        // added to hidden_gate
    const char* projection = nullptr;  // forward [hidden, state], backward its transpose; or null
    char *h = nullptr, *c = nullptr;                    // [batch, state] and [batch, hidden]: the running state
    char *previous_h = nullptr, *previous_c = nullptr;  // [rows, ...]: the state each row started from
    char* inside = nullptr;                             // [rows, hidden]: h before the projection
    char* output = nullptr;                             // [rows, state]
    void* map = nullptr;
    std::vector<int> operands;    // of the map: its inputs forward, its inputs and then its results backward
    int results = 0;              // backward: how many of them are results
    void* add = nullptr;
    // Backward: h and c hold the cotangents of the running state, output those of the output.
    char *by_gate = nullptr, *by_hidden_gate = nullptr, *by_inside = nullptr;
    char* by_output = nullptr;    // [rows, state]: the whole cotangent of each h, where there is a projection
};

void recurrent_forward(const Recurrent&);
void recurrent_backward(const Recurrent&);

}  // namespace flambeau
