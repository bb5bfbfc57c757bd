// The Python type of an operation: parses a call straight into dispatch, without Python code on the way.
// It is not: dispatch itself. Used by every declared operation and, through its descriptor, as Tensor method.
#include "autocast.h"
#include "python_batching.h"
#include "python_sparse.h"

#include <structmember.h>

#include <cmath>
#include <cstring>

#include "python.h"
#include "views.h"

namespace flambeau {

PyTypeObject* operation_type = nullptr;

namespace {

struct PyOperation {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    Operation* operation;
    PyObject* dict;
    PyObject* in_place;  // the twin that writes into its first operand; null on the twin itself
    bool writes;
};

PyObject* call_widened(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* keywords) {
    auto* o = reinterpret_cast<PyOperation*>(self);
    const Py_ssize_t n = PyVectorcall_NARGS(nargsf);
    PyObject* result = guarded([&] {
        std::vector<Owned> wide = widened(o->operation->name, args, n + (keywords ? PyTuple_GET_SIZE(keywords) : 0));
        std::vector<PyObject*> given;
        for (const Owned& each : wide) given.push_back(each.p);
        return operation_call(*o->operation, wide.empty() ? args : given.data(), n, keywords, o->writes);
    });
    return result ? result : sparse_call(self, args, n, keywords);
}

PyObject* call(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* keywords) {
    auto* o = reinterpret_cast<PyOperation*>(self);
    if (batching.levels) [[unlikely]]
        if (PyObject* result = batched_call(self, false, args, PyVectorcall_NARGS(nargsf), keywords); result != Py_NotImplemented) return result;
    if (Autocast::regions) [[unlikely]] return call_widened(self, args, nargsf, keywords);
    PyObject* result = guarded([&] { return operation_call(*o->operation, args, PyVectorcall_NARGS(nargsf), keywords, o->writes); });
    if (!result) [[unlikely]] return sparse_call(self, args, PyVectorcall_NARGS(nargsf), keywords);
    return result;
}

std::vector<std::string> strings(PyObject* sequence) {
    std::vector<std::string> out;
    Owned fast(checked(PySequence_Fast(sequence, "expected a sequence of names")));
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(fast.p); ++i)
        out.emplace_back(PyUnicode_AsUTF8(PySequence_Fast_GET_ITEM(fast.p, i)));
    return out;
}

// "log_softmax" -> "LogSoftmaxBackward0", the name PyTorch users know.
std::string grad_name(const std::string& name) {
    std::string out;
    bool upper = true;
    for (char c : name) {
        if (c == '_') { upper = true; continue; }
        out += upper ? char(toupper(c)) : c;
        upper = false;
    }
    return out + "Backward0";
}

PyObject* new_operation(PyTypeObject* type, PyObject* args, PyObject*) {
    PyObject* declaration;
    if (!PyArg_ParseTuple(args, "O", &declaration)) return nullptr;
    return guarded([&]() -> PyObject* {
        auto op = std::make_unique<Operation>();
        Owned name(checked(PyObject_GetAttrString(declaration, "name")));
        Owned kind(checked(PyObject_GetAttrString(declaration, "kind")));
        Owned inputs(checked(PyObject_GetAttrString(declaration, "inputs")));
        Owned parameters(checked(PyObject_GetAttrString(declaration, "parameters")));
        Owned levels(checked(PyObject_GetAttrString(declaration, "levels")));
        Owned divisor(PyObject_GetAttrString(declaration, "divisor"));
        if (divisor) op->divisor = int(PyLong_AsLong(divisor));
        else PyErr_Clear();
        op->name = PyUnicode_AsUTF8(name);
        op->grad_name = grad_name(op->name);
        op->row = PyUnicode_CompareWithASCIIString(kind, "row") == 0;
        op->names = strings(inputs);
        op->inputs = int(op->names.size());
        op->has_default.assign(op->names.size(), false);
        op->defaults.resize(op->names.size());
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(parameters.p); ++i) {
            PyObject* pair = PyTuple_GET_ITEM(parameters.p, i);
            op->names.emplace_back(PyUnicode_AsUTF8(PyTuple_GET_ITEM(pair, 0)));
            PyObject* value = PyTuple_GET_ITEM(pair, 1);
            Arg number;
            op->has_default.push_back(value != Py_None);
            if (value != Py_None && !number_arg(value, number))
                fail(ErrorKind::Type, op->name + ": the default of a parameter must be a number");
            op->defaults.push_back(number);
        }
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(levels.p); ++i)
            op->row_input.push_back(PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(levels.p, i), "row") == 0);
        if (op->names.size() > 20) fail(ErrorKind::Value, op->name + ": an operation takes at most 20 operands");
        Py_INCREF(declaration);
        op->declaration = declaration;
        PyObject* objects[2];
        for (PyObject*& object : objects) {
            auto* o = reinterpret_cast<PyOperation*>(checked(type->tp_alloc(type, 0)));
            o->vectorcall = call;
            o->operation = op.get();
            o->dict = PyDict_New();
            object = reinterpret_cast<PyObject*>(o);
        }
        auto* main = reinterpret_cast<PyOperation*>(objects[0]);
        reinterpret_cast<PyOperation*>(objects[1])->writes = true;
        main->in_place = objects[1];
        op.release();  // operations live as long as the process: nodes and kernels point to them
        return objects[0];
    });
}

void dealloc(PyObject* self) {
    auto* o = reinterpret_cast<PyOperation*>(self);
    Py_XDECREF(o->dict);
    Py_XDECREF(o->in_place);
    PyTypeObject* type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject* bind(PyObject* self, PyObject* instance, PyObject*) {
    if (!instance || instance == Py_None) return Py_NewRef(self);
    return PyMethod_New(self, instance);
}

PyObject* get_declaration(PyObject* self, void*) {
    return Py_NewRef(static_cast<PyObject*>(reinterpret_cast<PyOperation*>(self)->operation->declaration));
}
PyObject* get_name(PyObject* self, void*) {
    auto* o = reinterpret_cast<PyOperation*>(self);
    return PyUnicode_FromString((o->operation->name + (o->writes ? "_" : "")).c_str());
}
PyObject* get_doc(PyObject* self, void*) {
    auto* o = reinterpret_cast<PyOperation*>(self);
    return PyObject_GetAttrString(static_cast<PyObject*>(o->operation->declaration), "doc");
}
PyObject* get_signature(PyObject* self, void*) {
    auto* o = reinterpret_cast<PyOperation*>(self);
    return PyObject_CallMethod(static_cast<PyObject*>(o->operation->declaration), "signature", "O", o->writes ? Py_True : Py_False);
}
PyObject* get_inplace(PyObject* self, void*) {
    auto* o = reinterpret_cast<PyOperation*>(self);
    return Py_NewRef(o->in_place ? o->in_place : self);
}
PyObject* repr(PyObject* self) {
    auto* o = reinterpret_cast<PyOperation*>(self);
    std::string text = "<operation " + o->operation->name + (o->writes ? "_(" : "(");
    for (size_t i = 0; i < o->operation->names.size(); ++i) text += (i ? ", " : "") + o->operation->names[i];
    return PyUnicode_FromString((text + ")>").c_str());
}

PyGetSetDef getset[] = {{"declaration", get_declaration, nullptr, "The declaration this operation was made from.", nullptr},
                        {"__name__", get_name, nullptr, nullptr, nullptr},
                        {"name", get_name, nullptr, "The operation's name.", nullptr},
                        {"__qualname__", get_name, nullptr, nullptr, nullptr},
                        {"__doc__", get_doc, nullptr, nullptr, nullptr},
                        {"__signature__", get_signature, nullptr, nullptr, nullptr},
                        {"inplace", get_inplace, nullptr, "The same operation writing into its first operand.", nullptr},
                        {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
                        {nullptr, nullptr, nullptr, nullptr, nullptr}};
PyMemberDef members[] = {{"__vectorcalloffset__", T_PYSSIZET, offsetof(PyOperation, vectorcall), READONLY, nullptr},
                         {"__dictoffset__", T_PYSSIZET, offsetof(PyOperation, dict), READONLY, nullptr},
                         {nullptr, 0, 0, 0, nullptr}};
PyType_Slot slots[] = {{Py_tp_new, reinterpret_cast<void*>(new_operation)},
                       {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
                       {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                       {Py_tp_descr_get, reinterpret_cast<void*>(bind)},
                       {Py_tp_repr, reinterpret_cast<void*>(repr)},
                       {Py_tp_getset, getset},
                       {Py_tp_members, members},
                       {0, nullptr}};
PyType_Spec spec = {"flambeau._core.Operation", sizeof(PyOperation), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR, slots};

bool is_value(PyObject* o) { return registry.value_type && Py_TYPE(o) == reinterpret_cast<PyTypeObject*>(registry.value_type); }

PyObject* inline_call(Operation& op, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
    Owned method(checked(PyObject_GetAttrString(static_cast<PyObject*>(op.declaration), "inline")));
    return checked(PyObject_Vectorcall(method, args, size_t(n), keywords));
}

void set_dims(PyObject* value, RowArguments& row, int ndim, const Operation& op) {
    if (value == Py_None) return;
    row.all = false;
    auto add = [&](PyObject* o) {
        int d = normal_dim(as_int(o, op.name.c_str()), ndim, op.name.c_str());
        if (row.dims >> d & 1)
            fail(ErrorKind::Runtime, op.name + ": dim " + std::to_string(d) + " appears multiple times in the list of dims");
        row.dims |= 1u << d;
    };
    if (PyTuple_Check(value) || PyList_Check(value)) {
        Owned fast(checked(PySequence_Fast(value, "dim")));
        if (PySequence_Fast_GET_SIZE(fast.p) == 0) row.all = true;
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(fast.p); ++i) add(PySequence_Fast_GET_ITEM(fast.p, i));
    } else {
        add(value);
    }
    if (ndim == 0) row.dims = 0;
}

}  // namespace

Operation* operation_of(PyObject* o) {
    return Py_TYPE(o) == operation_type ? reinterpret_cast<PyOperation*>(o)->operation : nullptr;
}

// Python int, float, bool, and objects that behave like one (NumPy scalars).
bool number_arg(PyObject* o, Arg& into) {
    if (PyFloat_Check(o)) {
        into = Arg::of(PyFloat_AS_DOUBLE(o));
        return true;
    }
    if (PyBool_Check(o)) {
        into = Arg::of_int(o == Py_True);
        into.code = kBool;
        return true;
    }
    if (PyLong_Check(o)) {
        int overflow;
        long long v = PyLong_AsLongLongAndOverflow(o, &overflow);
        if (overflow) fail(ErrorKind::Overflow, "the Python integer does not fit 64 bits; use a float, or a smaller number");
        into = Arg::of_int(v);
        return true;
    }
    if (PyComplex_Check(o)) {
        into = Arg::of(PyComplex_RealAsDouble(o), PyComplex_ImagAsDouble(o));
        return true;
    }
    if (PyObject_HasAttrString(o, "__array__") && PyObject_HasAttrString(o, "dtype")) {
        Owned dimensions(PyObject_GetAttrString(o, "ndim"));
        if (!dimensions) PyErr_Clear();
        if (dimensions && PyLong_Check(dimensions.p) && PyLong_AsLong(dimensions) == 0 && PyObject_HasAttrString(o, "item")) {
            Owned item(checked(PyObject_CallMethod(o, "item", nullptr)));
            if (PyFloat_Check(item.p) || PyLong_Check(item.p) || PyComplex_Check(item.p)) return number_arg(item, into);
        }
        return false;
    }
    if (PyIndex_Check(o) && !is_tensor(o)) {
        Owned index(PyNumber_Index(o));
        if (!index) {
            PyErr_Clear();
            return false;
        }
        return number_arg(index, into);
    }
    return false;
}

Arg operand(PyObject* o, const Operation& op, int i) {
    if (is_tensor(o)) return Arg(tensor_of(o));
    Arg a;
    if (number_arg(o, a)) return a;
    if (registry.to_tensor && PyObject_HasAttrString(o, "__array__")) {
        Owned t(checked(PyObject_CallOneArg(registry.to_tensor, o)));
        return Arg(tensor_of(t));
    }
    fail(ErrorKind::Type, op.name + "(): argument '" + op.names[i] + "' (position " + std::to_string(i + 1) +
                              ") must be Tensor or Number, not " + Py_TYPE(o)->tp_name);
}

PyObject* operation_call(Operation& op, PyObject* const* args, Py_ssize_t n, PyObject* keywords, bool in_place) {
    int count = int(op.names.size());
    PyObject* given[kMaxOperands] = {};
    PyObject *out = nullptr, *dim = nullptr, *keepdim = nullptr;
    for (Py_ssize_t i = 0; i < n; ++i)
        if (is_value(args[i])) return inline_call(op, args, n, keywords);
    if (n > count) {
        if (op.row && n <= count + 2) {
            dim = args[count];
            if (n == count + 2) keepdim = args[count + 1];
            n = count;
        } else {
            fail(ErrorKind::Type, op.name + "() takes " + std::to_string(count) + " positional arguments but " +
                                      std::to_string(n) + " were given");
        }
    }
    for (Py_ssize_t i = 0; i < n; ++i) given[i] = args[i];
    if (keywords) {
        for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(keywords); ++k) {
            const char* name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(keywords, k));
            PyObject* value = args[PyVectorcall_NARGS(size_t(n)) + k];
            if (is_value(value)) return inline_call(op, args, n, keywords);
            int at = -1;
            for (int i = 0; i < count; ++i)
                if (op.names[i] == name) at = i;
            if (at < 0 && (!std::strcmp(name, "input") || !std::strcmp(name, "self"))) at = 0;
            if (at < 0 && op.inputs == 2 && !std::strcmp(name, "other")) at = 1;
            if (at >= 0) {
                if (given[at]) fail(ErrorKind::Type, op.name + "() got multiple values for argument '" + name + "'");
                given[at] = value;
            } else if (!std::strcmp(name, "out")) out = value;
            else if (op.row && (!std::strcmp(name, "dim") || !std::strcmp(name, "axis"))) dim = value;
            else if (op.row && (!std::strcmp(name, "keepdim") || !std::strcmp(name, "keepdims"))) keepdim = value;
            else fail(ErrorKind::Type, op.name + "() got an unexpected keyword argument '" + name + "'");
        }
    }
    Operands operands;
    bool any = false;
    for (int i = 0; i < count; ++i) {
        if (given[i]) {
            operands.add(operand(given[i], op, i));
            any = any || operands[i].tensor;
        } else if (op.has_default[i]) {
            operands.add(op.defaults[i]);
        } else {
            fail(ErrorKind::Type, op.name + "() missing required argument: '" + op.names[i] + "'");
        }
    }
    if (!any) fail(ErrorKind::Type, op.name + "(): at least one argument must be a Tensor, got numbers only");
    if (in_place) {
        if (!operands[0].tensor) fail(ErrorKind::Type, op.name + "_(): the first argument must be a Tensor");
        call_map_in_place(op, operands, count);
        return Py_NewRef(given[0]);
    }
    TensorRef outputs[4];
    PyObject* out_object = out && out != Py_None ? out : nullptr;
    if (out_object) {
        if (PyTuple_Check(out_object)) {
            for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(out_object) && i < 4; ++i)
                outputs[i] = TensorRef(expect_tensor(PyTuple_GET_ITEM(out_object, i), "out"));
        } else {
            outputs[0] = TensorRef(expect_tensor(out_object, "out"));
        }
    }
    if (op.row) {
        RowArguments row;
        int ndim = 0;
        for (int i = 0; i < op.inputs; ++i)
            if (operands[i].tensor && !op.row_input[i]) ndim = std::max(ndim, int(operands[i].tensor->ndim));
        if (dim) set_dims(dim, row, ndim, op);
        if (keepdim) row.keepdim = is_true(keepdim);
        call_row(op, operands, count, row, outputs);
    } else if (out_object && outputs[0]) {
        call_out(op, operands, count, outputs);
    } else {
        call_map(op, operands, count, outputs);
    }
    if (out_object) return Py_NewRef(out_object);
    int results = 1;
    while (results < 4 && outputs[results]) ++results;
    if (results == 1) return wrap(std::move(outputs[0]));
    PyObject* tuple = checked(PyTuple_New(results));
    for (int i = 0; i < results; ++i) PyTuple_SET_ITEM(tuple, i, wrap(std::move(outputs[i])));
    return tuple;
}

int add_operation_type(PyObject* module) {
    operation_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
    return operation_type ? PyModule_AddObjectRef(module, "Operation", reinterpret_cast<PyObject*>(operation_type)) : -1;
}

}  // namespace flambeau
