// Recording seen from Python: starting and ending a record, steps that Python adds itself, and reading a record.
// It is not: what dispatch records (record.cpp) or plans (python_plan.cpp). Called by flambeau/recording.py,
// flambeau/compiled.py and flambeau/compiler/plan.py.
#include "dispatch.h"
#include "python.h"
#include "record.h"

namespace flambeau {

namespace {
constexpr const char* kRecordName = "flambeau.record";
}  // namespace

Recorder* record_of(PyObject* o) {
    auto* r = static_cast<Recorder*>(PyCapsule_GetPointer(o, kRecordName));
    if (!r) python_failed();
    return r;
}

namespace {

void record_end(PyObject* capsule) { delete static_cast<Recorder*>(PyCapsule_GetPointer(capsule, kRecordName)); }

Recorder* paused = nullptr;  // between record_pause and record_resume

PyObject* py_start(PyObject*, PyObject*) {
    return guarded([&]() -> PyObject* {
        if (recorder.on || paused) fail(ErrorKind::Runtime, "compile: a function is being recorded already");
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
                Owned item(i.tensor >= 0 ? PyLong_FromLong(i.tensor) : i.number.second() ? Py_BuildValue("(iLL)", int(i.number.code), (long long)i.number.integer, (long long)i.number.second())
                                        : Py_BuildValue("(iL)", int(i.number.code), (long long)i.number.integer));
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


// --- steps that are Python functions ---

// record_pause() -> whether there was a recording: what follows is no part of it.
PyObject* py_pause(PyObject*, PyObject*) {
    if (!recorder) Py_RETURN_FALSE;
    paused = std::exchange(recorder.on, nullptr);
    Py_RETURN_TRUE;
}
PyObject* py_resume(PyObject*, PyObject*) {
    if (paused) recorder.set(std::exchange(paused, nullptr));
    Py_RETURN_NONE;
}

std::vector<Tensor*> tensors_in(PyObject* sequence, const char* what) {
    std::vector<Tensor*> found;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(sequence); ++i) found.push_back(expect_tensor(PyTuple_GET_ITEM(sequence, i), what));
    return found;
}

// What a function of tensors returned, as a tuple.
Owned as_tuple(PyObject* result) {
    if (PyTuple_Check(result)) return Owned(Py_NewRef(result));
    return Owned(checked(result == Py_None ? PyTuple_New(0) : PyTuple_Pack(1, result)));
}

// record_call(name, function, inputs, outputs): notes the step outputs = function(*inputs), which was done already. A
// function that returns None only checks its inputs.
PyObject* py_call(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        if (n != 4 || !PyTuple_Check(args[2]) || !PyTuple_Check(args[3])) fail(ErrorKind::Type, "record_call takes (name, function, inputs, outputs)");
        if (!recorder) Py_RETURN_NONE;
        std::vector<Tensor*> inputs = tensors_in(args[2], "record_call"), outputs = tensors_in(args[3], "record_call");
        auto function = std::make_shared<Owned>(Py_NewRef(args[1]));
        std::string name = PyUnicode_AsUTF8(args[0]);
        recorder->call(name.c_str(), inputs, outputs, [=, given = inputs.size(), made = outputs.size()](Tensor* const* t) {
            GradModeGuard off(false);
            Owned operands(checked(PyTuple_New(Py_ssize_t(given))));
            for (size_t i = 0; i < given; ++i) PyTuple_SET_ITEM(operands.p, Py_ssize_t(i), wrap(alias(t[i])));
            Owned result(checked(PyObject_Call(function->p, operands, nullptr)));
            Owned parts = as_tuple(result);
            for (size_t i = 0; i < made; ++i) {
                Tensor* part = expect_tensor(checked(PyTuple_GetItem(parts, Py_ssize_t(i))), name.c_str());
                if (!part->same_shape(*t[given + i]) || part->dtype != t[given + i]->dtype)
                    fail(ErrorKind::Runtime, name + ": the result was " + shape_text(t[given + i]) + " when the compiled function was recorded, now it is " +
                                                 shape_text(part) + "; a plan has fixed shapes: move the operation out of the compiled function");
                copy_elements(t[given + i], part);
            }
        });
        Py_RETURN_NONE;
    });
}

// record_values(name, tensor) -> (its elements, whether plans depend on them). For a dense tensor that no step computed:
// one from outside the function, or one made of Python numbers in it.
PyObject* py_values(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        if (n != 2) fail(ErrorKind::Type, "record_values takes (name, tensor)");
        Tensor* t = expect_tensor(args[1], "record_values");
        Recorder* r = recorder;
        bool outside = true, known = t->contiguous;
        if (r)
            for (const Step& s : r->steps)
                for (int o : s.outputs)
                    if (r->tensors[size_t(o)]->storage == t->storage) outside = false, known = known && s.kind == StepKind::Constant;
        if (!known) refuse_reading(PyUnicode_AsUTF8(args[0]));
        struct Pause { Recorder* r = std::exchange(recorder.on, nullptr); ~Pause() { recorder.on = r; } } pause;
        Owned list(checked(to_list(t, 0, t->data)));
        return Py_BuildValue("(OO)", list.p, outside ? Py_True : Py_False);
    });
}
// record_constant(tensor) -> the tensor, which was just made of Python numbers.
PyObject* py_constant(PyObject*, PyObject* o) {
    return guarded([&]() -> PyObject* {
        if (recorder && recorder->records()) recorder->constant(expect_tensor(o, "record_constant"));
        return Py_NewRef(o);
    });
}
// refuse_reading(name): RuntimeError while recording, as for everything that reads a tensor's values.
PyObject* py_refuse(PyObject*, PyObject* name) {
    return guarded([&]() -> PyObject* { reads_value(PyUnicode_AsUTF8(name)); Py_RETURN_NONE; });
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
    {"record_pause", py_pause, METH_NOARGS, "record_pause(): what follows is no part of the record; whether there is one."},
    {"record_resume", py_resume, METH_NOARGS, "record_resume(): go on with the record."},
    FAST("record_call", py_call, "record_call(name, function, inputs, outputs)"),
    FAST("record_values", py_values, "record_values(name, tensor): (its elements, whether plans depend on them)"),
    {"record_constant", py_constant, METH_O, "record_constant(tensor): it was just made of Python numbers; returns it."},
    {"refuse_reading", py_refuse, METH_O, "refuse_reading(name): RuntimeError while recording."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

int add_records(PyObject* module) { return PyModule_AddFunctions(module, functions); }

}  // namespace flambeau
