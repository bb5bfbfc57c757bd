// The recorder: while one is on, dispatch hands it every kernel launch after autograd, so that a plan can repeat them.
// It is not: the plan (plan.h) or the passes that improve a record (flambeau/compiler/plan.py). Written to by dispatch,
// rows, linear, views, index and the bindings; started and stopped by python_record.cpp. With no recorder on, the cost is
// one branch a launch.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>

#include "contract.h"
#include "dispatch.h"

namespace flambeau {

enum class StepKind : uint8_t { Map, Row, Contract, Zero, Constant, Call };

struct StepOperand {
    int tensor = -1;   // number of a recorded tensor, or -1
    Arg number;
};

// Runs an operation again on tensors in the order they were given (inputs, then outputs).
using CallAgain = std::function<void(Tensor* const*)>;

struct Step {
    StepKind kind = StepKind::Map;
    Operation* operation = nullptr;
    std::string name;
    std::vector<StepOperand> inputs;
    std::vector<int> outputs;
    uint8_t output_codes[4] = {};
    void* compute = nullptr;        // of the resolution, borrowed
    RowArguments row;
    Shape full;
    CallAgain call;
    std::shared_ptr<std::string> bytes;  // of a constant made from Python numbers
};

// What happened to a leaf's .grad while recording.
struct LeafRecord {
    TensorRef leaf;
    TensorRef entry;       // .grad when it was first looked at or set
    bool read = false;     // looked at before it was set: the plan depends on it
};

class PlanBuilder;

struct Recorder {
    std::vector<Step> steps;
    std::vector<TensorRef> tensors;                        // aliases: same storage and layout, no history
    std::unordered_map<Storage*, std::vector<int>> by_storage;
    std::vector<LeafRecord> leaves;
    std::unordered_map<Tensor*, size_t> leaf_numbers;
    PlanBuilder* builder = nullptr;                        // set while launches are prepared instead of run
    int depth = 0;                                         // inside an operation that is recorded as a whole
    bool backward = false;

    int number_of(Tensor* t);
    void map(Operation&, const Resolution&, const Arg* args, int count, const TensorRef* outputs);
    void row(Operation&, const Resolution&, const Arg* args, int count, const RowArguments&, const Shape& full,
             const TensorRef* outputs);
    void contract(Tensor* c, const Tensor* a, const Tensor* b, const Tensor* bias);
    void zero(Tensor* t);
    void constant(Tensor* t);                              // just written from Python numbers
    void call(const char* name, const std::vector<Tensor*>& inputs, const std::vector<Tensor*>& outputs, CallAgain);
    void leaf(Tensor* t, bool reads);
    bool records() const { return !builder && depth == 0; }
    int64_t held(Storage* s) const;
};

// The recorder that is on, as seen by the thread that records: other threads go on as ever.
struct RecorderSwitch {
    Recorder* on = nullptr;
    std::thread::id thread;
    operator Recorder*() const {
        if (!on) [[likely]] return nullptr;
        return thread == std::this_thread::get_id() ? on : nullptr;
    }
    Recorder* operator->() const { return on; }
    void set(Recorder* r) { on = r, thread = std::this_thread::get_id(); }
};
extern RecorderSwitch recorder;

// Nobody but one tensor (and the recorder) holds the storage.
inline bool sole_owner(Storage* s) {
    if (s->references == 1) [[likely]] return true;
    return recorder && s->references == 1 + recorder->held(s);
}

[[noreturn]] void refuse_reading(const char* what);
[[noreturn]] void refuse_recording(const char* what);
// Before the value of a tensor reaches Python, or decides what is done next.
inline void reads_value(const char* what) { if (recorder && !recorder->builder) [[unlikely]] refuse_reading(what); }
// Before an operation that has no step yet writes into memory.
inline void not_recordable(const char* what) { if (recorder && recorder->records()) [[unlikely]] refuse_recording(what); }

struct RecordDepth {
    Recorder* on = recorder;
    RecordDepth() { if (on) [[unlikely]] ++on->depth; }
    ~RecordDepth() { if (on) [[unlikely]] --on->depth; }
};

// Notes `work`, which has just run on these tensors (inputs, then outputs; null: absent), as a step.
void note_step(const char* name, Tensor* const* tensors, int inputs, int outputs, CallAgain work);

// Runs `work` on tensors, inputs first, then what it writes, and notes it as one step. `work` must find all memory in the
// tensors that it is given: a plan runs it on others. What it reads and writes is named in both parts. Null: absent.
template <class Work>
void run_step(const char* name, Tensor* const* tensors, int inputs, int outputs, Work work) {
    if (!recorder || !recorder->records()) [[likely]] return work(tensors);
    {
        RecordDepth inside;
        work(tensors);
    }
    note_step(name, tensors, inputs, outputs, std::move(work));
}

}  // namespace flambeau
