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
    int64_t second = 0;       // the bits of a complex number's imaginary part, which kernels read behind the real one
};

enum class LaunchKind : uint8_t { Flat, Run, Again };

// How a launch runs on a part of its leading dimension: rows of a product, rows of a row kernel, outermost steps of a
// map. A place moves `advance` bytes with each step and a step touches `width` bytes of it; a width of -1 says that
// every step may touch all of the slot.
struct Parts {
    int64_t leading = 0;                        // 0: only as a whole
    std::vector<int64_t> advance, width;        // of each place
    std::function<void(char* const*, int64_t count)> run;
    // A product whose B is packed before the parts run, for all of them: the parts find it behind the last place.
    int64_t packed = 0, panels = 0;
    int source = 0;                             // the place of B
    int64_t whole = 0;                          // bytes of B, which every part reads
    std::function<void(const char* source, char* packed, int64_t first, int64_t last)> pack;

    // With all strides of an operand (leading first), sizes and bytes of an element.
    void operand(const int64_t* strides, const int64_t* sizes, int dims, int64_t item) {
        int64_t extent = item;
        bool forward = dims > 0 && strides[0] >= 0;
        for (int d = 1; d < dims; ++d) {
            extent += (sizes[d] - 1) * strides[d];
            forward = forward && strides[d] >= 0;
        }
        advance.push_back(dims ? strides[0] : 0);
        width.push_back(forward && extent <= advance.back() ? extent : -1);
    }
};

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
    Parts parts;
    double cost = 0;                            // about how many nanoseconds it takes on one thread
};

enum class SlotKind : uint8_t { Unknown, Arena, Output, Fixed, Argument, Gradient, Live, Local };

struct Slot {
    SlotKind kind = SlotKind::Unknown;
    size_t bytes = 0;
    int number = 0;            // of the argument, leaf, or live value
    int64_t offset = 0;        // in the arena
    bool written = false;      // by a launch
    bool read_first = false;   // read before any launch writes it
    int first = -1, last = -1; // groups
    Storage* storage = nullptr;  // of the record, to find it; borrowed except for Fixed, where `keep` holds it
    Ref<Storage> keep;
};

// B of a product packed before a chain runs; kept from run to run while the tensor it is made of keeps its version.
struct PackedWeights {
    int launch = -1;
    int slot = -1;                // where it is packed at every run, or
    bool kept = false;            // in `memory`
    Ref<Storage> memory;
    uint64_t version = 0;
};

// Launches that run together: one; a chain, whose launches follow each other on every block of rows while its values are
// in cache; or a bundle, whose launches do not depend on each other and run side by side.
enum class GroupKind : uint8_t { Single, Chain, Bundle };
struct Group {
    GroupKind kind = GroupKind::Single;
    int first = 0, count = 1;     // launches
    int64_t units = 1;            // a chain's rows can be cut between these
    int64_t rows = 1;             // of its products, or the units
    int64_t bytes = 0;            // that a unit of a chain touches
    double cost = 0;
    bool parallel = false;
    const char* why = "";         // a launch is alone
    std::vector<PackedWeights> packed;
    std::vector<std::pair<int, int64_t>> local;  // slots that live in the thread's own memory: (slot, bytes a unit)
};

class PlanBuilder {
  public:
    explicit PlanBuilder(Recorder& r) : record(r) {}
    Recorder& record;
    std::vector<Slot> slots;
    std::vector<Launch> launches;
    std::vector<Group> groups;
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
    void prepare_row(Operation&, Arg* args, int count, const RowArguments&, const Shape& full, TensorRef* outputs);
    void make_groups();                          // chain.cpp: also puts launches in the order in which they run
    void finish_use();                           // first and last group of every slot
};

// Puts the slots of the arena at offsets so that slots alive at the same time do not overlap; returns its size.
size_t lay_out(std::vector<Slot>&);

void run_launch(const Launch&, char* const* slots);
// `seconds`, if given, takes the time of each group.
void run_groups(std::vector<Group>&, const std::vector<Launch>&, const std::vector<Slot>&, char* const* slots,
                double* seconds = nullptr);

// What dispatch offers the builder: the launches of a step, prepared while recorder->builder is set.
void prepare_map_step(Operation&, Arg* args, int count, TensorRef* outputs);
void contract_step(Tensor* c, const Tensor* a, const Tensor* b, const Tensor* bias);

}  // namespace flambeau
