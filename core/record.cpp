// See record.h.
#include "record.h"

#include <algorithm>

namespace flambeau {

RecorderSwitch recorder;

int Recorder::number_of(Tensor* t) {
    std::vector<int>& known = by_storage[t->storage];
    for (int n : known) {
        Tensor* k = tensors[size_t(n)].get();
        if (k->data == t->data && k->dtype == t->dtype && k->same_shape(*t) && std::equal(t->strides, t->strides + t->ndim, k->strides))
            return n;
    }
    tensors.push_back(alias(t));
    known.push_back(int(tensors.size()) - 1);
    return known.back();
}

int64_t Recorder::held(Storage* s) const {
    auto found = by_storage.find(s);
    return found == by_storage.end() ? 0 : int64_t(found->second.size());
}

namespace {
Step& add(Recorder& r, StepKind kind, Operation* op, std::string name, const Arg* args, int count) {
    Step& step = r.steps.emplace_back();
    step.kind = kind;
    step.operation = op;
    step.name = std::move(name);
    for (int i = 0; i < count; ++i) {
        StepOperand operand;
        if (args[i].tensor) operand.tensor = r.number_of(args[i].tensor.get());
        else operand.number = args[i];
        step.inputs.push_back(operand);
    }
    return step;
}
}  // namespace

void Recorder::map(Operation& op, const Resolution& r, const Arg* args, int count, const TensorRef* outputs) {
    Step& step = add(*this, StepKind::Map, &op, op.name, args, count);
    step.compute = r.compute;
    for (int i = 0; i < r.outputs; ++i) {
        step.outputs.push_back(number_of(outputs[i].get()));
        step.output_codes[i] = outputs[i]->dtype;
    }
}

void Recorder::row(Operation& op, const Resolution& r, const Arg* args, int count, const RowArguments& row,
                   const Shape& full, const TensorRef* outputs) {
    Step& step = add(*this, StepKind::Row, &op, op.name, args, count);
    step.compute = r.compute;
    step.row = row;
    step.full = full;
    for (int i = 0; i < r.outputs; ++i) {
        step.outputs.push_back(number_of(outputs[i].get()));
        step.output_codes[i] = outputs[i]->dtype;
    }
}

void Recorder::contract(Tensor* c, const Tensor* a, const Tensor* b, const Tensor* bias) {
    Arg args[3];
    int count = 0;
    for (const Tensor* t : {a, b, bias})
        if (t) args[count++] = Arg(const_cast<Tensor*>(t));
    Step& step = add(*this, StepKind::Contract, nullptr, "contract", args, count);
    step.outputs.push_back(number_of(c));
    step.output_codes[0] = c->dtype;
}

void Recorder::zero(Tensor* t) {
    Step& step = add(*this, StepKind::Zero, nullptr, "zeros", nullptr, 0);
    step.outputs.push_back(number_of(t));
    step.output_codes[0] = t->dtype;
}

void Recorder::constant(Tensor* t) {
    if (!t->numel) return;
    Step& step = add(*this, StepKind::Constant, nullptr, "constant", nullptr, 0);
    step.outputs.push_back(number_of(t));
    step.output_codes[0] = t->dtype;
    step.bytes = std::make_shared<std::string>(t->data, size_t(t->numel) * item_size(t->dtype));
}

void Recorder::call(const char* name, const std::vector<Tensor*>& inputs, const std::vector<Tensor*>& outputs, CallAgain f) {
    std::vector<Arg> args;
    for (Tensor* t : inputs) args.emplace_back(t);
    Step& step = add(*this, StepKind::Call, nullptr, name, args.data(), int(args.size()));
    for (Tensor* t : outputs) step.outputs.push_back(number_of(t));
    step.call = std::move(f);
}

void note_step(const char* name, Tensor* const* tensors, int inputs, int outputs, CallAgain work) {
    std::vector<Tensor*> given[2];
    std::vector<int> places;  // of each tensor among those that are there
    for (int i = 0; i < inputs + outputs; ++i) {
        places.push_back(tensors[i] ? int(given[0].size() + given[1].size()) : -1);
        if (tensors[i]) given[i >= inputs].push_back(tensors[i]);
    }
    recorder->call(name, given[0], given[1], [work = std::move(work), places = std::move(places)](Tensor* const* t) {
        std::vector<Tensor*> all;
        all.reserve(places.size());
        for (int at : places) all.push_back(at < 0 ? nullptr : t[at]);
        work(all.data());
    });
}

void Recorder::leaf(Tensor* t, bool reads) {
    if (leaf_numbers.count(t)) return;
    leaf_numbers[t] = leaves.size();
    LeafRecord& made = leaves.emplace_back();
    made.leaf = TensorRef(t);
    if (t->autograd && t->autograd->grad) made.entry = t->autograd->grad;
    made.read = reads;
}

namespace {
std::string user_line() {
    void* line = bridge.here();
    std::string text = bridge.text(line);
    bridge.decrease(line);
    return text;
}
}  // namespace

void refuse_reading(const char* what) {
    fail(ErrorKind::Runtime, std::string(what) + ": the value of a tensor is read inside a compiled function, at " + user_line() +
                                 "; a plan runs without Python, so nothing may depend on values: return the tensor and read "
                                 "it outside, or use where() instead of a branch");
}

void refuse_recording(const char* what) {
    fail(ErrorKind::Runtime, std::string(what) + ": this operation cannot be recorded by compile yet, at " + user_line() +
                                 "; move it out of the compiled function");
}

}  // namespace flambeau
