// Between Python and C++: errors, sizes, dtypes, single elements and lists, and the Python objects the core refers to.
// It is not: any behaviour of tensors. Called by the other python_*.cpp files.
#include <cstring>

#include "python.h"
#include "record.h"
#include "views.h"

namespace flambeau {

Registry registry;

namespace {

std::vector<std::pair<std::string, PyObject*>> helpers;

PyObject* register_objects(PyObject*, PyObject* args, PyObject* keywords) {
    if (PyTuple_GET_SIZE(args)) return PyErr_Format(PyExc_TypeError, "register takes keyword arguments only");
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (keywords && PyDict_Next(keywords, &position, &key, &value)) {
        std::string name = PyUnicode_AsUTF8(key);
        Py_INCREF(value);
        if (name == "dtypes") {
            for (int i = 0; i < kDTypes; ++i) registry.dtypes[i] = Py_NewRef(PyTuple_GetItem(value, i));
        } else if (name == "size_type") registry.size_type = value;
        else if (name == "cpu") registry.cpu = value;
        else if (name == "value_type") registry.value_type = value;
        else if (name == "repr") registry.repr = value;
        else if (name == "to_tensor") registry.to_tensor = value;
        else if (name == "package") registry.package = PyUnicode_AsUTF8(value);
        else if (name == "operators") {
            set_operators(value);
        } else if (name == "builtins") {
            auto take = [&](const char* n) { PyObject* o = PyDict_GetItemString(value, n); return o ? operation_of(o) : nullptr; };
            builtins.add = take("add");
            builtins.copy = take("copy");
            builtins.sum = take("sum");
            builtins.conj = take("conj");
        } else {
            helpers.emplace_back(name, value);
        }
    }
    Py_RETURN_NONE;
}

}  // namespace

PyObject* helper(const char* name) {
    for (size_t i = helpers.size(); i-- > 0;)
        if (helpers[i].first == name) return helpers[i].second;
    return nullptr;
}

PyObject* set_error() noexcept {
    static const char* names[6] = {"ShapeError", "DTypeError", "DeviceError", "AutogradError", "ZeroDivisorError", "NumberOverflowError"};
    try {
        throw;
    } catch (const PythonError&) {
    } catch (const Error& e) {
        PyObject* type = nullptr;
        switch (e.kind) {
            case ErrorKind::Shape: case ErrorKind::DType: case ErrorKind::Device: case ErrorKind::Autograd: case ErrorKind::ZeroDivision:
            case ErrorKind::Overflow: {
                int i = e.kind == ErrorKind::ZeroDivision ? 4 : e.kind == ErrorKind::Overflow ? 5 : int(e.kind);
                if (!registry.errors[i]) {
                    PyObject* module = PyImport_ImportModule("flambeau.errors");
                    if (!module) return nullptr;
                    registry.errors[i] = PyObject_GetAttrString(module, names[i]);
                    Py_DECREF(module);
                }
                type = registry.errors[i];
                break;
            }
            case ErrorKind::Index: type = PyExc_IndexError; break;
            case ErrorKind::Value: type = PyExc_ValueError; break;
            case ErrorKind::Type: type = PyExc_TypeError; break;
            case ErrorKind::Memory: type = PyExc_MemoryError; break;
            default: type = PyExc_RuntimeError;
        }
        PyErr_SetString(type, e.what());
    } catch (const OutOfMemory& e) {
        PyErr_SetString(PyExc_MemoryError, e.what());
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (const std::exception& e) {
        PyErr_SetString(PyExc_RuntimeError, e.what());
    }
    return nullptr;
}

void check_fits(const Arg& value, uint8_t dtype, const char* operation) {
    static constexpr int64_t low[kDTypes] = {0, 0, -128, -32768, INT32_MIN, INT64_MIN};
    static constexpr int64_t high[kDTypes] = {1, 255, 127, 32767, INT32_MAX, INT64_MAX, 0, 0, 0, 0, 65535, UINT32_MAX, INT64_MAX};
    if (value.code == kComplex128 && !is_complex(dtype) && value.parts[1] != 0)
        fail(ErrorKind::Runtime, std::string(operation) + ": a complex number cannot be converted to flambeau." + kDTypeNames[dtype] +
                                     " without overflow; give a complex dtype, or its real part");
    if (is_inexact(dtype) || dtype == kBool || (value.code == kUInt64 && dtype == kUInt64)) return;
    bool fits = value.code == kFloat64 || value.code == kComplex128 ? value.real > double(low[dtype]) - 1 && value.real < double(high[dtype]) + 1
                                       : value.code != kUInt64 && value.integer >= low[dtype] && value.integer <= high[dtype];
    if (value.code == kFloat64 && dtype == kInt64) fits = value.real >= -9223372036854775808.0 && value.real < 9223372036854775808.0;
    if (!fits)
        fail(ErrorKind::Overflow, std::string(operation) + ": value " + (value.code == kFloat64 ? std::to_string(value.real) : std::to_string(value.integer)) +
                                      " cannot be converted to flambeau." + kDTypeNames[dtype] + " without overflow (it holds " +
                                      std::to_string(low[dtype]) + " to " + std::to_string(high[dtype]) + "); give a wider dtype");
}

uint8_t dtype_code(PyObject* dtype) {
    for (int i = 0; i < kDTypes; ++i)
        if (registry.dtypes[i] == dtype) return uint8_t(i);
    if (PyLong_Check(dtype)) {
        long v = PyLong_AsLong(dtype);
        if (v >= 0 && v < kDTypes) return uint8_t(v);
    }
    // Python's own types of numbers
    if (dtype == reinterpret_cast<PyObject*>(&PyLong_Type)) return kInt64;
    if (dtype == reinterpret_cast<PyObject*>(&PyFloat_Type)) return kFloat64;
    if (dtype == reinterpret_cast<PyObject*>(&PyBool_Type)) return kBool;
    if (dtype == reinterpret_cast<PyObject*>(&PyComplex_Type)) return kComplex128;
    Owned text(PyObject_Repr(dtype));
    fail(ErrorKind::Type, std::string("dtype: expected a flambeau dtype, got ") + (text ? PyUnicode_AsUTF8(text) : "?"));
}

int64_t as_int(PyObject* o, const char* operation) {
    if (PyLong_CheckExact(o)) {
        int overflow;
        long long v = PyLong_AsLongLongAndOverflow(o, &overflow);
        if (overflow) fail(ErrorKind::Overflow, std::string(operation) + ": the integer does not fit 64 bits");
        return v;
    }
    Owned index(PyNumber_Index(o));
    if (!index) {
        PyErr_Clear();
        fail(ErrorKind::Type, std::string(operation) + "(): expected an integer, got " + Py_TYPE(o)->tp_name);
    }
    int overflow;
    long long v = PyLong_AsLongLongAndOverflow(index, &overflow);
    if (overflow) fail(ErrorKind::Overflow, std::string(operation) + ": the integer does not fit 64 bits");
    return v;
}

Shape shape_from(PyObject* sequence, const char* operation) {
    if (!sequence) fail(ErrorKind::Type, std::string(operation) + "() is missing its sizes");
    Shape shape;
    if (PyLong_Check(sequence) || (PyIndex_Check(sequence) && !PySequence_Check(sequence)) || is_tensor(sequence)) {
        if (!is_tensor(sequence) || tensor_of(sequence)->ndim == 0) {
            shape.sizes[shape.ndim++] = as_int(sequence, operation);
            return shape;
        }
    }
    Owned fast(PySequence_Fast(sequence, "sizes"));
    if (!fast) {
        PyErr_Clear();
        fail(ErrorKind::Type, std::string(operation) + "(): sizes must be integers or a sequence of integers, not " + Py_TYPE(sequence)->tp_name);
    }
    Py_ssize_t n = PySequence_Fast_GET_SIZE(fast.p);
    if (n > kMaxDims - 1) fail(ErrorKind::Runtime, std::string(operation) + ": a tensor has at most 15 dimensions");
    for (Py_ssize_t i = 0; i < n; ++i) shape.sizes[shape.ndim++] = as_int(PySequence_Fast_GET_ITEM(fast.p, i), operation);
    return shape;
}

Shape shape_from_args(PyObject* const* args, Py_ssize_t n, const char* operation) {
    if (n == 1 && !PyLong_Check(args[0])) return shape_from(args[0], operation);
    if (n > kMaxDims - 1) fail(ErrorKind::Runtime, std::string(operation) + ": a tensor has at most 15 dimensions");
    Shape shape;
    for (Py_ssize_t i = 0; i < n; ++i) shape.sizes[shape.ndim++] = as_int(args[i], operation);
    return shape;
}

PyObject* size_tuple(const int64_t* values, int n) {
    auto* type = registry.size_type ? reinterpret_cast<PyTypeObject*>(registry.size_type) : &PyTuple_Type;
    PyObject* tuple = type->tp_alloc(type, n);
    if (!tuple) return nullptr;
    for (int i = 0; i < n; ++i) PyTuple_SET_ITEM(tuple, i, PyLong_FromLongLong(values[i]));
    return tuple;
}

PyObject* element(const Tensor* t, const char* at) {
    reads_value("item");
    if (t->dtype == kBool) return PyBool_FromLong(*at != 0);
    if (is_float(t->dtype)) return PyFloat_FromDouble(read_double(t, at));
    if (is_complex(t->dtype)) return PyComplex_FromDoubles(read_double(t, at), read_double(t, at + item_size(t->dtype) / 2));
    if (t->dtype == kUInt64) return PyLong_FromUnsignedLongLong(uint64_t(read_int(t, at)));
    return PyLong_FromLongLong(read_int(t, at));
}

PyObject* to_list(const Tensor* t, int dim, const char* at) {
    if (dim == t->ndim) return element(t, at);
    Owned list(checked(PyList_New(t->sizes[dim])));
    int64_t step = t->strides[dim] * item_size(t->dtype);
    for (int64_t i = 0; i < t->sizes[dim]; ++i) PyList_SET_ITEM(list.p, i, checked(to_list(t, dim + 1, at + i * step)));
    return list.release();
}

int add_conversions(PyObject* module) {
    static PyMethodDef functions[] = {
        {"register", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(register_objects)), METH_VARARGS | METH_KEYWORDS,
         "Hand the core the Python objects it refers to (called once, at import)."},
        {nullptr, nullptr, 0, nullptr}};
    return PyModule_AddFunctions(module, functions);
}

}  // namespace flambeau
