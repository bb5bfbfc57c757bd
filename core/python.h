// The Python side of the core: the Tensor, Operation and Node types, and conversions between Python and C++.
// It is not: behaviour (that is in the files above it). Included by the python_*.cpp files and module.cpp only.
#pragma once
#include <Python.h>

#include "dispatch.h"
#include "tape.h"

namespace flambeau {

struct PyTensor {
    PyObject_HEAD
    Tensor* tensor;
    PyObject* dict;
    PyObject* weakrefs;
};
extern PyTypeObject* tensor_type;
extern PyTypeObject* operation_type;
extern PyTypeObject* node_type;

inline bool is_tensor(PyObject* o) { return Py_TYPE(o) == tensor_type || PyObject_TypeCheck(o, tensor_type); }
inline Tensor* tensor_of(PyObject* o) { return reinterpret_cast<PyTensor*>(o)->tensor; }
PyObject* wrap(TensorRef t);                        // the tensor's one Python object, new reference
PyObject* wrap_as(PyTypeObject* type, TensorRef t); // a new object of a subclass
PyObject* wrap_node(Node* node);
Node* node_of(PyObject*);
Tensor* expect_tensor(PyObject* o, const char* what);

// Turns the C++ exception being handled into a Python one; returns null.
PyObject* set_error() noexcept;
template <class F>
PyObject* guarded(F&& f) noexcept {
    try {
        return f();
    } catch (...) {
        return set_error();
    }
}
[[noreturn]] inline void python_failed() { throw PythonError(); }
inline bool is_true(PyObject* o) {
    int truth = PyObject_IsTrue(o);
    if (truth < 0) python_failed();
    return truth == 1;
}
inline PyObject* checked(PyObject* o) { if (!o) python_failed(); return o; }

struct Owned {  // a PyObject* that is released
    PyObject* p;
    explicit Owned(PyObject* o = nullptr) : p(o) {}
    Owned(Owned&& o) noexcept : p(std::exchange(o.p, nullptr)) {}
    Owned(const Owned&) = delete;
    Owned& operator=(Owned&& o) noexcept { std::swap(p, o.p); return *this; }
    ~Owned() { Py_XDECREF(p); }
    PyObject* release() { return std::exchange(p, nullptr); }
    operator PyObject*() const { return p; }
};

// Objects that Python hands to the core once, at import.
struct Registry {
    PyObject* dtypes[kDTypes] = {};
    PyObject* size_type = nullptr;
    PyObject* cpu = nullptr;
    PyObject* value_type = nullptr;
    PyObject* bridge = nullptr;          // flambeau.compiler.bridge, imported on the first miss
    PyObject* repr = nullptr;
    PyObject* to_tensor = nullptr;       // NumPy arrays and the like met by an operator
    PyObject* set_index_helper = nullptr;
    PyObject* errors[6] = {};
    std::string package;                 // the folder of flambeau: its frames are not the user's
};
extern Registry registry;
PyObject* helper(const char* name);      // a function registered from Python; borrowed

uint8_t dtype_code(PyObject* dtype);     // throws TypeError
int64_t as_int(PyObject* o, const char* operation);
void check_fits(const Arg& value, uint8_t dtype, const char* operation);  // a number that an integer dtype cannot hold
bool number_arg(PyObject* o, Arg& into); // Python and NumPy scalars; false if it is no number
Shape shape_from(PyObject* sequence, const char* operation);
Shape shape_from_args(PyObject* const* args, Py_ssize_t n, const char* operation);  // sizes, or one sequence
PyObject* size_tuple(const int64_t* values, int n);
Arg operand(PyObject* o, const Operation& op, int i);

// Slots filled from other files.
PyObject* operation_call(Operation& op, PyObject* const* args, Py_ssize_t n, PyObject* keywords, bool in_place);
Operation* operation_of(PyObject* o);    // null if it is none
PyObject* index_get(PyObject* self, PyObject* key);
int index_set(PyObject* self, PyObject* key, PyObject* value);
PyObject* to_list(const Tensor* t, int dim, const char* at);
PyObject* element(const Tensor* t, const char* at);

struct Recorder;
Recorder* record_of(PyObject*);          // throws what PyCapsule_GetPointer raises
void require_grad(Tensor* t, bool value);
PyMethodDef* tensor_methods();
void add_number_slots(std::vector<PyType_Slot>& into);
void set_operators(PyObject* operators);
void operators_call_objects(bool on);  // whether a + b calls its operation as Python would, so that a profiler sees it

int add_tensor_type(PyObject* module);
int add_conversions(PyObject* module);
int add_operation_type(PyObject* module);
int add_autograd(PyObject* module);
int add_functions(PyObject* module);
void connect_compiler();
int add_indexing(PyObject* module);
int add_convolution(PyObject* module);
int add_pools(PyObject* module);
int add_dlpack(PyObject* module);
int add_sequences(PyObject* module);
int add_plans(PyObject* module);
int add_records(PyObject* module);
int add_batching(PyObject* module);
int add_autocast(PyObject* module);
int add_names(PyObject* module);
// The arguments of an operation that autocast runs in float32; empty: as they are.
std::vector<Owned> widened(const std::string& operation, PyObject* const* args, Py_ssize_t n);

}  // namespace flambeau
