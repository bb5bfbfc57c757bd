// Recording and plans seen from Python: starting and ending a record, reading it, making a plan, running one.
// It is not: the launches (plan.cpp), nor what is fused or guarded (flambeau/compiler/plan.py, flambeau/compiled.py).
// A plan is called with the user's arguments: it checks its guards, binds memory to its slots, runs, and builds the result.
#include <algorithm>
#include <cstring>

#include "plan.h"
#include "python.h"

namespace flambeau {

namespace {

constexpr const char* kRecordName = "flambeau.record";
constexpr const char* kPlanName = "flambeau.plan";

// --- records ---

Recorder* record_of(PyObject* o) {
    auto* r = static_cast<Recorder*>(PyCapsule_GetPointer(o, kRecordName));
    if (!r) python_failed();
    return r;
}
void record_end(PyObject* capsule) { delete static_cast<Recorder*>(PyCapsule_GetPointer(capsule, kRecordName)); }

PyObject* py_start(PyObject*, PyObject*) {
    return guarded([&]() -> PyObject* {
        if (recorder.on) fail(ErrorKind::Runtime, "compile: a function is being recorded already");
        recorder.set(new Recorder());
        Py_RETURN_NONE;
    });
}
PyObject* py_stop(PyObject*, PyObject*) {
    if (!recorder) Py_RETURN_NONE;
    return PyCapsule_New(std::exchange(recorder.on, nullptr), kRecordName, record_end);
}
PyObject* py_is_recording(PyObject*, PyObject*) { return PyBool_FromLong(static_cast<Recorder*>(recorder) != nullptr); }

PyObject* sizes_tuple(const int64_t* values, int n) {
    PyObject* tuple = checked(PyTuple_New(n));
    for (int i = 0; i < n; ++i) PyTuple_SET_ITEM(tuple, i, PyLong_FromLongLong(values[i]));
    return tuple;
}
PyObject* int_list(const std::vector<int>& values) {
    PyObject* list = checked(PyList_New(Py_ssize_t(values.size())));
    for (size_t i = 0; i < values.size(); ++i) PyList_SET_ITEM(list, Py_ssize_t(i), PyLong_FromLong(values[i]));
    return list;
}
PyObject* object_or_none(void* o) { return Py_NewRef(o ? static_cast<PyObject*>(o) : Py_None); }
PyObject* tensor_or_none(const TensorRef& t) { return t ? wrap(t) : Py_NewRef(Py_None); }

// record_export(record) -> (steps, tensors, leaves, backward); the shapes of these are described in compiler/plan.py.
PyObject* py_export(PyObject*, PyObject* o) {
    return guarded([&]() -> PyObject* {
        Recorder* r = record_of(o);
        Owned steps(checked(PyList_New(0))), tensors(checked(PyList_New(0))), leaves(checked(PyList_New(0)));
        for (const Step& s : r->steps) {
            Owned inputs(checked(PyList_New(0)));
            for (const StepOperand& i : s.inputs) {
                Owned item(i.tensor >= 0 ? PyLong_FromLong(i.tensor) : Py_BuildValue("(iL)", int(i.number.code), (long long)i.number.integer));
                PyList_Append(inputs, item);
            }
            Owned codes(checked(PyTuple_New(Py_ssize_t(s.outputs.size()))));
            for (size_t i = 0; i < s.outputs.size(); ++i) PyTuple_SET_ITEM(codes.p, Py_ssize_t(i), PyLong_FromLong(s.output_codes[i & 3]));
            Owned outputs(int_list(s.outputs)), full(sizes_tuple(s.full.sizes, s.full.ndim));
            Owned bytes(s.bytes ? PyBytes_FromStringAndSize(s.bytes->data(), Py_ssize_t(s.bytes->size())) : Py_NewRef(Py_None));
            Owned declaration(object_or_none(s.operation ? s.operation->declaration : nullptr)), compute(object_or_none(s.compute));
            Owned item(checked(Py_BuildValue("(isOOOOOIiOO)", int(s.kind), s.name.c_str(), declaration.p, compute.p, inputs.p, outputs.p,
                                             codes.p, s.row.dims, int(s.row.keepdim), full.p, bytes.p)));
            PyList_Append(steps, item);
        }
        std::unordered_map<Storage*, int> storages;
        for (const TensorRef& t : r->tensors) {
            int number = storages.emplace(t->storage, int(storages.size())).first->second;
            Owned shape(sizes_tuple(t->sizes, t->ndim)), strides(sizes_tuple(t->strides, t->ndim));
            Owned item(checked(Py_BuildValue("(iniOOin)", number, Py_ssize_t(t->data - t->storage->data), int(t->dtype), shape.p, strides.p,
                                             int(t->contiguous), Py_ssize_t(t->storage->bytes))));
            PyList_Append(tensors, item);
        }
        for (const LeafRecord& l : r->leaves) {
            Owned leaf(wrap(l.leaf)), entry(tensor_or_none(l.entry));
            Owned last(tensor_or_none(l.leaf->autograd ? l.leaf->autograd->grad : TensorRef()));
            Owned item(checked(Py_BuildValue("(OOiO)", leaf.p, entry.p, int(l.read), last.p)));
            PyList_Append(leaves, item);
        }
        return Py_BuildValue("(OOOi)", steps.p, tensors.p, leaves.p, int(r->backward));
    });
}

// record_number(record, tensor) -> the number of a tensor of the record with this memory and layout; added if missing.
PyObject* py_number(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        if (n != 2) fail(ErrorKind::Type, "record_number takes (record, tensor)");
        return PyLong_FromLong(record_of(args[0])->number_of(expect_tensor(args[1], "record_number")));
    });
}
// record_holders(record, tensor number) -> how many others hold its storage.
PyObject* py_holders(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        if (n != 2) fail(ErrorKind::Type, "record_holders takes (record, tensor number)");
        Recorder* r = record_of(args[0]);
        Storage* s = r->tensors.at(size_t(as_int(args[1], "record_holders")))->storage;
        return PyLong_FromLongLong(s->references - r->held(s));
    });
}

// record_storage(record, tensor number) -> the storage, as `storage_key` names it.
PyObject* py_storage(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        if (n != 2) fail(ErrorKind::Type, "record_storage takes (record, tensor number)");
        Storage* s = record_of(args[0])->tensors.at(size_t(as_int(args[1], "record_storage")))->storage;
        return PyLong_FromUnsignedLongLong((unsigned long long)(uintptr_t)s);
    });
}

// record_progress() -> (steps so far, whether backward ran)
PyObject* py_progress(PyObject*, PyObject*) {
    Recorder* r = recorder;
    return Py_BuildValue("(ii)", r ? int(r->steps.size()) : 0, int(r && r->backward));
}
// record_tensor(record, number) -> a tensor of the record, without history.
PyObject* py_tensor(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        if (n != 2) fail(ErrorKind::Type, "record_tensor takes (record, tensor number)");
        return wrap(alias(record_of(args[0])->tensors.at(size_t(as_int(args[1], "record_tensor"))).get()));
    });
}

// --- plans ---

bool same_value(PyObject* a, PyObject* b) {
    if (a == b) return true;
    if (Py_TYPE(a) != Py_TYPE(b)) return false;
    if (PyFloat_CheckExact(a)) {
        double x = PyFloat_AS_DOUBLE(a), y = PyFloat_AS_DOUBLE(b);
        return std::memcmp(&x, &y, 8) == 0;
    }
    int equal = PyObject_RichCompareBool(a, b, Py_EQ);
    if (equal < 0) PyErr_Clear();
    return equal == 1;
}
bool is_plain(PyObject* o) {
    return o == Py_None || PyBool_Check(o) || PyLong_Check(o) || PyFloat_Check(o) || PyUnicode_Check(o) || PyBytes_Check(o) || PyComplex_Check(o);
}

struct Layout {
    uint8_t dtype, ndim;
    bool requires_grad;
    int64_t sizes[kMaxDims], strides[kMaxDims];
    explicit Layout(const Tensor* t) : dtype(t->dtype), ndim(t->ndim), requires_grad(t->requires_grad) {
        std::copy(t->sizes, t->sizes + ndim, sizes);
        std::copy(t->strides, t->strides + ndim, strides);
    }
    bool fits(const Tensor* t) const {
        if (t->dtype != dtype || t->ndim != ndim || t->requires_grad != requires_grad) return false;
        for (int i = 0; i < ndim; ++i)
            if (t->sizes[i] != sizes[i] || (t->strides[i] != strides[i] && sizes[i] != 1)) return false;
        return true;
    }
};

// What an argument must look like. Tensors are collected in the order they are met.
struct Pattern {
    enum Kind { ATensor, Plain, Same, Sequence, Dict } kind;
    PyObject* object;               // owned: the value, the object, or null
    PyTypeObject* type;
    std::vector<Layout> layout;
    std::vector<PyObject*> keys;    // owned
    std::vector<Pattern> parts;
    int64_t data_align = 0;

    explicit Pattern(PyObject* o, std::vector<Tensor*>& tensors) : object(nullptr), type(Py_TYPE(o)) {
        if (is_tensor(o)) {
            kind = ATensor;
            layout.emplace_back(tensor_of(o));
            tensors.push_back(tensor_of(o));
        } else if (is_plain(o)) {
            kind = Plain;
            object = Py_NewRef(o);
        } else if (PyTuple_Check(o) || PyList_CheckExact(o)) {
            kind = Sequence;
            for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); ++i) parts.emplace_back(PySequence_Fast_GET_ITEM(o, i), tensors);
        } else if (PyDict_CheckExact(o)) {
            kind = Dict;
            PyObject *key, *value;
            Py_ssize_t at = 0;
            while (PyDict_Next(o, &at, &key, &value)) {
                keys.push_back(Py_NewRef(key));
                parts.emplace_back(value, tensors);
            }
        } else {
            kind = Same;
            object = Py_NewRef(o);
        }
    }
    bool fits(PyObject* o, std::vector<PyObject*>& tensors) const {
        if (kind == Same) return o == object;
        if (Py_TYPE(o) != type) return false;
        switch (kind) {
            case ATensor:
                if (!layout[0].fits(tensor_of(o))) return false;
                tensors.push_back(o);
                return true;
            case Plain: return same_value(o, object);
            case Sequence:
                if (size_t(PySequence_Fast_GET_SIZE(o)) != parts.size()) return false;
                for (size_t i = 0; i < parts.size(); ++i)
                    if (!parts[i].fits(PySequence_Fast_GET_ITEM(o, Py_ssize_t(i)), tensors)) return false;
                return true;
            default:
                if (size_t(PyDict_GET_SIZE(o)) != parts.size()) return false;
                for (size_t i = 0; i < parts.size(); ++i) {
                    PyObject* value = PyDict_GetItemWithError(o, keys[i]);
                    if (!value || !parts[i].fits(value, tensors)) return false;
                }
                return true;
        }
    }
};

// Something reached from the function that must be as it was: a dict's or list's item or size, a cell, a tensor.
struct Guard {
    enum Kind { Item, Size, Cell, ATensor, Element, Attribute } kind;
    PyObject* container;   // owned
    PyObject* key;         // owned: of the item; null otherwise
    PyObject* expected;    // owned; null: absent
    Py_ssize_t size;       // or the index of the element
    bool by_value;
    std::vector<Layout> layout;
    Storage* storage;
    const char* data;

    bool holds() const {
        PyObject* found = nullptr;
        switch (kind) {
            case Item: found = PyDict_GetItemWithError(container, key); break;
            case Size: return (PyDict_Check(container) ? PyDict_GET_SIZE(container) : PySequence_Fast_GET_SIZE(container)) == size;
            case Cell: found = PyCell_GET(container); break;
            case ATensor: {
                const Tensor* t = tensor_of(container);
                return t->storage == storage && t->data == data && layout[0].fits(t);
            }
            case Attribute: {
                Owned value(PyObject_GetAttr(container, key));
                if (!value) PyErr_Clear();
                return value.p == expected || (by_value && value.p && expected && same_value(value, expected));
            }
            case Element: found = size < PySequence_Fast_GET_SIZE(container) ? PySequence_Fast_GET_ITEM(container, size) : nullptr;
        }
        if (found == expected) return true;
        return by_value && found && expected && same_value(found, expected);
    }
};

// A number that is read anew at every call into memory of its own.
struct Live {
    enum Kind { Number, Seed, Position } kind;
    PyObject* source;   // owned: a dict, or a generator
    PyObject* key;      // owned
    int64_t count;
    int slot;
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
    std::vector<Made> made;
    std::vector<LeafPlan> leaves;
    std::vector<Template> result;
    std::vector<std::pair<SlotKind, int>> bumped;  // slots written that others see
    size_t arena = 0;
    uint64_t epoch = 0, runs = 0;
    bool grad = true, inference = false, busy = false;
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
            PyObject* steps = get("steps");  // ints, or (operation, inputs, outputs, name, step)
            for (Py_ssize_t i = 0; i < PyList_GET_SIZE(steps); ++i) {
                PyObject* s = PyList_GET_ITEM(steps, i);
                if (PyLong_Check(s)) {
                    int number = int(PyLong_AsLong(s));
                    builder.prepare(r->steps.at(size_t(number)), number);
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
                    }
                }
                for (Py_ssize_t k = 0; k < PyList_GET_SIZE(outputs); ++k)
                    results[k] = r->tensors.at(size_t(PyLong_AsLong(PyList_GET_ITEM(outputs, k))));
                builder.step = int(PyLong_AsLong(PyTuple_GetItem(s, 4)));
                builder.prepare_map(*op, operands, count, results);
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
        plan->epoch = compiler.epoch;
        plan->grad = PyObject_IsTrue(get("grad")) == 1;
        plan->inference = GradMode::inference;
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
            return checked(PyObject_CallObject(t.object, items));  // a named tuple takes its items one by one
        }
    }
}

// Why a plan does not fit this call: null if it does.
const char* misfit(PyPlan& plan, PyObject* args, PyObject* kwargs, std::vector<PyObject*>& tensors) {
    if (plan.grad != GradMode::enabled || plan.inference != GradMode::inference) return "grad mode";
    if (plan.epoch != compiler.epoch) return "default dtype";
    if (bridge.detect_anomaly) return "detect_anomaly";  // its checks are eager's: such calls are recorded anew
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
    for (const LeafPlan& l : plan.leaves) {
        if (!l.read) continue;
        Tensor* grad = l.leaf->autograd ? l.leaf->autograd->grad.get() : nullptr;
        if (bool(grad) != !l.entry.empty() || (grad && !l.entry[0].fits(grad))) return "the .grad of a parameter";
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
        if (misfit(plan, args[1], args[2], arguments)) return Py_NewRef(Py_NotImplemented);
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
        std::vector<Ref<Storage>> outputs;
        outputs.reserve(plan.output_slots.size());
        for (int i : plan.output_slots) {
            outputs.push_back(Ref<Storage>::adopt(storage_allocate(plan.slots[size_t(i)].bytes)));
            bases[i] = outputs.back()->data;
        }
        int64_t numbers[64];
        if (plan.lives.size() > 64) fail(ErrorKind::Runtime, "compile: more than 64 live numbers");
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
// arena bytes, runs, groups: (kind, first, count, units, seconds of the last timed run or -1, packed, local slots))
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
            for (const Packed& p : group.packed) kept += p.kept;
            Owned item(Py_BuildValue("(iiiLdiii)", int(group.kind), group.first, group.count, (long long)group.units,
                                     plan.seconds.empty() ? -1.0 : plan.seconds[g], int(group.packed.size()), kept, int(group.local.size())));
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
    {"record_start", py_start, METH_NOARGS, "Record every kernel launch from here on."},
    {"record_stop", py_stop, METH_NOARGS, "Stop recording; returns the record, or None."},
    {"is_recording", py_is_recording, METH_NOARGS, "Whether a compiled function is being recorded."},
    {"record_export", py_export, METH_O, "record_export(record): (steps, tensors, leaves, backward)"},
    FAST("record_number", py_number, "record_number(record, tensor)"),
    FAST("record_storage", py_storage, "record_storage(record, tensor number)"),
    {"record_progress", py_progress, METH_NOARGS, "(steps so far, whether backward ran)"},
    FAST("record_tensor", py_tensor, "record_tensor(record, tensor number)"),
    FAST("record_holders", py_holders, "record_holders(record, tensor number): how many others hold its storage."),
    FAST("plan_make", py_make, "plan_make(record, description)"),
    FAST("plan_run", py_run, "plan_run(plan, args, kwargs): the result, or NotImplemented."),
    FAST("plan_misfit", py_misfit, "plan_misfit(plan, args, kwargs): which guard does not hold, or None."),
    FAST("plan_time", py_time, "plan_time(plan, on): whether each run notes how long its groups take."),
    {"plan_show", py_show, METH_O, "plan_show(plan): its launches and slots."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

int add_plans(PyObject* module) { return PyModule_AddFunctions(module, functions); }

}  // namespace flambeau
