// The plan: prepared kernel launches over numbered slots of memory, run in one call without Python.
// It is not: how the record was made (record.h) or what was fused (flambeau/compiler/plan.py). PlanBuilder turns steps
// into launches by letting dispatch prepare them; python_plan.cpp binds the slots and runs.
#pragma once
#include "record.h"
#include "rows.h"

namespace flambeau {

// Where an operand is: an offset into a slot, or a number the launch holds itself.
struct Place {
    int slot;                 // -1: a number; -2: the integer itself is the pointer (the start of an index)
    int64_t offset;           // bytes, or the bits of the number
};

enum class LaunchKind : uint8_t { Flat, Run, Again };

struct Launch {
    LaunchKind kind = LaunchKind::Run;
    std::string name;
    int step = -1;
    std::vector<Place> places;
    int outputs = 0;                            // the first places are written
    // Flat: one call of a map kernel over contiguous memory.
    MapKernel kernel = nullptr;
    int64_t size = 0;
    std::vector<int64_t> strides;
    // Run: anything else, with the pointers of the places.
    std::function<void(char* const*)> run;
    // Again: a call of an operation on headers whose memory is set first.
    std::vector<TensorRef> headers;             // outputs, then inputs, as the places are
    std::vector<Tensor*> given;                 // the same, inputs first, as the operation takes them
    std::vector<Ref<Storage>> storages;
    CallAgain again;
};

enum class SlotKind : uint8_t { Unknown, Arena, Output, Fixed, Argument, Gradient, Live };

struct Slot {
    SlotKind kind = SlotKind::Unknown;
    size_t bytes = 0;
    int number = 0;            // of the argument, leaf, or live value
    int64_t offset = 0;        // in the arena
    bool written = false;      // by a launch
    bool read_first = false;   // read before any launch writes it
    int first = -1, last = -1; // launches
    Storage* storage = nullptr;  // of the record, to find it; borrowed except for Fixed, where `keep` holds it
    Ref<Storage> keep;
};

class PlanBuilder {
  public:
    explicit PlanBuilder(Recorder& r) : record(r) {}
    Recorder& record;
    std::vector<Slot> slots;
    std::vector<Launch> launches;
    std::vector<Ref<Storage>> temporaries;
    std::unordered_map<Storage*, int> slot_numbers;
    int step = -1;
    std::string name;

    int slot_of(Storage* s);
    Place place(Storage* s, const char* p) { return Place{slot_of(s), p - s->data}; }
    Launch& add(const Arg* args, int count, const TensorRef* outputs, int output_count, char* const* bases);
    void again(const std::vector<Tensor*>& inputs, const std::vector<Tensor*>& outputs, CallAgain);
    void prepare(const Step&, int number);
    void prepare_map(Operation&, Arg* args, int count, TensorRef* outputs);
    void finish_use();                           // first and last launch of every slot
};

// Puts the slots of the arena at offsets so that slots alive at the same time do not overlap; returns its size.
size_t lay_out(std::vector<Slot>&);

void run_launches(const std::vector<Launch>&, char* const* slots);

// What dispatch offers the builder: the launches of a step, prepared while recorder->builder is set.
void prepare_map_step(Operation&, Arg* args, int count, TensorRef* outputs);
void contract_step(Tensor* c, const Tensor* a, const Tensor* b, const Tensor* bias);

}  // namespace flambeau
