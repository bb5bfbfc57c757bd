// The tape seen from Python: grad_fn objects, hooks, backward and grad, nodes whose backward is Python code, grad modes.
// It is not: the engine (tape.cpp).
#include "python_batching.h"
#include "python_sparse.h"

#include <structmember.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <unordered_map>

#include "record.h"
#include "views.h"

namespace flambeau {

PyTypeObject* node_type = nullptr;

namespace {

struct PyNode {
    PyObject_HEAD
    Node* node;
    PyObject* dict;
};

Node* N(PyObject* self) { return reinterpret_cast<PyNode*>(self)->node; }

void node_dealloc(PyObject* self) {
    auto* o = reinterpret_cast<PyNode*>(self);
    Py_CLEAR(o->dict);
    if (Node* node = std::exchange(o->node, nullptr)) {
        node->python = nullptr;
        Ref<Node>::adopt(node);
    }
    PyTypeObject* type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

TensorRef as_gradient(PyObject* o, const char* where) {
    if (o == Py_None) return TensorRef();
    return expect_gradient(o, where);
}

PyObject* optional(const TensorRef& t) {
    if (!t) Py_RETURN_NONE;
    return wrap(t);
}

// A node whose backward is a Python callable: autograd.Function and the operations that live on the host.
struct PythonNode : Node {
    static thread_local PythonNode* running;  // whose backward is being called: saved outputs are connected to it
    PyObject* callable;
    std::string label;
    std::vector<std::pair<Shape, uint8_t>> outputs, inputs;
    PythonNode(PyObject* f, std::string text) : callable(Py_NewRef(f)), label(std::move(text)) { name = label.c_str(); }
    ~PythonNode() override { Py_XDECREF(callable); }
    bool has_saved() const override { return true; }
    void release_saved() override { Py_CLEAR(callable); }
    void apply(TensorRef* gradients, TensorRef* results) override {
        if (!callable) Saved().unpack(this);
        Owned args(checked(PyTuple_New(Py_ssize_t(output_count))));
        for (uint32_t i = 0; i < output_count; ++i) PyTuple_SET_ITEM(args.p, i, optional(gradients[i]));
        PythonNode* outer = std::exchange(running, this);
        Owned result(PyObject_CallObject(callable, args));
        running = outer;
        checked(result.p);
        Owned tuple(PyTuple_Check(result.p) ? Py_NewRef(result.p)
                    : PyList_Check(result.p) ? PyList_AsTuple(result) : PyTuple_Pack(1, result.p));
        size_t given = size_t(PyTuple_GET_SIZE(tuple.p));
        for (size_t i = edges.size(); i < given; ++i)
            if (PyTuple_GET_ITEM(tuple.p, Py_ssize_t(i)) != Py_None) {
                fail(ErrorKind::Autograd, label + ": returned an incorrect number of gradients (expected " + std::to_string(edges.size()) + ", got " + std::to_string(given) + ")");
            }
        if (given < edges.size())
            fail(ErrorKind::Autograd, label + ": returned an incorrect number of gradients (expected " + std::to_string(edges.size()) + ", got " + std::to_string(given) + ")");
        for (size_t i = 0; i < edges.size(); ++i) {
            PyObject* o = PyTuple_GET_ITEM(tuple.p, Py_ssize_t(i));
            if (o == Py_None || !edges[i].node) continue;
            TensorRef g = expect_gradient(o, (label + ": a gradient").c_str());
            if (g->carrier && g->shape() == inputs[i].first) {
                results[i] = g;
                continue;
            }
            if (g->carrier) g = bridge.to_dense(g.get());
            if (!(g->shape() == inputs[i].first)) {
                Shape wide = inputs[i].first;
                if (!broadcast_shapes(wide, g->shape()))
                    fail(ErrorKind::Shape, label + ": returned an invalid gradient at index " + std::to_string(i) + " - got " + shape_text(g.get()) + " but expected shape compatible with " + inputs[i].first.text());
                g = wide == inputs[i].first ? expand(g.get(), wide) : sum_to(g.get(), inputs[i].first);
            }
            results[i] = cast(g.get(), inputs[i].second);
        }
    }
};

thread_local PythonNode* PythonNode::running = nullptr;

PyObject* node_repr(PyObject* self) { return PyUnicode_FromFormat("<%s object at %p>", N(self)->name, static_cast<void*>(N(self))); }
PyObject* node_name(PyObject* self, PyObject*) { return PyUnicode_FromString(N(self)->name); }
PyObject* node_next(PyObject* self, void*) {
    return guarded([&]() -> PyObject* {
        Node* node = N(self);
        Owned tuple(checked(PyTuple_New(Py_ssize_t(node->edges.size()))));
        for (size_t i = 0; i < node->edges.size(); ++i) {
            PyObject* child = node->edges[i].node ? wrap_node(node->edges[i].node.get()) : Py_NewRef(Py_None);
            PyTuple_SET_ITEM(tuple.p, Py_ssize_t(i), Py_BuildValue("(NI)", child, node->edges[i].number));
        }
        return tuple.release();
    });
}
PyObject* node_variable(PyObject* self, void*) {
    if (!N(self)->accumulates()) {
        PyErr_Format(PyExc_AttributeError, "'%s' object has no attribute 'variable'", N(self)->name);
        return nullptr;
    }
    return guarded([&] { return wrap(static_cast<AccumulateNode*>(N(self))->leaf); });
}
PyObject* node_internal(PyObject* self, void*) {
    if (!N(self)->accumulates()) Py_RETURN_FALSE;
    AutogradState* state = static_cast<AccumulateNode*>(N(self))->leaf->autograd;
    return PyBool_FromLong(state && state->internal);
}
std::unordered_map<Node*, PyObject*> metadata;
PyObject* node_metadata(PyObject* self, void*) {
    PyObject*& dict = metadata[N(self)];
    if (!dict) dict = PyDict_New();
    N(self)->has_metadata = dict != nullptr;
    return Py_XNewRef(dict);
}
void forget_metadata(Node* node) {
    auto found = metadata.find(node);
    if (found == metadata.end()) return;
    PyObject* dict = found->second;
    metadata.erase(found);
    Py_XDECREF(dict);
}
// The node of a custom Function also shows what its ctx holds.
PyObject* node_attribute(PyObject* self, PyObject* name) {
    PyObject* found = PyObject_GenericGetAttr(self, name);
    if (found || !PyErr_ExceptionMatches(PyExc_AttributeError)) return found;
    auto* node = dynamic_cast<PythonNode*>(N(self));
    if (!node || !node->callable) return nullptr;
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    Owned context(PyObject_GetAttrString(node->callable, "ctx"));
    PyErr_Clear();
    found = context ? PyObject_GetAttr(context, name) : nullptr;
    if (!found && (!context || PyErr_ExceptionMatches(PyExc_AttributeError))) {
        PyErr_Restore(type, value, trace);  // the node's own error, in place of that of the ctx
        return nullptr;
    }
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(trace);
    return found;
}
PyObject* node_sequence(PyObject* self, PyObject*) { return PyLong_FromUnsignedLongLong(N(self)->sequence); }
PyObject* add_hook(void*& slot, PyObject* hook) {
    if (!slot) slot = checked(PyODict_New());  // ordered, and handles refer to it weakly
    PyObject* add = helper("add_hook");
    PyObject* pair[2] = {static_cast<PyObject*>(slot), hook};
    return checked(PyObject_Vectorcall(add, pair, 2, nullptr));
}
PyObject* node_register_hook(PyObject* self, PyObject* hook) { return guarded([&] { return add_hook(N(self)->post_hooks, hook); }); }
PyObject* node_register_prehook(PyObject* self, PyObject* hook) { return guarded([&] { return add_hook(N(self)->pre_hooks, hook); }); }

PyGetSetDef node_getset[] = {{"next_functions", node_next, nullptr, "The nodes this one hands its gradients to, with their input numbers.", nullptr},
                             {"variable", node_variable, nullptr, "The leaf that an AccumulateGrad node adds to.", nullptr},
                             {"metadata", node_metadata, nullptr, "A dictionary for whatever belongs to this node.", nullptr},
                             {"_internal", node_internal, nullptr, "Whether the leaf was made by a transform, not by the user.", nullptr},
                             {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
                             {nullptr, nullptr, nullptr, nullptr, nullptr}};
PyMethodDef node_methods[] = {{"name", node_name, METH_NOARGS, "The operation's name."},
                              {"_sequence_nr", node_sequence, METH_NOARGS, "Nodes are numbered in the order they are made."},
                              {"register_hook", node_register_hook, METH_O, "Call hook(grad_inputs, grad_outputs) after this node ran."},
                              {"register_prehook", node_register_prehook, METH_O, "Call hook(grad_outputs) before this node runs."},
                              {nullptr, nullptr, 0, nullptr}};
PyMemberDef node_members[] = {{"__dictoffset__", T_PYSSIZET, offsetof(PyNode, dict), READONLY, nullptr}, {nullptr, 0, 0, 0, nullptr}};
PyType_Slot node_slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(node_dealloc)}, {Py_tp_repr, reinterpret_cast<void*>(node_repr)}, {Py_tp_getattro, reinterpret_cast<void*>(node_attribute)},
                            {Py_tp_getset, node_getset}, {Py_tp_methods, node_methods}, {Py_tp_members, node_members}, {0, nullptr}};
PyType_Spec node_spec = {"flambeau.autograd.Node", sizeof(PyNode), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, node_slots};

// The subclass that carries a node's name, as in type(y.grad_fn).__name__; made when first asked for.
PyTypeObject* type_of_node(const char* name) {
    static std::unordered_map<std::string, PyTypeObject*> types;
    PyTypeObject*& type = types[name];
    if (type) return type;
    static std::vector<std::unique_ptr<std::string>> names;  // a type refers to its name for ever
    names.push_back(std::make_unique<std::string>(std::string("flambeau.autograd.") + name));
    PyType_Slot none[] = {{Py_tp_dealloc, reinterpret_cast<void*>(node_dealloc)}, {0, nullptr}};
    PyType_Spec spec = {names.back()->c_str(), 0, 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, none};
    type = reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpecWithBases(&spec, reinterpret_cast<PyObject*>(node_type))));
    return type;
}

// --- the bridge the tape calls ---

TensorRef call_tensor_hooks(void* hooks, const TensorRef& gradient) {
    TensorRef current = gradient;
    Owned values(checked(PyDict_Values(static_cast<PyObject*>(hooks))));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(values.p); ++i) {
        Owned g(wrap(current));
        Owned result(checked(PyObject_CallOneArg(PyList_GET_ITEM(values.p, i), g)));
        if (result.p == Py_None) continue;
        TensorRef changed = expect_gradient(result, "the result of a gradient hook");
        if (!changed->same_shape(*current.get()))
            fail(ErrorKind::Shape, "a gradient hook has changed the size of value: the gradient is " + shape_text(current.get()) + ", the result " + shape_text(changed.get()));
        current = changed;
    }
    return current;
}
void call_accumulate_hooks(void* hooks, Tensor* leaf) {
    Owned values(checked(PyDict_Values(static_cast<PyObject*>(hooks))));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(values.p); ++i) {
        Owned t(wrap(TensorRef(leaf)));
        Owned result(checked(PyObject_CallOneArg(PyList_GET_ITEM(values.p, i), t)));
    }
}
void call_post_hooks(void* hooks, Node* node, TensorRef* results, TensorRef* gradients) {
    Owned values(checked(PyDict_Values(static_cast<PyObject*>(hooks))));
    Owned outputs(checked(PyTuple_New(node->output_count)));
    for (uint32_t i = 0; i < node->output_count; ++i) PyTuple_SET_ITEM(outputs.p, i, optional(gradients[i]));
    for (Py_ssize_t h = 0; h < PyList_GET_SIZE(values.p); ++h) {
        Py_ssize_t n = Py_ssize_t(node->edges.size());
        Owned inputs(checked(PyTuple_New(n)));
        for (Py_ssize_t i = 0; i < n; ++i) PyTuple_SET_ITEM(inputs.p, i, optional(results[i]));
        PyObject* pair[2] = {inputs, outputs};
        Owned changed(checked(PyObject_Vectorcall(PyList_GET_ITEM(values.p, h), pair, 2, nullptr)));
        if (changed.p == Py_None) continue;
        for (Py_ssize_t i = 0; i < n; ++i)
            results[i] = PyTuple_Check(changed.p) ? as_gradient(PyTuple_GetItem(changed, i), "a hook's result") : as_gradient(changed, "a hook's result");
    }
}
void call_pre_hooks(void* hooks, Node* node, TensorRef* gradients) {
    Owned values(checked(PyDict_Values(static_cast<PyObject*>(hooks))));
    for (Py_ssize_t h = 0; h < PyList_GET_SIZE(values.p); ++h) {
        Owned outputs(checked(PyTuple_New(node->output_count)));
        for (uint32_t i = 0; i < node->output_count; ++i) PyTuple_SET_ITEM(outputs.p, i, optional(gradients[i]));
        Owned changed(checked(PyObject_CallOneArg(PyList_GET_ITEM(values.p, h), outputs)));
        if (changed.p == Py_None) continue;
        for (uint32_t i = 0; i < node->output_count; ++i)
            gradients[i] = as_gradient(PyTuple_Check(changed.p) ? PyTuple_GetItem(changed, i) : changed.p, "a hook's result");
    }
}
void decrease(void* o) { Py_XDECREF(static_cast<PyObject*>(o)); }
void increase(void* o) { Py_XINCREF(static_cast<PyObject*>(o)); }
std::string text(void* o) {
    const char* s = PyUnicode_AsUTF8(static_cast<PyObject*>(o));
    return s ? s : "?";
}
// The innermost line that is not flambeau's own.
void* here() {
    PyFrameObject* frame = PyThreadState_GetFrame(PyThreadState_Get());
    PyObject* found = nullptr;
    while (frame) {
        PyCodeObject* code = PyFrame_GetCode(frame);
        const char* file = PyUnicode_AsUTF8(code->co_filename);
        bool inside = file && !registry.package.empty() && std::string_view(file).starts_with(registry.package);
        if (!inside) found = PyUnicode_FromFormat("%s:%d (in %U)", file ? file : "?", PyFrame_GetLineNumber(frame), code->co_name);
        Py_DECREF(code);
        PyFrameObject* back = found ? nullptr : PyFrame_GetBack(frame);
        Py_DECREF(frame);
        frame = back;
    }
    return found ? found : PyUnicode_FromString("an unknown line");
}
// Where a node is made, for detect_anomaly: the user's line, and the path of the module whose forward runs.
void* made_here() {
    Owned line(static_cast<PyObject*>(here()));
    PyObject* find = helper("module_path");
    Owned path(find ? PyObject_CallNoArgs(find) : nullptr);
    if (!path) PyErr_Clear();
    if (!path || !PyUnicode_Check(path.p) || !PyUnicode_GET_LENGTH(path.p)) return line.release();
    return PyUnicode_FromFormat("%U ... in %U", line.p, path.p);
}

// saved_tensors_hooks: what is kept for backward passes through a pair of Python functions.
thread_local std::vector<std::pair<PyObject*, PyObject*>> saved_hooks;
void* pack_saved(Tensor* t, void*& unpack) {
    if (saved_hooks.empty()) return nullptr;
    auto [pack, back] = saved_hooks.back();
    GradModeGuard off(false);
    Owned given(wrap(detach(t)));
    PyObject* packed = checked(PyObject_CallOneArg(pack, given));
    unpack = Py_NewRef(back);
    return packed;
}
TensorRef unpack_saved(void* packed, void* unpack) {
    GradModeGuard off(false);
    Owned result(checked(PyObject_CallOneArg(static_cast<PyObject*>(unpack), static_cast<PyObject*>(packed))));
    return TensorRef(expect_tensor(result, "saved_tensors_hooks: what unpack_hook returns"));
}
PyObject* py_push_saved_hooks(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 2 || !PyCallable_Check(args[0]) || !PyCallable_Check(args[1]))
        return PyErr_Format(PyExc_TypeError, "saved_tensors_hooks: takes two functions, pack_hook and unpack_hook");
    saved_hooks.emplace_back(Py_NewRef(args[0]), Py_NewRef(args[1]));
    ++bridge.saved_hooks;
    Py_RETURN_NONE;
}
PyObject* py_pop_saved_hooks(PyObject*, PyObject*) {
    if (saved_hooks.empty()) return PyErr_Format(PyExc_RuntimeError, "saved_tensors_hooks: there are none to remove");
    auto [pack, back] = saved_hooks.back();
    saved_hooks.pop_back();
    --bridge.saved_hooks;
    Py_DECREF(pack);
    Py_DECREF(back);
    Py_RETURN_NONE;
}

void interrupt() { if (PyErr_CheckSignals()) python_failed(); }

// --- functions ---

std::vector<TensorRef> tensors_from(PyObject* sequence, const char* what, bool none_allowed = false) {
    std::vector<TensorRef> out;
    if (!sequence || sequence == Py_None) return out;
    if (is_tensor(sequence)) return {TensorRef(tensor_of(sequence))};
    Owned fast(PySequence_Fast(sequence, what));
    if (!fast) python_failed();
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(fast.p); ++i) {
        PyObject* o = PySequence_Fast_GET_ITEM(fast.p, i);
        if (none_allowed && o == Py_None) out.emplace_back();
        else out.emplace_back(expect_tensor(o, what));
    }
    return out;
}

TensorRef first_gradient(Tensor* root, const TensorRef& given) {
    if (given) {
        if (!given->same_shape(*root))
            fail(ErrorKind::Shape, "backward: Mismatch in shape: the gradient has shape " + shape_text(given.get()) + " and the output has shape " + shape_text(root) + "; they must be equal");
        if (is_complex(given->dtype) != is_complex(root->dtype))
            fail(ErrorKind::DType, std::string("backward: For complex Tensors, both grad_output and output are required to have the same dtype; the gradient is ") +
                                       kDTypeNames[given->dtype] + " and the output " + kDTypeNames[root->dtype]);
        return given->dtype == root->dtype ? given : cast(given.get(), root->dtype);
    }
    if (root->numel != 1)
        fail(ErrorKind::Autograd, "backward: grad can be implicitly created only for scalar outputs, this one has shape " + shape_text(root) + "; reduce it with .sum() or .mean(), or pass gradient=");
    if (is_complex(root->dtype))
        fail(ErrorKind::Autograd, std::string("backward: grad can be implicitly created only for real scalar outputs but got ") + kDTypeNames[root->dtype] +
                                      "; make the result real, for example with .abs(), or pass gradient=");
    TensorRef one = empty(root->shape(), root->dtype);
    if (recorder) [[unlikely]] fill_elements(one.get(), 1.0);
    else write_double(root->dtype, one->data, 1.0);
    return one;
}

// run_backward(roots, gradients, keep_graph, create_graph, inputs, accumulate) -> tuple of gradients or None
PyObject* py_run_backward(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        if (n != 6) fail(ErrorKind::Type, "run_backward takes 6 arguments");
        BackwardRequest request;
        request.roots = tensors_from(args[0], "backward: an output");
        std::vector<TensorRef> given = tensors_from(args[1], "backward: a gradient", true);
        if (args[1] == Py_None) given.resize(request.roots.size());
        if (!given.empty() && given.size() != request.roots.size())
            fail(ErrorKind::Runtime, "backward: got " + std::to_string(request.roots.size()) + " tensors and " + std::to_string(given.size()) + " gradients");
        given.resize(request.roots.size());
        request.keep_graph = is_true(args[2]);
        request.create_graph = is_true(args[3]);
        request.inputs = tensors_from(args[4], "backward: an input");
        request.accumulate = is_true(args[5]);
        if (args[4] != Py_None && request.inputs.empty()) fail(ErrorKind::Runtime, "backward: inputs argument to backward cannot be empty");
        for (size_t i = 0; i < request.roots.size(); ++i) {
            Tensor* root = request.roots[i].get();
            grad_fn_of(root);
            if (!root->requires_grad)
                fail(ErrorKind::Autograd, "backward: element " + std::to_string(i) + " of tensors does not require grad and does not have a grad_fn: nothing it was computed from had requires_grad=True, or it was computed under no_grad() or from detach()ed tensors");
            request.gradients.push_back(first_gradient(root, given[i]));
        }
        for (size_t i = 0; i < request.inputs.size(); ++i) {
            grad_fn_of(request.inputs[i].get());
            if (!request.inputs[i]->requires_grad) fail(ErrorKind::Autograd, "backward: one of the differentiated Tensors (input " + std::to_string(i) + ") does not require grad");
        }
        std::vector<TensorRef> captured = run_backward(request);
        if (request.accumulate) Py_RETURN_NONE;
        Owned tuple(checked(PyTuple_New(Py_ssize_t(captured.size()))));
        for (size_t i = 0; i < captured.size(); ++i) PyTuple_SET_ITEM(tuple.p, Py_ssize_t(i), optional(captured[i]));
        return tuple.release();
    });
}

PyObject* m_backward(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* names) {
    // Plain backward() takes no detour; anything else goes through run_backward.
    static const char* order[4] = {"gradient", "retain_graph", "create_graph", "inputs"};
    PyObject* given[4] = {Py_None, Py_None, Py_False, Py_None};
    for (Py_ssize_t i = 0; i < n && i < 4; ++i) given[i] = args[i];
    if (names)
        for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(names); ++k) {
            bool known = false;
            for (int i = 0; i < 4; ++i)
                if (!PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, k), order[i])) given[i] = args[n + k], known = true;
            if (!known) return PyErr_Format(PyExc_TypeError, "backward() got an unexpected keyword argument %R", PyTuple_GET_ITEM(names, k));
        }
    PyObject* keep = given[1] == Py_None ? given[2] : given[1];
    Owned gradients(given[0] == Py_None ? Py_NewRef(Py_None) : PyTuple_Pack(1, given[0]));
    PyObject* full[6] = {self, gradients, keep, given[2], given[3], Py_True};
    if (batching.levels) [[unlikely]]
        if (PyObject* result = batched_call("run_backward", true, full, 6, nullptr); result != Py_NotImplemented) return result;
    return py_run_backward(nullptr, full, 6);
}

// attach(outputs, inputs, vjp, name): the outputs were computed from the inputs by code that is not recorded.
PyObject* py_attach(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        if (n != 4) fail(ErrorKind::Type, "attach takes (outputs, inputs, vjp, name)");
        std::vector<TensorRef> outputs = tensors_from(args[0], "attach: an output", true), inputs = tensors_from(args[1], "attach: an input", true);
        bool wanted = false;
        for (auto& t : inputs) {
            if (t) grad_fn_of(t.get());
            wanted = wanted || (t && t->requires_grad);
        }
        if (!wanted || !GradMode::enabled) Py_RETURN_NONE;
        auto* node = new PythonNode(args[2], PyUnicode_AsUTF8(args[3]));
        Ref<Node> keep(node);
        std::vector<Tensor*> plain;
        for (auto& t : inputs) {
            plain.push_back(t && t->requires_grad ? t.get() : nullptr);
            node->inputs.emplace_back(t ? t->shape() : Shape(), t ? t->dtype : uint8_t(kFloat32));
        }
        connect(node, plain.data(), int(plain.size()));
        node->output_count = uint32_t(outputs.size());
        for (size_t i = 0; i < outputs.size(); ++i) {
            if (!outputs[i]) continue;
            if (is_inexact(outputs[i]->dtype)) set_history(outputs[i].get(), node, uint32_t(i));
        }
        return wrap_node(node);
    });
}

PyObject* m_register_hook(PyObject* self, PyObject* hook) {
    return guarded([&]() -> PyObject* {
        Tensor* t = tensor_of(self);
        Node* node = grad_fn_of(t);
        if (!t->requires_grad) fail(ErrorKind::Autograd, "register_hook: cannot register a hook on a tensor that doesn't require gradient");
        AutogradState& state = autograd_of(t);
        bool first = !state.hooks;
        PyObject* handle = add_hook(state.hooks, hook);
        if (first && node) node->tensor_hooks.push_back(TensorHook{state.output_number, Py_NewRef(static_cast<PyObject*>(state.hooks))});
        return handle;
    });
}
PyObject* m_register_accumulate_hook(PyObject* self, PyObject* hook) {
    return guarded([&]() -> PyObject* {
        Tensor* t = tensor_of(self);
        if (!t->requires_grad || grad_fn_of(t)) fail(ErrorKind::Autograd, "register_post_accumulate_grad_hook: post accumulate grad hooks cannot be registered on non-leaf tensors");
        return add_hook(autograd_of(t).accumulate_hooks, hook);
    });
}

PyObject* py_set_grad_enabled(PyObject*, PyObject* value) {
    return guarded([&] {
        bool before = GradMode::enabled;
        GradMode::enabled = is_true(value);
        return PyBool_FromLong(before);
    });
}
PyObject* py_is_grad_enabled(PyObject*, PyObject*) { return PyBool_FromLong(GradMode::enabled); }
PyObject* py_set_inference(PyObject*, PyObject* value) {
    return guarded([&] {
        bool before = GradMode::inference;
        GradMode::inference = is_true(value);
        return PyBool_FromLong(before);
    });
}
PyObject* py_is_inference(PyObject*, PyObject*) { return PyBool_FromLong(GradMode::inference); }

// A value kept for backward by Python code: checked against changes in place, like the core's own.
struct PySaved {
    PyObject_HEAD
    Saved saved;
    char* label;
};
PyObject* saved_new(PyTypeObject* type, PyObject* args, PyObject*) {
    PyObject* tensor;
    const char* label = "a function";
    int output = -1;
    if (!PyArg_ParseTuple(args, "O|si", &tensor, &label, &output)) return nullptr;
    if (is_batched(tensor)) return batched_call("Saved", false, PySequence_Fast_ITEMS(args), PyTuple_GET_SIZE(args), nullptr);
    return guarded([&]() -> PyObject* {
        Tensor* t = expect_tensor(tensor, "Saved");
        auto* o = reinterpret_cast<PySaved*>(checked(type->tp_alloc(type, 0)));
        new (&o->saved) Saved();
        if (output >= 0) o->saved.save_output(t, output);
        else o->saved.save(t);
        o->label = strdup(label);
        return reinterpret_cast<PyObject*>(o);
    });
}
void saved_dealloc(PyObject* self) {
    auto* o = reinterpret_cast<PySaved*>(self);
    o->saved.~Saved();
    free(o->label);
    PyTypeObject* type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}
PyObject* saved_unpack(PyObject* self, PyObject*) {
    return guarded([&]() -> PyObject* {
        auto* o = reinterpret_cast<PySaved*>(self);
        Node* owner = PythonNode::running;
        if (owner && o->saved.output_number >= 0) return wrap(o->saved.unpack(owner));
        struct Label : Node { void apply(TensorRef*, TensorRef*) override {} } stand_in;
        stand_in.name = o->label;
        Saved plain = o->saved;
        plain.output_number = -1;
        return wrap(plain.unpack(&stand_in));
    });
}
PyMethodDef saved_methods[] = {{"unpack", saved_unpack, METH_NOARGS, "The tensor; an error if it was changed in place since."}, {nullptr, nullptr, 0, nullptr}};
PyType_Slot saved_slots[] = {{Py_tp_new, reinterpret_cast<void*>(saved_new)}, {Py_tp_dealloc, reinterpret_cast<void*>(saved_dealloc)}, {Py_tp_methods, saved_methods}, {0, nullptr}};
PyType_Spec saved_spec = {"flambeau._core.Saved", sizeof(PySaved), 0, Py_TPFLAGS_DEFAULT, saved_slots};

// set_detect_anomaly(mode, check_nan) -> (mode, check_nan) before
PyObject* py_set_detect_anomaly(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&] {
        Owned before(Py_BuildValue("(OO)", bridge.detect_anomaly ? Py_True : Py_False, bridge.check_nan ? Py_True : Py_False));
        if (n > 0) bridge.detect_anomaly = is_true(args[0]);
        if (n > 1) bridge.check_nan = is_true(args[1]);
        return before.release();
    });
}

PyObject* py_check_in_place(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        if (n < 1) fail(ErrorKind::Type, "check_in_place takes (tensor, name)");
        check_in_place(expect_tensor(args[0], "check_in_place"), n > 1 ? PyUnicode_AsUTF8(args[1]) : "in place");
        Py_RETURN_NONE;
    });
}
// edge_tensor(node, number): stands for a place in the graph where a tensor is asked for; it has no elements.
PyObject* py_edge_tensor(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        Node* node = n == 2 ? node_of(args[0]) : nullptr;
        if (!node) fail(ErrorKind::Type, "edge_tensor takes (node, number)");
        if (node->accumulates()) return wrap(static_cast<AccumulateNode*>(node)->leaf);
        TensorRef t = empty(Shape{0}, kFloat32);
        set_history(t.get(), node, uint32_t(as_int(args[1], "edge_tensor")));
        return wrap(std::move(t));
    });
}
PyObject* py_backward_pass(PyObject*, PyObject*) { return PyLong_FromUnsignedLongLong(current_backward()); }
PyObject* py_takes_part(PyObject*, PyObject* list) {
    return guarded([&]() -> PyObject* {
        std::vector<TensorRef> tensors = tensors_from(list, "takes_part: a tensor");
        std::vector<Edge> edges;
        std::vector<Node*> nodes;
        for (TensorRef& t : tensors) {
            edges.push_back(edge_for(t.get()));
            nodes.push_back(edges.back().node.get());
        }
        std::vector<bool> found = in_current_backward(nodes);
        PyObject* out = checked(PyList_New(Py_ssize_t(found.size())));
        for (size_t i = 0; i < found.size(); ++i) PyList_SET_ITEM(out, Py_ssize_t(i), PyBool_FromLong(found[i]));
        return out;
    });
}
PyObject* py_mark_internal(PyObject*, PyObject* t) {
    return guarded([&]() -> PyObject* { autograd_of(expect_tensor(t, "mark_internal")).internal = true; Py_RETURN_NONE; });
}
PyObject* py_bump_version(PyObject*, PyObject* t) {
    return guarded([&]() -> PyObject* { bump_version(expect_tensor(t, "bump_version")); Py_RETURN_NONE; });
}
// make_subclass(cls, tensor, requires_grad): an instance of cls sharing the tensor's storage, a leaf.
PyObject* py_make_subclass(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        if (n < 2 || !PyType_Check(args[0]) || !PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(args[0]), tensor_type))
            fail(ErrorKind::Type, "make_subclass takes (a subclass of Tensor, tensor, requires_grad)");
        TensorRef t = detach(expect_tensor(args[1], "make_subclass"));
        bool wanted = n > 2 && is_true(args[2]);
        if (wanted && !is_inexact(t->dtype))
            fail(ErrorKind::Runtime, std::string("requires_grad: only Tensors of floating point and complex dtype can require gradients, this one is ") + kDTypeNames[t->dtype]);
        t->requires_grad = wanted;
        return wrap_as(reinterpret_cast<PyTypeObject*>(args[0]), std::move(t));
    });
}
// as_subclass(cls, tensor): a view with the tensor's history, as an object of a subclass
PyObject* py_as_subclass(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        if (n != 2 || !PyType_Check(args[0]) || !PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(args[0]), tensor_type))
            fail(ErrorKind::Type, "as_subclass takes (a subclass of Tensor, tensor)");
        Tensor* t = expect_tensor(args[1], "as_subclass");
        return wrap_as(reinterpret_cast<PyTypeObject*>(args[0]), as_strided(t, t->shape(), t->strides, t->offset()));
    });
}

#define FAST(name, function, doc) Batchable<function>::entry(name, doc)
PyMethodDef functions[] = {
    Batchable<py_run_backward, true>::entry("run_backward", "run_backward(roots, gradients, keep_graph, create_graph, inputs, accumulate)"),
    FAST("set_detect_anomaly", py_set_detect_anomaly, "set_detect_anomaly(mode, check_nan): returns the state before."),
    FAST("attach", py_attach, "attach(outputs, inputs, vjp, name): a node whose backward is a Python callable."),
    FAST("check_in_place", py_check_in_place, "Refuse an in-place change that autograd cannot record."),
    FAST("make_subclass", py_make_subclass, "make_subclass(cls, tensor, requires_grad): an instance of cls sharing storage."),
    FAST("as_subclass", py_as_subclass, "as_subclass(cls, tensor): an instance of cls, a view with the tensor's history."),
    {"backward_pass", py_backward_pass, METH_NOARGS, "The number of the backward pass that runs in this thread, or 0."},
    {"takes_part", py_takes_part, METH_O, "Which of the tensors the running backward pass comes to."},
    FAST("edge_tensor", py_edge_tensor, "edge_tensor(node, number): stands for a place in the graph."),
    {"mark_internal", py_mark_internal, METH_O, "Note that a leaf belongs to a transform, so that nobody outside differentiates by it."},
    FAST("bump_version", py_bump_version, "Note that a tensor was changed in place."),
    {"push_saved_hooks", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(py_push_saved_hooks)), METH_FASTCALL, "push_saved_hooks(pack, unpack): what is kept for backward passes through them."},
    {"pop_saved_hooks", py_pop_saved_hooks, METH_NOARGS, "End the innermost pair of hooks."},
    {"set_grad_enabled", py_set_grad_enabled, METH_O, "Switch recording on or off; returns the old state."},
    {"is_grad_enabled", py_is_grad_enabled, METH_NOARGS, "Whether operations are recorded."},
    {"set_inference", py_set_inference, METH_O, "Switch inference mode on or off; returns the old state."},
    {"is_inference_mode_enabled", py_is_inference, METH_NOARGS, "Whether inference mode is on."},
    {nullptr, nullptr, 0, nullptr}};
PyMethodDef tensor_backward = {"backward", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(m_backward)), METH_FASTCALL | METH_KEYWORDS,
                               "backward(gradient=None, retain_graph=None, create_graph=False, inputs=None)\n--\n\nCompute the gradients of this tensor and add them to .grad of the leaves."};
PyMethodDef tensor_hook = {"register_hook", m_register_hook, METH_O, "register_hook(hook)\n--\n\nCall hook(grad) when the gradient of this tensor is computed."};
PyMethodDef tensor_accumulate = {"register_post_accumulate_grad_hook", m_register_accumulate_hook, METH_O, "register_post_accumulate_grad_hook(hook)\n--\n\nCall hook(tensor) after .grad of this leaf was updated."};

}  // namespace

PyObject* wrap_node(Node* node) {
    if (node->python) return Py_NewRef(static_cast<PyObject*>(node->python));
    PyTypeObject* type = type_of_node(node->name);
    auto* o = reinterpret_cast<PyNode*>(checked(type->tp_alloc(type, 0)));
    ++node->references;
    o->node = node;
    node->python = o;
    return reinterpret_cast<PyObject*>(o);
}
Node* node_of(PyObject* o) { return PyObject_TypeCheck(o, node_type) ? N(o) : nullptr; }

int add_autograd(PyObject* module) {
    node_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&node_spec));
    PyObject* saved_type = PyType_FromSpec(&saved_spec);
    if (!node_type || !saved_type) return -1;
    bridge.call_tensor_hooks = call_tensor_hooks;
    bridge.call_accumulate_hooks = call_accumulate_hooks;
    bridge.call_post_hooks = call_post_hooks;
    bridge.call_pre_hooks = call_pre_hooks;
    bridge.decrease = decrease;
    bridge.increase = increase;
    bridge.here = here;
    bridge.text = text;
    bridge.made_here = made_here;
    bridge.forget_metadata = forget_metadata;
    bridge.pack_saved = pack_saved;
    bridge.unpack_saved = unpack_saved;
    bridge.interrupt = interrupt;
    forget_writer = decrease;
    for (PyMethodDef* method : {&tensor_backward, &tensor_hook, &tensor_accumulate}) {
        PyObject* descriptor = PyDescr_NewMethod(tensor_type, method);
        if (!descriptor || PyObject_SetAttrString(reinterpret_cast<PyObject*>(tensor_type), method->ml_name, descriptor)) return -1;
        Py_DECREF(descriptor);
    }
    if (PyModule_AddFunctions(module, functions)) return -1;
    if (PyModule_AddObject(module, "Saved", saved_type)) return -1;
    return PyModule_AddObjectRef(module, "Node", reinterpret_cast<PyObject*>(node_type));
}

}  // namespace flambeau
