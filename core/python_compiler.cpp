// What the core asks of the compiler, through flambeau.compiler.bridge: dtypes, kernels, gradients.
// It is not: any decision about them. `connect_compiler` is called once, by the functions of the module.
#include "contract.h"
#include "python.h"
#include "rows.h"
#include "transpose.h"

namespace flambeau {

namespace {

PyObject* ask(const char* name, PyObject* args) {
    Owned tuple(checked(args));
    if (!registry.bridge) registry.bridge = checked(PyImport_ImportModule("flambeau.compiler.bridge"));
    Owned function(checked(PyObject_GetAttrString(registry.bridge, name)));
    return checked(PyObject_CallObject(function, tuple));
}
PyObject* declaration(const Operation& op) { return static_cast<PyObject*>(op.declaration); }
PyObject* codes_tuple(const uint8_t* codes, int n) {
    PyObject* tuple = checked(PyTuple_New(n));
    for (int i = 0; i < n; ++i) PyTuple_SET_ITEM(tuple, i, PyLong_FromLong(codes[i]));
    return tuple;
}
Py_ssize_t take_codes(PyObject* tuple, uint8_t* into) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); ++i) into[i] = uint8_t(PyLong_AsLong(PyTuple_GET_ITEM(tuple, i)));
    return PyTuple_GET_SIZE(tuple);
}

void resolve(Operation& op, const uint8_t* codes, const uint8_t* categories, int count, Resolution& r) {
    Owned pairs(checked(PyTuple_New(count)));
    for (int i = 0; i < count; ++i) PyTuple_SET_ITEM(pairs.p, i, Py_BuildValue("(ii)", codes[i], categories[i]));
    Owned answer(ask("resolve", Py_BuildValue("(OO)", declaration(op), pairs.p)));
    // (operand_codes, output_codes, compute, output_rows, uses_index)
    r.operands = int(take_codes(PyTuple_GetItem(answer, 0), r.operand_codes));
    if (PyTuple_GET_SIZE(PyTuple_GetItem(answer, 1)) > 4) fail(ErrorKind::Runtime, op.name + ": at most 4 outputs");
    r.outputs = int(take_codes(PyTuple_GetItem(answer, 1), r.output_codes));
    r.compute = Py_NewRef(PyTuple_GetItem(answer, 2));
    for (int i = 0; i < r.outputs; ++i) r.output_rows[i] = is_true(PyTuple_GetItem(PyTuple_GetItem(answer, 3), i));
    op.uses_index = is_true(PyTuple_GetItem(answer, 4));
}
void* compile_map(Operation& op, const Resolution& r, const uint8_t* output_codes, const std::string& classes) {
    Owned address(ask("compile_map", Py_BuildValue("(ONNOs)", declaration(op), codes_tuple(r.operand_codes, r.operands),
                                                   codes_tuple(output_codes, r.outputs), static_cast<PyObject*>(r.compute), classes.c_str())));
    return PyLong_AsVoidPtr(address);
}
void* compile_row(Operation& op, const Resolution& r, const uint8_t* output_codes, const char* schedule, const std::string& classes, int64_t& scratch) {
    Owned pair(ask("compile_row", Py_BuildValue("(ONNOss)", declaration(op), codes_tuple(r.operand_codes, r.operands),
                                                codes_tuple(output_codes, r.outputs), static_cast<PyObject*>(r.compute), schedule, classes.c_str())));
    scratch = PyLong_AsLongLong(PyTuple_GetItem(pair, 1));
    return PyLong_AsVoidPtr(PyTuple_GetItem(pair, 0));
}
void gradient(Operation& op, const Resolution& r, GradientPlan& plan) {
    Owned needs(checked(PyTuple_New(r.operands)));
    for (int i = 0; i < r.operands; ++i) PyTuple_SET_ITEM(needs.p, i, PyBool_FromLong(plan.needs >> i & 1));
    Owned answer(ask("gradient", Py_BuildValue("(OONNO)", declaration(op), needs.p, codes_tuple(r.operand_codes, r.operands),
                                               codes_tuple(r.output_codes, r.outputs), static_cast<PyObject*>(r.compute))));
    if (answer.p == Py_None) return;
    // (operation or None, ((kind, index), ...), through, result_of), one entry of the last two for each needed operand
    PyObject* operation = PyTuple_GetItem(answer, 0);
    if (operation != Py_None) {
        plan.operation = operation_of(operation);
        Py_INCREF(operation);
    }
    PyObject* operands = PyTuple_GetItem(answer, 1);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(operands); ++i) {
        PyObject* pair = PyTuple_GET_ITEM(operands, i);
        PyObject* kind = PyTuple_GetItem(pair, 0);
        Read read = !PyUnicode_CompareWithASCIIString(kind, "grad") ? Read::Gradient : !PyUnicode_CompareWithASCIIString(kind, "input") ? Read::Input : Read::Output;
        plan.operands.emplace_back(read, int(PyLong_AsLong(PyTuple_GetItem(pair, 1))));
    }
    PyObject *through = PyTuple_GetItem(answer, 2), *results = PyTuple_GetItem(answer, 3);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(through); ++i) {
        plan.through.push_back(int(PyLong_AsLong(PyTuple_GET_ITEM(through, i))));
        plan.result_of.push_back(int(PyLong_AsLong(PyTuple_GET_ITEM(results, i))));
    }
}
void split(Operation& op, Resolution& r) {
    Owned pair(ask("split", Py_BuildValue("(ONNO)", declaration(op), codes_tuple(r.operand_codes, r.operands),
                                          codes_tuple(r.output_codes, r.outputs), static_cast<PyObject*>(r.compute))));
    if (pair.p == Py_None) return;
    PyObject *partial = PyTuple_GetItem(pair, 0), *final = PyTuple_GetItem(pair, 1);
    Py_INCREF(partial);
    Py_INCREF(final);
    r.partial = operation_of(partial);
    r.final = operation_of(final);
}
void request_contraction(uint8_t dtype) {
    Owned pair(ask("contraction", Py_BuildValue("(i)", int(dtype))));
    register_contraction_kernels(dtype, PyLong_AsVoidPtr(PyTuple_GetItem(pair, 0)), PyLong_AsVoidPtr(PyTuple_GetItem(pair, 1)));
}
void* compile_transposition(int64_t item, bool past) {
    Owned address(ask("transposition", Py_BuildValue("(LO)", static_cast<long long>(item), past ? Py_True : Py_False)));
    return PyLong_AsVoidPtr(address);
}

}  // namespace

void connect_compiler() {
    compiler.resolve = resolve;
    compiler.compile_map = compile_map;
    compiler.compile_row = compile_row;
    compiler.gradient = gradient;
    compiler.split = split;
    request_contraction_kernels = request_contraction;
    request_transposition = compile_transposition;
}

}  // namespace flambeau
