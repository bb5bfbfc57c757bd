// Functions that also take NumPy's names of their arguments: `axis` for `dim`, `keepdims` for `keepdim`.
// It is not: a check of arguments; names the function does not know are its own to refuse. A call without such a name
// goes straight on to the function. Made by flambeau/tensor.py and flambeau/__init__.py.

#include "python.h"

#include <structmember.h>

namespace flambeau {

namespace {

struct Renaming {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject* function;
};
PyTypeObject* renaming_type = nullptr;
PyObject *axis = nullptr, *dim = nullptr, *keepdims = nullptr, *keepdim = nullptr;

PyObject* renamed(PyObject* name) {
    auto same = [&](PyObject* other) { return name == other || !PyUnicode_Compare(name, other); };
    return same(axis) ? dim : same(keepdims) ? keepdim : nullptr;
}

PyObject* call(PyObject* self, PyObject* const* args, size_t flags, PyObject* names) {
    PyObject* function = reinterpret_cast<Renaming*>(self)->function;
    if (!names) return PyObject_Vectorcall(function, args, flags, nullptr);
    const Py_ssize_t count = PyTuple_GET_SIZE(names);
    Py_ssize_t first = 0;
    while (first < count && !renamed(PyTuple_GET_ITEM(names, first))) ++first;
    if (first == count) return PyObject_Vectorcall(function, args, flags, names);
    Owned changed(PyTuple_New(count));
    if (!changed.p) return nullptr;
    for (Py_ssize_t i = 0; i < count; ++i) {
        PyObject *name = PyTuple_GET_ITEM(names, i), *other = renamed(name);
        PyTuple_SET_ITEM(changed.p, i, Py_NewRef(other ? other : name));
    }
    return PyObject_Vectorcall(function, args, flags, changed);
}

PyObject* bind(PyObject* self, PyObject* object, PyObject*) {
    return object && object != Py_None ? PyMethod_New(self, object) : Py_NewRef(self);
}

PyObject* attribute(PyObject* self, PyObject* name) {  // the function's own: __name__, __module__, __annotations__ ...
    PyObject* found = PyObject_GenericGetAttr(self, name);
    if (found || !PyErr_ExceptionMatches(PyExc_AttributeError)) return found;
    PyErr_Clear();
    return PyObject_GetAttr(reinterpret_cast<Renaming*>(self)->function, name);
}

PyObject* get_function(PyObject* self, void*) { return Py_NewRef(reinterpret_cast<Renaming*>(self)->function); }
PyObject* get_doc(PyObject* self, void*) { return PyObject_GetAttrString(reinterpret_cast<Renaming*>(self)->function, "__doc__"); }
PyObject* get_module(PyObject* self, void*) { return PyObject_GetAttrString(reinterpret_cast<Renaming*>(self)->function, "__module__"); }
PyObject* show(PyObject* self) { return PyObject_Repr(reinterpret_cast<Renaming*>(self)->function); }

// Pickled and copied as what made it and the function, which is known by its name.
PyObject* made = nullptr;   // function: the callable around it
PyObject* maker = nullptr;  // with_numpy_names
PyObject* reduce(PyObject* self, PyObject*) { return Py_BuildValue("O(O)", maker, reinterpret_cast<Renaming*>(self)->function); }

int traverse(PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(reinterpret_cast<Renaming*>(self)->function);
    return 0;
}
int clear(PyObject* self) {
    Py_CLEAR(reinterpret_cast<Renaming*>(self)->function);
    return 0;
}
void release(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

// with_numpy_names(function) -> the function that takes axis= and keepdims= as well: one for each function
PyObject* with_numpy_names(PyObject*, PyObject* function) {
    if (PyObject* known = PyDict_GetItemWithError(made, function)) return Py_NewRef(known);
    if (PyErr_Occurred()) return nullptr;
    auto* renaming = PyObject_GC_New(Renaming, renaming_type);
    if (!renaming) return nullptr;
    renaming->call = call;
    renaming->function = Py_NewRef(function);
    PyObject_GC_Track(renaming);
    Owned result(reinterpret_cast<PyObject*>(renaming));
    return PyDict_SetItem(made, function, result) ? nullptr : result.release();
}

PyMemberDef members[] = {{"__vectorcalloffset__", T_PYSSIZET, offsetof(Renaming, call), READONLY, nullptr}, {}};
PyGetSetDef properties[] = {{"__wrapped__", get_function, nullptr, nullptr, nullptr},
                            {"__doc__", get_doc, nullptr, nullptr, nullptr},
                            {"__module__", get_module, nullptr, nullptr, nullptr},
                            {}};
PyMethodDef methods[] = {{"__reduce__", reduce, METH_NOARGS, nullptr}, {}};
PyMethodDef functions[] = {
    {"with_numpy_names", with_numpy_names, METH_O, "with_numpy_names(function): the function that takes axis= for dim= and keepdims= for keepdim="}, {}};
PyType_Slot slots[] = {
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)}, {Py_tp_descr_get, reinterpret_cast<void*>(bind)},
    {Py_tp_getattro, reinterpret_cast<void*>(attribute)},     {Py_tp_repr, reinterpret_cast<void*>(show)},
    {Py_tp_traverse, reinterpret_cast<void*>(traverse)},      {Py_tp_clear, reinterpret_cast<void*>(clear)},
    {Py_tp_dealloc, reinterpret_cast<void*>(release)},        {Py_tp_members, members},
    {Py_tp_getset, properties},                               {Py_tp_methods, methods},
    {0, nullptr}};
PyType_Spec spec{"flambeau._core.function", sizeof(Renaming), 0,
                 Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR, slots};

}  // namespace

int add_names(PyObject* module) {
    axis = PyUnicode_InternFromString("axis"), dim = PyUnicode_InternFromString("dim");
    keepdims = PyUnicode_InternFromString("keepdims"), keepdim = PyUnicode_InternFromString("keepdim");
    renaming_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
    if (!axis || !dim || !keepdims || !keepdim || !renaming_type) return -1;
    made = PyDict_New();
    if (!made || PyModule_AddFunctions(module, functions)) return -1;
    maker = PyObject_GetAttrString(module, "with_numpy_names");
    return maker ? 0 : -1;
}

}  // namespace flambeau
