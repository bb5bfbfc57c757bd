// Exceptions of the core, each carried to one Python class by the bindings.
// It is not: a place for messages (they are written where the rule is checked). Included by every core file.
#pragma once
#include <stdexcept>
#include <string>

namespace flambeau {

enum class ErrorKind { Shape, DType, Device, Autograd, Index, Value, Type, Runtime, Memory, ZeroDivision, Overflow };

struct Error : std::runtime_error {
    ErrorKind kind;
    Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind(kind) {}
};

// A Python exception is already set: the bindings only have to return null.
struct PythonError : std::exception {
    const char* what() const noexcept override { return "a Python exception is set"; }
};

[[noreturn]] inline void fail(ErrorKind kind, const std::string& message) { throw Error(kind, message); }

}  // namespace flambeau
