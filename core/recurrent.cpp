// See recurrent.h. Sequences do not depend on each other, so where the weights fit a near cache a task takes some of them
// through all steps, without waiting for another; otherwise the steps are walked once and the products share out.
#include "recurrent.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "contract.h"
#include "storage.h"
#include "tensor.h"
#include "threads.h"

namespace flambeau {

namespace {

constexpr int64_t kTaskSequences = 16;
constexpr int64_t kNearWeight = int64_t{1} << 20;  // bytes of weights that every thread may read for itself
constexpr int64_t kMapWork = int64_t{1} << 14;     // elements of a map below which it stays on one thread

using Map = void (*)(char* const*, const int64_t*, const int64_t*, int64_t, int64_t);

// A product with the same weights [k, n] at every step. Where sequences are shared out, each thread multiplies its few
// rows alone, so the weights are packed once, before the first step.
class Weights {
  public:
    Weights(uint8_t dtype, int64_t rows, int64_t n, int64_t k, const char* b, bool accumulate, bool apart) {
        p.dtype = dtype;
        p.m = rows, p.n = n, p.k = k;
        p.a_m = k, p.a_k = 1;
        p.b = b, p.b_k = n, p.b_n = 1;
        p.c_m = n, p.c_n = 1;
        ContractParts parts;
        packed = apart && (dtype == kFloat32 || dtype == kFloat64) && contract_parts(p, parts) && parts.packed;
        p.accumulate = accumulate;
        if (!packed) return;
        memory = Ref<Storage>::adopt(storage_allocate(size_t(parts.packed)));
        parallel_for(parts.panels, [&](int64_t i) { contract_pack(p, p.b, memory->data, i, i + 1); });
    }

    void multiply(int64_t rows, const char* a, char* c, const char* bias) const {
        if (packed) return contract_part(p, rows, a, p.b, bias, c, memory->data);
        ContractProblem some = p;
        some.m = rows, some.a = a, some.c = c, some.bias = bias;
        contract(some);
    }

  private:
    ContractProblem p;
    bool packed = false;
    Ref<Storage> memory;
};

struct Operands {
    char* pointers[24];
    int64_t inner[24], outer[24];
    int count = 0;
    void add(char* data, int64_t item, int64_t row) { pointers[count] = data, inner[count] = item, outer[count++] = row; }
    void run(void* kernel, int64_t columns, int64_t rows) const {
        const auto call = reinterpret_cast<Map>(kernel);
        if (columns * rows < kMapWork) return call(pointers, inner, outer, columns, rows);
        const int64_t block = std::max<int64_t>(1, kMapWork / 2 / columns);
        parallel_for((rows + block - 1) / block, [&](int64_t task) {
            char* moved[24];
            for (int i = 0; i < count; ++i) moved[i] = pointers[i] + task * block * outer[i];
            call(moved, inner, outer, columns, std::min(block, rows - task * block));
        });
    }
};

// The rows of sequences [begin, end) at one step.
struct Step {
    int64_t row, count;  // first row, and how many
};

// Whether a task takes some of the sequences through all steps.
bool shared_out(const Recurrent& r) {
    return r.batch >= 2 * kTaskSequences && r.gates * r.hidden * r.state * item_size(r.dtype) <= kNearWeight;
}

int64_t total_rows(const Recurrent& r) {
    return std::accumulate(r.sizes.begin(), r.sizes.end(), int64_t{0});
}

template <class F>
void walk(const Recurrent& r, bool backward, F&& body) {
    const int64_t steps = int64_t(r.sizes.size());
    std::vector<int64_t> offsets(steps + 1, 0);
    for (int64_t t = 0; t < steps; ++t) offsets[t + 1] = offsets[t] + r.sizes[t];
    const bool down = r.reverse != backward;
    auto sequences = [&](int64_t begin, int64_t end) {
        for (int64_t i = 0; i < steps; ++i) {
            const int64_t t = down ? steps - 1 - i : i, count = std::min(end, r.sizes[t]) - begin;
            if (count > 0) body(Step{offsets[t] + begin, count}, begin);
        }
    };
    if (!shared_out(r)) return sequences(0, r.batch);
    const int64_t tasks = r.batch / kTaskSequences;  // of 16 sequences or a few more: never a single one
    parallel_for(tasks, [&](int64_t task) { sequences(r.batch * task / tasks, r.batch * (task + 1) / tasks); });
}

char* operand_at(const Recurrent& r, int code, const Step& s, int64_t begin, int64_t item, int64_t& row, bool result) {
    const int64_t wide = r.gates * r.hidden * item, narrow = r.hidden * item;
    row = narrow;
    if (code >= int(CellOperand::HiddenGate)) {
        row = wide;
        return (result ? r.by_hidden_gate : r.hidden_gate) + s.row * wide + (code - int(CellOperand::HiddenGate)) * narrow;
    }
    if (code >= int(CellOperand::Gate)) {
        row = wide;
        return (result ? r.by_gate : r.gate) + s.row * wide + (code - int(CellOperand::Gate)) * narrow;
    }
    switch (CellOperand(code)) {
        case CellOperand::GradHidden:
            return r.projection ? r.by_inside + s.row * narrow : r.h + begin * narrow;
        case CellOperand::GradCell: return r.c + begin * narrow;
        case CellOperand::Hidden: return result ? r.h + begin * narrow : r.previous_h + s.row * narrow;
        default: return result ? r.c + begin * narrow : r.previous_c + s.row * narrow;
    }
}

}  // namespace

void recurrent_forward(const Recurrent& r) {
    const int64_t item = item_size(r.dtype), narrow = r.hidden * item, state = r.state * item;
    const int64_t rows = total_rows(r);
    const bool apart = shared_out(r);
    const Weights weights(r.dtype, rows, r.gates * r.hidden, r.state, r.weight, !r.hidden_gate, apart);
    const Weights projection(r.dtype, rows, r.state, r.hidden, r.projection, false, apart && r.projection);
    walk(r, false, [&](const Step& s, int64_t begin) {
        char* previous = r.previous_h + s.row * state;
        std::memcpy(previous, r.h + begin * state, size_t(s.count * state));
        if (r.c) std::memcpy(r.previous_c + s.row * narrow, r.c + begin * narrow, size_t(s.count * narrow));
        char* into = (r.hidden_gate ? r.hidden_gate : r.gate) + s.row * r.gates * narrow;
        weights.multiply(s.count, previous, into, r.bias);
        Operands o;
        char* result = r.output + s.row * state;
        o.add(r.projection ? r.inside + s.row * narrow : result, item, narrow);
        if (r.c) o.add(r.c + begin * narrow, item, narrow);
        for (int code : r.operands) {
            int64_t row;
            char* data = operand_at(r, code, s, begin, item, row, false);
            o.add(data, item, row);
        }
        o.run(r.map, r.hidden, s.count);
        if (r.projection) projection.multiply(s.count, r.inside + s.row * narrow, result, nullptr);
        std::memcpy(r.h + begin * state, result, size_t(s.count * state));
    });
}

void recurrent_backward(const Recurrent& r) {
    const int64_t item = item_size(r.dtype), narrow = r.hidden * item, state = r.state * item;
    const int64_t rows = total_rows(r);
    const bool apart = shared_out(r);
    const Weights weights(r.dtype, rows, r.state, r.gates * r.hidden, r.weight, r.direct, apart);
    const Weights projection(r.dtype, rows, r.hidden, r.state, r.projection, false, apart && r.projection);
    walk(r, true, [&](const Step& s, int64_t begin) {
        char* h = r.h + begin * state;
        Operands sum;
        sum.add(h, item, state), sum.add(h, item, state), sum.add(r.output + s.row * state, item, state);
        sum.run(r.add, r.state, s.count);
        if (r.projection) {
            std::memcpy(r.by_output + s.row * state, h, size_t(s.count * state));
            projection.multiply(s.count, h, r.by_inside + s.row * narrow, nullptr);
        }
        Operands o;
        const int inputs = int(r.operands.size()) - r.results;
        for (int i = 0; i < int(r.operands.size()); ++i) {
            const int at = i < r.results ? inputs + i : i - r.results;  // results come first in a kernel
            int64_t row;
            char* data = operand_at(r, r.operands[at], s, begin, item, row, i < r.results);
            o.add(data, item, row);
        }
        o.run(r.map, r.hidden, s.count);
        const char* from = (r.hidden_gate ? r.by_hidden_gate : r.by_gate) + s.row * r.gates * narrow;
        weights.multiply(s.count, from, h, nullptr);
    });
}

}  // namespace flambeau
