// See plan.h.
#include "plan.h"

#include <algorithm>
#include <cstring>

namespace flambeau {

int PlanBuilder::slot_of(Storage* s) {
    auto found = slot_numbers.find(s);
    if (found != slot_numbers.end()) return found->second;
    int number = int(slots.size());
    Slot& slot = slots.emplace_back();
    slot.bytes = s->bytes;
    slot.storage = s;
    slot_numbers[s] = number;
    if (!record.by_storage.count(s)) {
        // Made while preparing: a temporary of one step.
        slot.kind = SlotKind::Arena;
        temporaries.emplace_back(s);
    }
    return number;
}

Launch& PlanBuilder::add(const Arg* args, int count, const TensorRef* outputs, int output_count, char* const* bases) {
    Launch& launch = launches.emplace_back();
    launch.name = name;
    launch.step = step;
    launch.outputs = output_count;
    for (int i = 0; i < output_count; ++i) launch.places.push_back(place(outputs[i]->storage, bases[i]));
    for (int i = 0; i < count; ++i) {
        if (args[i].tensor) launch.places.push_back(place(args[i].tensor->storage, bases[output_count + i]));
        else launch.places.push_back(Place{-1, args[i].integer, args[i].second()});
    }
    return launch;
}

void PlanBuilder::again(const std::vector<Tensor*>& inputs, const std::vector<Tensor*>& outputs, CallAgain f) {
    Launch& launch = launches.emplace_back();
    launch.kind = LaunchKind::Again;
    launch.name = name;
    launch.step = step;
    launch.outputs = int(outputs.size());
    launch.again = std::move(f);
    auto header = [&](Tensor* t) {
        launch.places.push_back(place(t->storage, t->data));
        Ref<Storage> storage = Ref<Storage>::adopt(storage_foreign(t->storage->data, t->storage->bytes, nullptr, nullptr, false));
        launch.headers.push_back(from_storage(storage, t->shape(), t->strides, t->offset(), t->dtype));
        launch.storages.push_back(storage);
    };
    for (Tensor* t : outputs) header(t);
    for (Tensor* t : inputs) header(t);
    for (size_t i = 0; i < launch.headers.size(); ++i) launch.given.push_back(launch.headers[(i + outputs.size()) % launch.headers.size()].get());
}

void PlanBuilder::prepare_map(Operation& op, Arg* args, int count, TensorRef* outputs) {
    name = op.name;
    prepare_map_step(op, args, count, outputs);
}

void PlanBuilder::prepare_row(Operation& op, Arg* args, int count, const RowArguments& row, const Shape& full, TensorRef* outputs) {
    name = op.name;
    run_row(op, resolution_for(op, args, count), args, count, row, full, outputs);
}

void PlanBuilder::prepare(const Step& s, int number) {
    step = number;
    name = s.name;
    std::vector<Arg> args(s.inputs.size());
    std::vector<Tensor*> inputs, results;
    for (size_t i = 0; i < s.inputs.size(); ++i) {
        if (s.inputs[i].tensor < 0) args[i] = s.inputs[i].number;
        else {
            args[i] = Arg(record.tensors[size_t(s.inputs[i].tensor)].get());
            inputs.push_back(args[i].tensor.get());
        }
    }
    TensorRef outputs[4];
    for (size_t i = 0; i < s.outputs.size(); ++i) {
        results.push_back(record.tensors[size_t(s.outputs[i])].get());
        if (i < 4) outputs[i] = TensorRef(results.back());
    }
    int count = int(args.size());
    switch (s.kind) {
        case StepKind::Map: prepare_map_step(*s.operation, args.data(), count, outputs); break;
        case StepKind::Row: {
            Resolution& r = resolution_for(*s.operation, args.data(), count);
            run_row(*s.operation, r, args.data(), count, s.row, s.full, outputs);
            break;
        }
        case StepKind::Contract: contract_step(outputs[0].get(), inputs[0], inputs[1], count > 2 ? inputs[2] : nullptr); break;
        case StepKind::Zero: {
            char* base[1] = {outputs[0]->data};
            Launch& launch = add(nullptr, 0, outputs, 1, base);
            size_t bytes = size_t(outputs[0]->numel) * item_size(outputs[0]->dtype);
            launch.run = [bytes](char* const* p) { std::memset(p[0], 0, bytes); };
            break;
        }
        case StepKind::Constant: {
            char* base[1] = {outputs[0]->data};
            Launch& launch = add(nullptr, 0, outputs, 1, base);
            launch.run = [bytes = s.bytes](char* const* p) { std::memcpy(p[0], bytes->data(), bytes->size()); };
            break;
        }
        case StepKind::Call: again(inputs, results, s.call); break;
    }
}

void PlanBuilder::finish_use() {
    for (Slot& slot : slots) slot.first = slot.last = -1, slot.written = slot.read_first = false;
    for (size_t g = 0; g < groups.size(); ++g) {
        for (const PackedWeights& packed : groups[g].packed)
            if (packed.slot >= 0) slots[size_t(packed.slot)].first = slots[size_t(packed.slot)].last = int(g), slots[size_t(packed.slot)].written = true;
        for (int l = groups[g].first; l < groups[g].first + groups[g].count; ++l) {
            const Launch& launch = launches[size_t(l)];
            for (size_t i = launch.places.size(); i-- > 0;) {  // inputs before outputs
                if (launch.places[i].slot < 0) continue;
                Slot& slot = slots[size_t(launch.places[i].slot)];
                if (slot.first < 0) slot.first = int(g);
                slot.last = int(g);
                if (int(i) < launch.outputs) slot.written = true;
                else if (!slot.written) slot.read_first = true;
            }
        }
    }
}

size_t lay_out(std::vector<Slot>& slots) {
    std::vector<Slot*> order;
    for (Slot& s : slots)
        if (s.kind == SlotKind::Arena && s.first >= 0) order.push_back(&s);
    std::stable_sort(order.begin(), order.end(), [](Slot* a, Slot* b) { return a->bytes > b->bytes; });
    std::vector<Slot*> placed;
    size_t size = 0;
    for (Slot* s : order) {
        // The lowest gap among those alive at the same time.
        std::vector<Slot*> alive;
        for (Slot* p : placed)
            if (p->first <= s->last && s->first <= p->last) alive.push_back(p);
        std::sort(alive.begin(), alive.end(), [](Slot* a, Slot* b) { return a->offset < b->offset; });
        int64_t at = 0, bytes = int64_t(s->bytes + 63) / 64 * 64;
        for (Slot* p : alive) {
            if (p->offset - at >= bytes) break;
            at = std::max(at, p->offset + int64_t(p->bytes + 63) / 64 * 64);
        }
        s->offset = at;
        size = std::max(size, size_t(at + bytes));
        placed.push_back(s);
    }
    return size;
}

void run_launch(const Launch& launch, char* const* slots) {
    if (launch.kind == LaunchKind::Again) {  // of any number of tensors
        for (size_t i = 0; i < launch.headers.size(); ++i) {
            Tensor* t = launch.headers[i].get();
            char* data = slots[launch.places[i].slot] + launch.places[i].offset;
            t->storage->data = data - (t->data - t->storage->data);
            t->data = data;
        }
        launch.again(launch.given.data());
        return;
    }
    char* pointers[kMaxOperands + 8];
    size_t n = launch.places.size();
    for (size_t i = 0; i < n; ++i) {
        const Place& p = launch.places[i];
        if (p.slot >= 0) pointers[i] = slots[p.slot] + p.offset;
        else if (p.slot == -1) pointers[i] = reinterpret_cast<char*>(const_cast<int64_t*>(&p.offset));
        else pointers[i] = reinterpret_cast<char*>(p.offset);
    }
    if (launch.kind == LaunchKind::Flat) {
        static const int64_t none[kMaxOperands] = {};
        launch.kernel(pointers, launch.strides.data(), none, launch.size, 1);
    } else {
        launch.run(pointers);
    }
}

}  // namespace flambeau
