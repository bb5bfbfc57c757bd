// Plans seen from Python: making one from a record, checking whether it fits a call, running it.
// It is not: records (python_record.cpp), the launches (plan.cpp), nor what is fused (flambeau/compiler/plan.py).
// A plan is called with the user's arguments: it checks its guards, binds memory to its slots, runs, and builds the result.
#include <algorithm>
#include <cstring>

#include "autocast.h"
#include "plan.h"
#include "python_guards.h"

namespace flambeau {

namespace {

constexpr const char* kPlanName = "flambeau.plan";

// A number that is read anew at every call into memory of its own.
struct Live {
    enum Kind { Number, Seed, Position } kind;
    PyObject* source;   // owned: a dict, or a generator
    PyObject* key;      // owned
    int64_t count;
    int slot;
};

// A tensor that was read while recording, such as the lengths of sequences: its elements must be the same.
struct Values {
    int argument;            // number of the argument that holds it, or -1
    Storage* storage;        // else; one of the plan's fixed storages
    int64_t offset;          // bytes from the argument's first element, or from the storage's start
    std::string bytes, text;
};

struct Made {           // a tensor the plan hands out: a look at a slot
    int slot;
    uint8_t dtype;
    bool inference;
    Shape shape;
    int64_t strides[kMaxDims], offset;
};

struct LeafPlan {
    TensorRef leaf;
    bool read = false, keep = false;
    std::vector<Layout> entry;  // of .grad when called, if it is read; empty: none
    int made = -1;              // what .grad becomes; -1: None
};

struct Template {
    enum Kind { Result, Object, Argument, Sequence, Dict } kind;
    int number = 0;
    PyObject* object = nullptr;     // owned
    std::vector<Template> parts;
    std::vector<PyObject*> keys;
};

struct PyPlan {
    std::vector<Slot> slots;
    std::vector<Launch> launches;
    std::vector<Group> groups;
    std::vector<double> seconds;             // of each group in the last run, if it is being timed
    std::vector<Pattern> arguments;          // args, kwargs
    std::vector<int> argument_alias;         // the first argument with the same storage
    std::vector<int64_t> argument_offset;    // bytes from the storage's start to the first element
    std::vector<Storage*> argument_fixed;    // the known storage an argument had, or null
    std::unordered_map<Storage*, int> fixed;
    std::vector<Guard> guards;
    std::vector<PyObject*> texts;            // what each guard watches
    std::vector<Live> lives;
    std::vector<int64_t> numbers;            // what the live numbers are in this call
    std::vector<Values> values;
    std::vector<Made> made;
    std::vector<LeafPlan> leaves;
    std::vector<Template> result;
    std::vector<std::pair<SlotKind, int>> bumped;  // slots written that others see
    size_t arena = 0;
    uint64_t epoch = 0, runs = 0;
    bool grad = true, inference = false, busy = false;
    uint8_t autocast = kDTypes;
    std::vector<PyObject*> owned;
    std::vector<int> fixed_slots, argument_slots, gradient_slots, output_slots, arena_slots;
    ~PyPlan() {
        for (PyObject* o : owned) Py_XDECREF(o);
    }
};

PyPlan* plan_of(PyObject* o) {
    auto* p = static_cast<PyPlan*>(PyCapsule_GetPointer(o, kPlanName));
    if (!p) python_failed();
    return p;
}
void plan_end(PyObject* capsule) { delete static_cast<PyPlan*>(PyCapsule_GetPointer(capsule, kPlanName)); }

Template template_of(PyObject* spec, PyPlan& plan) {
    Template t;
    t.kind = Template::Kind(PyLong_AsLong(PyTuple_GetItem(spec, 0)));
    PyObject* value = PyTuple_GetItem(spec, 1);
    switch (t.kind) {
        case Template::Result:
        case Template::Argument: t.number = int(PyLong_AsLong(value)); break;
        case Template::Object: t.object = value; plan.owned.push_back(Py_NewRef(value)); break;
        case Template::Sequence:
        case Template::Dict: {
            t.object = value;
            plan.owned.push_back(Py_NewRef(value));
            PyObject* parts = PyTuple_GetItem(spec, 2);
            for (Py_ssize_t i = 0; i < PyList_GET_SIZE(parts); ++i) t.parts.push_back(template_of(PyList_GET_ITEM(parts, i), plan));
            if (t.kind == Template::Dict)
                for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(value); ++i) t.keys.push_back(PyTuple_GET_ITEM(value, i));
        }
    }
    return t;
}

// plan_make(record, {...}) -> plan; the dict is written by compiler/plan.py, `Plan.make`.
PyObject* py_make(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        if (n != 2) fail(ErrorKind::Type, "plan_make takes (record, description)");
        Recorder* r = record_of(args[0]);
        PyObject* d = args[1];
        auto get = [&](const char* name) { PyObject* o = PyDict_GetItemString(d, name); if (!o) fail(ErrorKind::Runtime, std::string("plan_make: missing ") + name); return o; };
        auto plan = std::make_unique<PyPlan>();
        PlanBuilder builder(*r);
        struct Preparing {
            Preparing(Recorder* r, PlanBuilder* b) {
                if (recorder.on) fail(ErrorKind::Runtime, "compile: another thread is recording a function");
                recorder.set(r);
                r->builder = b;
            }
            ~Preparing() { recorder.on->builder = nullptr; recorder.on = nullptr; }
        };
        {
            GradModeGuard off(false);
            Preparing preparing(r, &builder);
            PyObject* steps = get("steps");  // ints, (number, inputs, outputs), or (operation, inputs, outputs, name, step[, reduced dims, keepdim, full shape])
            for (Py_ssize_t i = 0; i < PyList_GET_SIZE(steps); ++i) {
                PyObject* s = PyList_GET_ITEM(steps, i);
                if (PyLong_Check(s)) {
                    int number = int(PyLong_AsLong(s));
                    builder.prepare(r->steps.at(size_t(number)), number);
                    continue;
                }
                if (PyTuple_GET_SIZE(s) == 3) {  // a step on other tensors than it was recorded with
                    int number = int(PyLong_AsLong(PyTuple_GetItem(s, 0)));
                    Step other = r->steps.at(size_t(number));
                    PyObject *reads = PyTuple_GetItem(s, 1), *writes = PyTuple_GetItem(s, 2);
                    for (size_t k = 0; k < other.inputs.size(); ++k)
                        if (other.inputs[k].tensor >= 0) other.inputs[k].tensor = int(PyLong_AsLong(PyList_GetItem(reads, Py_ssize_t(k))));
                    for (size_t k = 0; k < other.outputs.size(); ++k) other.outputs[k] = int(PyLong_AsLong(PyList_GetItem(writes, Py_ssize_t(k))));
                    builder.prepare(other, number);
                    continue;
                }
                Operation* op = operation_of(PyTuple_GetItem(s, 0));
                PyObject *inputs = PyTuple_GetItem(s, 1), *outputs = PyTuple_GetItem(s, 2);
                Arg operands[kMaxOperands];
                TensorRef results[4];
                int count = int(PyList_GET_SIZE(inputs));
                for (int k = 0; k < count; ++k) {
                    PyObject* o = PyList_GET_ITEM(inputs, k);
                    if (PyLong_Check(o)) operands[k] = Arg(r->tensors.at(size_t(PyLong_AsLong(o))).get());
                    else {
                        operands[k].code = uint8_t(PyLong_AsLong(PyTuple_GetItem(o, 0)));
                        operands[k].integer = PyLong_AsLongLong(PyTuple_GetItem(o, 1));
                        if (PyTuple_GET_SIZE(o) > 2) operands[k].parts[1] = std::bit_cast<double>((int64_t)PyLong_AsLongLong(PyTuple_GetItem(o, 2)));
                    }
                }
                for (Py_ssize_t k = 0; k < PyList_GET_SIZE(outputs); ++k)
                    results[k] = r->tensors.at(size_t(PyLong_AsLong(PyList_GET_ITEM(outputs, k))));
                builder.step = int(PyLong_AsLong(PyTuple_GetItem(s, 4)));
                if (PyTuple_GET_SIZE(s) > 5) {
                    RowArguments row;
                    row.all = false;
                    row.dims = uint32_t(PyLong_AsUnsignedLong(PyTuple_GetItem(s, 5)));
                    row.keepdim = PyObject_IsTrue(PyTuple_GetItem(s, 6)) == 1;
                    Shape full;
                    PyObject* sizes = PyTuple_GetItem(s, 7);
                    for (Py_ssize_t d = 0; d < PyTuple_GET_SIZE(sizes); ++d) full.sizes[full.ndim++] = PyLong_AsLongLong(PyTuple_GET_ITEM(sizes, d));
                    builder.prepare_row(*op, operands, count, row, full, results);
                } else {
                    builder.prepare_map(*op, operands, count, results);
                }
                if (!builder.launches.empty()) builder.launches.back().name = PyUnicode_AsUTF8(PyTuple_GetItem(s, 3));
            }
        }
        // Arguments.
        std::vector<Tensor*> tensors;
        plan->arguments.emplace_back(get("args"), tensors);
        plan->arguments.emplace_back(get("kwargs"), tensors);
        // Memory whose place is known: tensors reached through guards.
        PyObject* roots = get("roots");
        auto slot_for = [&](Tensor* t) {
            size_t before = builder.slots.size();
            int number = builder.slot_of(t->storage);
            if (builder.slots.size() > before) builder.slots[size_t(number)].kind = SlotKind::Unknown, builder.slots[size_t(number)].storage = t->storage;
            return number;
        };
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(roots); ++i) {
            Tensor* t = tensor_of(PyList_GET_ITEM(roots, i));
            auto found = builder.slot_numbers.find(t->storage);
            int number = found == builder.slot_numbers.end() ? slot_for(t) : found->second;
            Slot& s = builder.slots[size_t(number)];
            s.kind = SlotKind::Fixed;
            s.keep = Ref<Storage>(t->storage);
            plan->fixed[t->storage] = number;
        }
        for (size_t i = 0; i < tensors.size(); ++i) {
            size_t same = i;
            for (size_t j = 0; j < i; ++j)
                if (tensors[j]->storage == tensors[i]->storage) { same = j; break; }
            plan->argument_alias.push_back(int(same));
            plan->argument_offset.push_back(tensors[i]->data - tensors[i]->storage->data);
            bool known = plan->fixed.count(tensors[i]->storage);
            plan->argument_fixed.push_back(known ? tensors[i]->storage : nullptr);
            if (known || same != i) continue;
            Slot& s = builder.slots[size_t(slot_for(tensors[i]))];
            s.kind = SlotKind::Argument;
            s.number = int(i);
        }
        // Gradients.
        PyObject* leaves = get("leaves");  // (leaf, entry, read, number | None | -1 keep)
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(leaves); ++i) {
            PyObject* l = PyList_GET_ITEM(leaves, i);
            LeafPlan& leaf = plan->leaves.emplace_back();
            leaf.leaf = TensorRef(tensor_of(PyTuple_GetItem(l, 0)));
            leaf.read = PyObject_IsTrue(PyTuple_GetItem(l, 2)) == 1;
            PyObject* entry = PyTuple_GetItem(l, 1);
            if (leaf.read && entry != Py_None) {
                leaf.entry.emplace_back(tensor_of(entry));
                Slot& s = builder.slots[size_t(slot_for(tensor_of(entry)))];
                if (s.kind == SlotKind::Unknown) s.kind = SlotKind::Gradient, s.number = int(i);
            }
        }
        // Live numbers.
        PyObject* lives = get("lives");  // (kind, source, key, count, tensor)
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(lives); ++i) {
            PyObject* l = PyList_GET_ITEM(lives, i);
            Live live;
            live.kind = Live::Kind(PyLong_AsLong(PyTuple_GetItem(l, 0)));
            live.source = Py_NewRef(PyTuple_GetItem(l, 1));
            live.key = Py_NewRef(PyTuple_GetItem(l, 2));
            live.count = PyLong_AsLongLong(PyTuple_GetItem(l, 3));
            plan->owned.push_back(live.source);
            plan->owned.push_back(live.key);
            live.slot = slot_for(tensor_of(PyTuple_GetItem(l, 4)));
            builder.slots[size_t(live.slot)].kind = SlotKind::Live;
            builder.slots[size_t(live.slot)].number = int(i);
            plan->lives.push_back(live);
        }
        // Results.
        auto make = [&](int number) {
            Tensor* t = r->tensors.at(size_t(number)).get();
            Made m;
            m.slot = slot_for(t);
            Slot& s = builder.slots[size_t(m.slot)];
            if (s.kind == SlotKind::Unknown) s.kind = SlotKind::Output;
            m.dtype = t->dtype;
            m.inference = GradMode::inference;
            m.shape = t->shape();
            std::copy(t->strides, t->strides + t->ndim, m.strides);
            m.offset = t->offset();
            plan->made.push_back(m);
            return int(plan->made.size()) - 1;
        };
        PyObject* results = get("results");
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(results); ++i) make(int(PyLong_AsLong(PyList_GET_ITEM(results, i))));
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(leaves); ++i) {
            PyObject* last = PyTuple_GetItem(PyList_GET_ITEM(leaves, i), 3);
            LeafPlan& leaf = plan->leaves[size_t(i)];
            if (last == Py_None) continue;
            if (PyLong_AsLong(last) < 0) leaf.keep = true;
            else leaf.made = make(int(PyLong_AsLong(last)));
        }
        plan->result.push_back(template_of(get("result"), *plan));
        for (Slot& s : builder.slots)
            if (s.kind == SlotKind::Unknown) s.kind = SlotKind::Arena;
        builder.make_groups();
        builder.finish_use();
        for (Slot& s : builder.slots)
            if ((s.kind == SlotKind::Arena || s.kind == SlotKind::Output) && s.read_first && s.bytes) {
                std::string user = "a step";
                for (const Launch& l : builder.launches)
                    for (size_t k = size_t(l.outputs); k < l.places.size(); ++k)
                        if (l.places[k].slot == int(&s - builder.slots.data())) { user = l.name; k = l.places.size() - 1; }
                fail(ErrorKind::Runtime, "compile: " + user + " reads a tensor that no recorded operation wrote and that was not found in the "
                                                              "arguments, closure, globals or module of the function; pass it as an argument");
            }
        for (const Slot& s : builder.slots)
            if (s.kind == SlotKind::Output && !s.written && s.bytes)
                fail(ErrorKind::Runtime, "compile: a result is made by an operation that cannot be recorded yet (a tensor from Python data, or an "
                                         "operation without a step); make it outside of the compiled function and pass it as an argument");
        plan->arena = lay_out(builder.slots);
        for (size_t i = 0; i < builder.slots.size(); ++i) {
            Slot& s = builder.slots[i];
            if (s.written && (s.kind == SlotKind::Fixed || s.kind == SlotKind::Argument || s.kind == SlotKind::Gradient)) plan->bumped.emplace_back(s.kind, int(i));
            switch (s.kind) {
                case SlotKind::Fixed: plan->fixed_slots.push_back(int(i)); break;
                case SlotKind::Argument: plan->argument_slots.push_back(int(i)); break;
                case SlotKind::Gradient: plan->gradient_slots.push_back(int(i)); break;
                case SlotKind::Output: plan->output_slots.push_back(int(i)); break;
                case SlotKind::Arena: plan->arena_slots.push_back(int(i)); break;
                default: break;
            }
            if (s.kind != SlotKind::Fixed) s.storage = nullptr;
        }
        // Guards: (kind, container, key, expected or missing, by value, text)
        PyObject* guards = get("guards");
        PyObject* missing = get("missing");
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(guards); ++i) {
            PyObject* g = PyList_GET_ITEM(guards, i);
            Guard guard{};
            guard.kind = Guard::Kind(PyLong_AsLong(PyTuple_GetItem(g, 0)));
            guard.container = Py_NewRef(PyTuple_GetItem(g, 1));
            guard.key = Py_NewRef(PyTuple_GetItem(g, 2));
            PyObject* expected = PyTuple_GetItem(g, 3);
            guard.expected = expected == missing ? nullptr : Py_NewRef(expected);
            guard.by_value = PyObject_IsTrue(PyTuple_GetItem(g, 4)) == 1;
            if (guard.kind == Guard::Size) guard.size = PyLong_AsSsize_t(expected);
            if (guard.kind == Guard::Element) guard.size = PyLong_AsSsize_t(guard.key);
            if (guard.kind == Guard::ATensor) {
                Tensor* t = tensor_of(guard.container);
                guard.layout.emplace_back(t);
                guard.storage = t->storage;
                guard.data = t->data;
            }
            plan->owned.insert(plan->owned.end(), {guard.container, guard.key, guard.expected});
            plan->guards.push_back(std::move(guard));
            plan->texts.push_back(PyTuple_GetItem(g, 5));
            plan->owned.push_back(Py_NewRef(plan->texts.back()));
        }
        PyObject* values = get("values");  // (tensor, bytes, text)
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(values); ++i) {
            PyObject* item = PyList_GET_ITEM(values, i);
            const Tensor* t = tensor_of(PyTuple_GetItem(item, 0));
            Values& v = plan->values.emplace_back(Values{-1, t->storage, t->data - t->storage->data, std::string(), PyUnicode_AsUTF8(PyTuple_GetItem(item, 2))});
            v.bytes.assign(PyBytes_AS_STRING(PyTuple_GetItem(item, 1)), size_t(PyBytes_GET_SIZE(PyTuple_GetItem(item, 1))));
            if (plan->fixed.count(t->storage)) continue;
            for (size_t k = 0; k < tensors.size() && v.argument < 0; ++k)
                if (tensors[k]->storage == t->storage) v.argument = int(k), v.offset = t->data - tensors[k]->data;
            if (v.argument < 0)
                fail(ErrorKind::Runtime, "compile: " + v.text + " are read, of a tensor that was not found in the arguments, closure, globals "
                                                                "or module of the function; pass it as an argument");
        }
        plan->numbers.resize(plan->lives.size());
        plan->epoch = compiler.epoch;
        plan->grad = PyObject_IsTrue(get("grad")) == 1;
        plan->inference = GradMode::inference;
        plan->autocast = Autocast::dtype;
        plan->slots = std::move(builder.slots);
        plan->launches = std::move(builder.launches);
        plan->groups = std::move(builder.groups);
        return PyCapsule_New(plan.release(), kPlanName, plan_end);
    });
}

PyObject* build(const Template& t, const PyPlan& plan, const TensorRef* made, const std::vector<PyObject*>& arguments) {
    switch (t.kind) {
        case Template::Result: return wrap(made[t.number]);
        case Template::Argument: return Py_NewRef(arguments[size_t(t.number)]);
        case Template::Object: return Py_NewRef(t.object);
        case Template::Dict: {
            Owned dict(checked(PyDict_New()));
            for (size_t i = 0; i < t.parts.size(); ++i) {
                Owned value(build(t.parts[i], plan, made, arguments));
                PyDict_SetItem(dict, t.keys[i], value);
            }
            return dict.release();
        }
        default: {
            bool list = t.object == reinterpret_cast<PyObject*>(&PyList_Type);
            Owned items(checked(list ? PyList_New(Py_ssize_t(t.parts.size())) : PyTuple_New(Py_ssize_t(t.parts.size()))));
            for (size_t i = 0; i < t.parts.size(); ++i) {
                PyObject* value = build(t.parts[i], plan, made, arguments);
                if (list) PyList_SET_ITEM(items.p, Py_ssize_t(i), value);
                else PyTuple_SET_ITEM(items.p, Py_ssize_t(i), value);
            }
            if (list || t.object == reinterpret_cast<PyObject*>(&PyTuple_Type)) return items.release();
            return checked(PyObject_CallOneArg(t.object, items));
        }
    }
}

// Why a plan does not fit this call: null if it does.
const char* misfit(PyPlan& plan, PyObject* args, PyObject* kwargs, std::vector<PyObject*>& tensors) {
    if (plan.grad != GradMode::enabled || plan.inference != GradMode::inference) return "grad mode";
    if (plan.autocast != Autocast::dtype) return "autocast";
    if (plan.epoch != compiler.epoch) return "default dtype";
    if (bridge.detect_anomaly) return "detect_anomaly";  // its checks are eager's: such calls run without a plan
    if (!plan.arguments[0].fits(args, tensors) || !plan.arguments[1].fits(kwargs, tensors)) return "arguments";
    for (size_t i = 0; i < tensors.size(); ++i) {
        Storage* s = tensor_of(tensors[i])->storage;
        if (plan.argument_fixed[i]) {
            const Tensor* t = tensor_of(tensors[i]);
            if (s != plan.argument_fixed[i] || t->data - s->data != plan.argument_offset[i]) return "memory that arguments share";
            continue;
        }
        if (plan.fixed.count(s)) return "memory that arguments share";
        size_t same = i;
        for (size_t j = 0; j < i; ++j)
            if (tensor_of(tensors[j])->storage == s) { same = j; break; }
        if (int(same) != plan.argument_alias[i]) return "memory that arguments share";
        // A view may start elsewhere in its storage each time; views of one storage must keep their distance.
        if (same != i && tensor_of(tensors[i])->data - tensor_of(tensors[same])->data != plan.argument_offset[i] - plan.argument_offset[same])
            return "memory that arguments share";
    }
    for (size_t i = 0; i < plan.guards.size(); ++i)
        if (!plan.guards[i].holds()) return PyUnicode_AsUTF8(plan.texts[i]);
    for (const Values& v : plan.values) {
        const char* now = v.argument < 0 ? v.storage->data : tensor_of(tensors[size_t(v.argument)])->data;
        if (std::memcmp(now + v.offset, v.bytes.data(), v.bytes.size())) return v.text.c_str();
    }
    for (const LeafPlan& l : plan.leaves) {
        if (!l.read) continue;
        Tensor* grad = l.leaf->autograd ? l.leaf->autograd->grad.get() : nullptr;
        if (bool(grad) != !l.entry.empty() || (grad && (grad->carrier || !l.entry[0].fits(grad)))) return "the .grad of a parameter";
    }
    return nullptr;
}

// plan_run(plan, args, kwargs) -> the result, or NotImplemented if the plan is not for this call.
PyObject* py_run(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        if (n != 3) fail(ErrorKind::Type, "plan_run takes (plan, args, kwargs)");
        PyPlan& plan = *plan_of(args[0]);
        std::vector<PyObject*> arguments;
        arguments.reserve(8);
        if (recorder || misfit(plan, args[1], args[2], arguments)) return Py_NewRef(Py_NotImplemented);  // part of the record
        if (plan.busy) fail(ErrorKind::Runtime, "compile: the compiled function is being run by another thread; give each thread its own");
        struct Busy { bool& flag; explicit Busy(bool& f) : flag(f) { flag = true; } ~Busy() { flag = false; } } busy(plan.busy);
        Owned keep(Py_NewRef(args[0]));
        size_t count = plan.slots.size();
        char* few[256];
        std::vector<char*> many(count > 256 ? count : 0);
        char** bases = count > 256 ? many.data() : few;
        Ref<Storage> arena;
        if (plan.arena) arena = Ref<Storage>::adopt(storage_allocate(plan.arena));
        for (int i : plan.arena_slots) bases[i] = plan.arena ? arena->data + plan.slots[size_t(i)].offset : nullptr;
        for (int i : plan.fixed_slots) bases[i] = plan.slots[size_t(i)].storage->data;
        for (int i : plan.argument_slots) {
            int number = plan.slots[size_t(i)].number;
            bases[i] = tensor_of(arguments[size_t(number)])->data - plan.argument_offset[size_t(number)];
        }
        for (int i : plan.gradient_slots) bases[i] = plan.leaves[size_t(plan.slots[size_t(i)].number)].leaf->autograd->grad->storage->data;
        for (const LeafPlan& l : plan.leaves)  // gradients that nobody reads before they are made anew
            if (!l.read && !l.keep && l.leaf->autograd) l.leaf->autograd->grad = TensorRef();
        std::vector<Ref<Storage>> outputs;
        outputs.reserve(plan.output_slots.size());
        for (int i : plan.output_slots) {
            outputs.push_back(Ref<Storage>::adopt(storage_allocate(plan.slots[size_t(i)].bytes)));
            bases[i] = outputs.back()->data;
        }
        int64_t* numbers = plan.numbers.data();
        for (size_t i = 0; i < plan.lives.size(); ++i) {
            const Live& l = plan.lives[i];
            if (l.kind == Live::Number) {
                PyObject* value = PyDict_GetItemWithError(l.source, l.key);
                if (!value) fail(ErrorKind::Runtime, "compile: a number of a parameter group is gone");
                double v = PyFloat_AsDouble(value);
                if (v == -1.0 && PyErr_Occurred()) python_failed();
                std::memcpy(&numbers[i], &v, 8);
            } else if (l.kind == Live::Seed) {
                Owned seed(checked(PyObject_GetAttrString(l.source, "_seed")));
                numbers[i] = int64_t(PyLong_AsUnsignedLongLongMask(seed));
            } else {
                Owned offset(checked(PyObject_GetAttrString(l.source, "_offset")));
                numbers[i] = PyLong_AsLongLong(offset);
                Owned after(PyLong_FromLongLong(numbers[i] + l.count));
                if (PyObject_SetAttrString(l.source, "_offset", after)) python_failed();
            }
            bases[l.slot] = reinterpret_cast<char*>(&numbers[i]);
        }
        run_groups(plan.groups, plan.launches, plan.slots, bases, plan.seconds.empty() ? nullptr : plan.seconds.data());
        ++plan.runs;
        void* here = nullptr;
        for (auto [kind, i] : plan.bumped) {
            const Slot& slot = plan.slots[size_t(i)];
            Storage* s = kind == SlotKind::Fixed      ? slot.storage
                         : kind == SlotKind::Argument ? tensor_of(arguments[size_t(slot.number)])->storage
                                                      : plan.leaves[size_t(slot.number)].leaf->autograd->grad->storage;
            ++s->version;
            if (s->watched) {
                if (!here) here = bridge.here();
                if (s->changed_at) bridge.decrease(s->changed_at);
                s->changed_at = here;
                bridge.increase(here);
            }
        }
        if (here) bridge.decrease(here);
        std::vector<TensorRef> made;
        made.reserve(plan.made.size());
        for (const Made& m : plan.made) {
            const Slot& slot = plan.slots[size_t(m.slot)];
            Ref<Storage> s;
            int64_t offset = m.offset;
            if (slot.kind == SlotKind::Fixed) s = Ref<Storage>(slot.storage);
            else if (slot.kind == SlotKind::Argument) {
                s = Ref<Storage>(tensor_of(arguments[size_t(slot.number)])->storage);
                offset += (bases[m.slot] - s->data) / item_size(m.dtype);
            } else if (slot.kind == SlotKind::Gradient) s = Ref<Storage>(plan.leaves[size_t(slot.number)].leaf->autograd->grad->storage);
            else
                for (size_t k = 0; k < outputs.size(); ++k)
                    if (plan.output_slots[k] == m.slot) s = outputs[k];
            if (!s) fail(ErrorKind::Runtime, "compile: a result has no memory of its own");
            made.push_back(from_storage(std::move(s), m.shape, m.strides, offset, m.dtype));
            made.back()->inference = m.inference;
        }
        for (const LeafPlan& l : plan.leaves) {
            if (l.keep) continue;
            if (l.made >= 0) autograd_of(l.leaf.get()).grad = made[size_t(l.made)];
            else if (l.leaf->autograd) l.leaf->autograd->grad = TensorRef();
        }
        return build(plan.result[0], plan, made.data(), arguments);
    });
}

PyObject* py_misfit(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        if (n != 3) fail(ErrorKind::Type, "plan_misfit takes (plan, args, kwargs)");
        std::vector<PyObject*> tensors;
        const char* why = misfit(*plan_of(args[0]), args[1], args[2], tensors);
        if (!why) Py_RETURN_NONE;
        return PyUnicode_FromString(why);
    });
}

// plan_show(plan) -> (launches: (name, step, kind, places: (slot, offset), outputs, cost), slots: (kind, bytes, offset),
// arena bytes, runs, groups: (kind, first, count, units, seconds of the last timed run or -1,
// packed, of these kept, local slots, why it is alone))
PyObject* py_show(PyObject*, PyObject* o) {
    return guarded([&]() -> PyObject* {
        PyPlan& plan = *plan_of(o);
        Owned launches(checked(PyList_New(0))), slots(checked(PyList_New(0))), groups(checked(PyList_New(0)));
        for (const Launch& l : plan.launches) {
            Owned places(checked(PyList_New(0)));
            for (const Place& p : l.places) {
                Owned item(Py_BuildValue("(iL)", p.slot, (long long)p.offset));
                PyList_Append(places, item);
            }
            Owned item(Py_BuildValue("(siiOid)", l.name.c_str(), l.step, int(l.kind), places.p, l.outputs, l.cost));
            PyList_Append(launches, item);
        }
        for (const Slot& s : plan.slots) {
            Owned item(Py_BuildValue("(inL)", int(s.kind), Py_ssize_t(s.bytes), (long long)s.offset));
            PyList_Append(slots, item);
        }
        for (size_t g = 0; g < plan.groups.size(); ++g) {
            const Group& group = plan.groups[g];
            int kept = 0;
            for (const PackedWeights& p : group.packed) kept += p.kept;
            Owned item(Py_BuildValue("(iiiLdiiis)", int(group.kind), group.first, group.count, (long long)group.units,
                                     plan.seconds.empty() ? -1.0 : plan.seconds[g], int(group.packed.size()), kept, int(group.local.size()), group.why));
            PyList_Append(groups, item);
        }
        return Py_BuildValue("(OOnKO)", launches.p, slots.p, Py_ssize_t(plan.arena), (unsigned long long)plan.runs, groups.p);
    });
}

// plan_time(plan, on): whether runs of the plan note how long each group takes.
PyObject* py_time(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        if (n != 2) fail(ErrorKind::Type, "plan_time takes (plan, on)");
        PyPlan& plan = *plan_of(args[0]);
        plan.seconds.assign(PyObject_IsTrue(args[1]) == 1 ? plan.groups.size() : 0, 0.0);
        Py_RETURN_NONE;
    });
}

#define FAST(name, function, doc) {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(function)), METH_FASTCALL, doc}
PyMethodDef functions[] = {
    FAST("plan_make", py_make, "plan_make(record, description)"),
    FAST("plan_run", py_run, "plan_run(plan, args, kwargs): the result, or NotImplemented."),
    FAST("plan_misfit", py_misfit, "plan_misfit(plan, args, kwargs): which guard does not hold, or None."),
    FAST("plan_time", py_time, "plan_time(plan, on): whether each run notes how long its groups take."),
    {"plan_show", py_show, METH_O, "plan_show(plan): its launches and slots."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

int add_plans(PyObject* module) { return PyModule_AddFunctions(module, functions); }

}  // namespace flambeau
