// DLPack: tensors to and from other array libraries without a copy.
// It is not: NumPy's buffer protocol (python_tensor.cpp). Layouts of the structures are those of DLPack 0.8 and 1.0.
#include "python.h"
#include "record.h"
#include "views.h"

namespace flambeau {

namespace {

struct DLDevice { int32_t type, id; };
struct DLDataType { uint8_t code, bits; uint16_t lanes; };
struct DLTensor { void* data; DLDevice device; int32_t ndim; DLDataType dtype; int64_t *shape, *strides; uint64_t byte_offset; };
struct DLManagedTensor { DLTensor tensor; void* context; void (*deleter)(DLManagedTensor*); };
struct DLVersion { uint32_t major, minor; };
struct DLManagedTensorVersioned { DLVersion version; void* context; void (*deleter)(DLManagedTensorVersioned*); uint64_t flags; DLTensor tensor; };
constexpr uint64_t kReadOnly = 1, kCopied = 2;

// code: 0 signed, 1 unsigned, 2 float, 4 bfloat, 5 complex, 6 bool
constexpr DLDataType kTypes[kDTypes] = {{6, 8, 1}, {1, 8, 1}, {0, 8, 1}, {0, 16, 1}, {0, 32, 1}, {0, 64, 1}, {2, 16, 1}, {4, 16, 1}, {2, 32, 1}, {2, 64, 1},
                                             {1, 16, 1}, {1, 32, 1}, {1, 64, 1}, {5, 64, 1}, {5, 128, 1}};

template <class Managed>
struct Exported {
    Managed managed;
    Tensor* tensor;
    int64_t shape[kMaxDims], strides[kMaxDims];
};
template <class Managed>
void exported_deleter(Managed* managed) {
    auto* e = reinterpret_cast<Exported<Managed>*>(managed);
    PyGILState_STATE state = PyGILState_Ensure();
    Ref<Tensor>::adopt(e->tensor);
    PyGILState_Release(state);
    delete e;
}
template <class Managed>
Exported<Managed>* export_tensor(TensorRef t) {
    reads_value("dlpack");
    auto* e = new Exported<Managed>();
    Tensor* p = e->tensor = t.detach();
    p->storage->exported = true;
    for (int i = 0; i < p->ndim; ++i) e->shape[i] = p->sizes[i], e->strides[i] = p->strides[i];
    e->managed.tensor = DLTensor{p->data, {1, 0}, p->ndim, kTypes[p->dtype], e->shape, e->strides, 0};
    e->managed.context = e;
    e->managed.deleter = exported_deleter<Managed>;
    return e;
}
void capsule_end(PyObject* capsule) {
    if (PyCapsule_IsValid(capsule, "dltensor")) {
        auto* m = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, "dltensor"));
        m->deleter(m);
    } else if (PyCapsule_IsValid(capsule, "dltensor_versioned")) {
        auto* m = static_cast<DLManagedTensorVersioned*>(PyCapsule_GetPointer(capsule, "dltensor_versioned"));
        m->deleter(m);
    }
}
// to_dlpack(tensor, versioned, copy)
PyObject* to_dlpack(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        if (n < 1) fail(ErrorKind::Type, "to_dlpack takes (tensor, versioned, copy)");
        Tensor* t = expect_tensor(args[0], "__dlpack__");
        if (t->requires_grad) fail(ErrorKind::Runtime, "__dlpack__: Can't export tensors that require gradient, use tensor.detach()");
        bool versioned = n > 1 && is_true(args[1]), copy = n > 2 && is_true(args[2]);
        TensorRef source = copy ? clone(t) : detach(t);
        bool read_only = source->storage->read_only;
        if (read_only && !versioned) fail(ErrorKind::Runtime, "__dlpack__: a read-only tensor can only be exported to consumers of DLPack 1.0; clone() it");
        if (versioned) {
            auto* e = export_tensor<DLManagedTensorVersioned>(source);
            e->managed.version = {1, 0};
            e->managed.flags = (read_only ? kReadOnly : 0) | (copy ? kCopied : 0);
            return checked(PyCapsule_New(&e->managed, "dltensor_versioned", capsule_end));
        }
        auto* e = export_tensor<DLManagedTensor>(source);
        return checked(PyCapsule_New(&e->managed, "dltensor", capsule_end));
    });
}
template <class Managed>
TensorRef import_tensor(Managed* m, bool read_only) {
    const DLTensor& d = m->tensor;
    auto refuse = [&](const std::string& why, ErrorKind kind) { fail(kind, "from_dlpack: " + why); };
    if (d.device.type != 1 && d.device.type != 3) refuse("the tensor is on device type " + std::to_string(d.device.type) + ", only CPU memory can be taken here", ErrorKind::Device);
    uint8_t code = kDTypes;
    for (uint8_t i = 0; i < kDTypes; ++i)
        if (kTypes[i].code == d.dtype.code && kTypes[i].bits == d.dtype.bits && d.dtype.lanes == 1) code = i;
    if (code == kDTypes) refuse("unsupported element type (code " + std::to_string(d.dtype.code) + ", " + std::to_string(d.dtype.bits) + " bits)", ErrorKind::DType);
    if (d.ndim > kMaxDims - 1) refuse("more than 15 dimensions", ErrorKind::Shape);
    Shape shape;
    int64_t strides[kMaxDims], extent = 1, dense = 1;
    for (int i = d.ndim - 1; i >= 0; --i) {
        strides[i] = d.strides ? d.strides[i] : dense;
        dense *= d.shape[i];
    }
    for (int i = 0; i < d.ndim; ++i) {
        shape.sizes[shape.ndim++] = d.shape[i];
        if (strides[i] < 0) refuse("negative strides are not supported; copy the array", ErrorKind::Value);
        extent += (d.shape[i] - 1) * strides[i];
    }
    if (dense == 0) extent = 0;
    char* data = static_cast<char*>(d.data) + d.byte_offset;
    Ref<Storage> storage = Ref<Storage>::adopt(storage_foreign(data, size_t(extent) * kItemSizes[code], [](void* owner) {
        auto* managed = static_cast<Managed*>(owner);
        if (managed->deleter) managed->deleter(managed);
    }, m, read_only));
    return from_storage(std::move(storage), shape, strides, 0, code);
}
PyObject* from_capsule(PyObject*, PyObject* capsule) {
    return guarded([&]() -> PyObject* {
        if (PyCapsule_IsValid(capsule, "dltensor_versioned")) {
            auto* m = static_cast<DLManagedTensorVersioned*>(PyCapsule_GetPointer(capsule, "dltensor_versioned"));
            if (m->version.major > 1) fail(ErrorKind::Value, "from_dlpack: DLPack version " + std::to_string(m->version.major) + " is newer than the supported 1");
            TensorRef t = import_tensor(m, m->flags & kReadOnly);
            PyCapsule_SetName(capsule, "used_dltensor_versioned");
            return wrap(std::move(t));
        }
        if (PyCapsule_CheckExact(capsule) && !PyCapsule_IsValid(capsule, "dltensor"))
            fail(ErrorKind::Runtime, "from_dlpack: the capsule was used before, or holds no tensor; each can be consumed once");
        if (!PyCapsule_CheckExact(capsule)) fail(ErrorKind::Type, "from_dlpack: expected an unused DLPack capsule or an object with __dlpack__");
        TensorRef t = import_tensor(static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, "dltensor")), false);
        PyCapsule_SetName(capsule, "used_dltensor");
        return wrap(std::move(t));
    });
}
PyMethodDef functions[] = {{"to_dlpack", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(to_dlpack)), METH_FASTCALL, "to_dlpack(tensor, versioned, copy)"},
                           {"from_dlpack", from_capsule, METH_O, "A tensor sharing the memory of a DLPack capsule."},
                           {nullptr, nullptr, 0, nullptr}};

}  // namespace

int add_dlpack(PyObject* module) { return PyModule_AddFunctions(module, functions); }

}  // namespace flambeau
