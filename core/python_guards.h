// What a plan depends on, compared at every call: what the arguments look like, and what the function reaches.
// It is not: finding that out (flambeau/compiler/guards.py). Included by python_plan.cpp only.
#pragma once
#include <cstring>

#include "python.h"

namespace flambeau {

inline bool same_value(PyObject* a, PyObject* b) {
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
inline bool is_plain(PyObject* o) {
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

}  // namespace flambeau
