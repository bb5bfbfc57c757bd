// Dispatch: from a call with tensors to machine code: promote, broadcast, normalise layouts, allocate, look the kernel
// up by structure, run it (on the pool above a work threshold), push a tape node. On a miss it asks the compiler.
// It is not: a formula of any operation (those are declarations in flambeau/ops). Called by the bindings and the tape.
#pragma once
#include <bit>
#include <new>
#include <unordered_map>

#include "tape.h"

namespace flambeau {

constexpr int kMaxOutputs = 4;    // of one kernel; its classes have room for so many dtypes
constexpr int kMaxOperands = 24;  // outputs and inputs of one kernel

// One operand of a call: a tensor, or a Python number passed by value.
struct Arg {
    TensorRef tensor;
    uint8_t code = kFloat32;   // of a number: kBool, kInt64, kUInt64, kFloat64 or kComplex128
    union {
        int64_t integer;
        double real;
        double parts[2];       // of a complex number
    };
    Arg() : integer(0) {}
    explicit Arg(Tensor* t) : tensor(t), code(t->dtype), integer(0) {}
    static Arg of(double v) { Arg a; a.code = kFloat64; a.real = v; return a; }
    static Arg of(double re, double im) { Arg a; a.code = kComplex128; a.parts[0] = re; a.parts[1] = im; return a; }
    static Arg of_int(int64_t v) { Arg a; a.code = kInt64; a.integer = v; return a; }
    bool is_number() const { return !tensor; }
    int64_t second() const { return code == kComplex128 && !tensor ? std::bit_cast<int64_t>(parts[1]) : 0; }
};

// The operands of one call, made one after the other: most calls have two of the many there may be.
class Operands {
public:
    Operands() {}
    ~Operands() {
        for (int i = 0; i < count_; ++i) at(i)->~Arg();
    }
    Operands(const Operands&) = delete;
    Operands& operator=(const Operands&) = delete;
    void add(Arg operand) {
        if (count_ == kMaxOperands) fail(ErrorKind::Value, "an operation takes at most 24 operands");
        new (room_ + sizeof(Arg) * count_++) Arg(std::move(operand));
    }
    void clear() {
        while (count_) at(--count_)->~Arg();
    }
    int count() const { return count_; }
    Arg& operator[](int i) { return *at(i); }
    operator Arg*() { return at(0); }

private:
    Arg* at(int i) { return std::launder(reinterpret_cast<Arg*>(room_)) + i; }
    int count_ = 0;
    alignas(Arg) char room_[kMaxOperands * sizeof(Arg)];
};

using MapKernel = void (*)(char* const*, const int64_t*, const int64_t*, int64_t, int64_t);
using RowKernel = void (*)(char* const*, const int64_t*, const int64_t*, int64_t, int64_t, char*);

struct KernelEntry {
    uint64_t classes[2];
    void* address;
    int64_t scratch;
};

enum class Read : uint8_t { Gradient, Input, Output };
struct GradientPlan {
    uint32_t needs = 0;
    struct Operation* operation = nullptr;      // null and no callable: not differentiable
    std::vector<std::pair<Read, int>> operands;
    // For each needed input in order: the gradient that passes through unchanged, or -1.
    std::vector<int> through;
    std::vector<int> result_of;                 // which output of `operation` belongs to it, or -1
    // Where more gradients are computed than one kernel has outputs: several operations, one after the other.
    struct Part {
        struct Operation* operation;
        std::vector<int> operands;              // positions in `operands`
        int first;                              // its first result among all
    };
    std::vector<Part> parts;
};

// What a combination of operand dtypes means for one operation. Asked once, kept for ever.
struct Resolution {
    uint64_t key[2];
    int operands = 0, outputs = 0;
    uint8_t operand_codes[kMaxOperands];
    uint8_t output_codes[kMaxOutputs];
    bool output_rows[kMaxOutputs] = {};      // row kind: this output exists once a row
    void* compute = nullptr;       // the compiler's name for the dtype it computes in, owned
    std::vector<KernelEntry> kernels;
    std::vector<std::unique_ptr<GradientPlan>> gradients;
    struct Operation* partial = nullptr;  // row kind: how a long reduction is split, once asked
    struct Operation* final = nullptr;
    bool split_asked = false;
};

struct Operation {
    std::string name, grad_name;
    bool row = false;
    bool differentiable = true;
    bool uses_index = false;
    int divisor = -1;                           // an operand that must not be zero among integers
    int inputs = 0;                             // tensors (or numbers), without the parameters
    std::vector<std::string> names;             // of inputs and parameters
    std::vector<Arg> defaults;                  // of the parameters
    std::vector<bool> has_default;
    std::vector<bool> row_input;                // row kind: level of every operand
    void* declaration = nullptr;                // the Python object, owned
    std::vector<std::unique_ptr<Resolution>> resolutions;
    uint64_t epoch = 0;
};

struct RowArguments {
    uint32_t dims = 0;        // bit mask over the broadcast shape
    bool all = true;          // every dimension
    bool keepdim = false;
};

// What dispatch asks of the compiler, set by the bindings.
struct CompilerBridge {
    void (*resolve)(Operation&, const uint8_t* codes, const uint8_t* categories, int count, Resolution&) = nullptr;
    void* (*compile_map)(Operation&, const Resolution&, const uint8_t* output_codes, const std::string& classes) = nullptr;
    void* (*compile_row)(Operation&, const Resolution&, const uint8_t* output_codes, const char* schedule,
                         const std::string& classes, int64_t& scratch) = nullptr;
    void (*gradient)(Operation&, const Resolution&, GradientPlan&) = nullptr;
    void (*split)(Operation&, Resolution&) = nullptr;
    uint64_t epoch = 1;       // grows when the default dtype changes: every answer is asked again
};
extern CompilerBridge compiler;

// The operations the core itself asks for, registered by name.
struct Builtins {
    Operation *add = nullptr, *copy = nullptr, *sum = nullptr, *conj = nullptr;
};
extern Builtins builtins;

// Without history; outputs that are null are allocated.
void run_map(Operation&, Resolution&, Arg* args, int count, TensorRef* outputs);
// Runs with history. `outputs` holds targets (out= or in place) or nulls, and the results afterwards.
void call_map(Operation&, Arg* args, int count, TensorRef* outputs);
// Into given outputs (out=): resized with their old contents lost if their shape differs, checked for overlap and dtype.
void call_out(Operation&, Arg* args, int count, TensorRef* outputs);
void call_map_in_place(Operation&, Arg* args, int count);
void call_row(Operation&, Arg* args, int count, const RowArguments&, TensorRef* outputs);
// The same over a given full shape: gradients may have no operand of that shape.
void call_row_over(Operation&, Arg* args, int count, const RowArguments&, const Shape* full, TensorRef* outputs);
int output_count(Operation&, Arg* args, int count);

// Many small tensors, one call: args[i] lists operand i of every tensor; written operands are changed in place.
void run_foreach(Operation&, const std::vector<std::vector<TensorRef>>& lists, const std::vector<Arg>& numbers,
                 const std::vector<int>& written);

TensorRef add_tensors(Tensor* a, Tensor* b);
void add_in_place(Tensor* a, Tensor* b);
TensorRef add_gradients(TensorRef a, Tensor* b);
TensorRef sum_dims(Tensor* t, uint32_t dims);
void copy_elements(Tensor* target, Tensor* source);   // no history, no overlap
void resize(Tensor* t, const Shape& shape);           // new memory if it does not fit
TensorRef conj(Tensor* t);                            // a real tensor is its own
void fill_elements(Tensor* target, double value);
void fill_elements_int(Tensor* target, int64_t value);
void fill_number(Tensor* target, const Arg& number);
void write_number(uint8_t dtype, char* at, const Arg& number);
void write_double(uint8_t dtype, char* at, double value);
void write_int(uint8_t dtype, char* at, int64_t value);

}  // namespace flambeau
