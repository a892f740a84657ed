"""PySide made to behave, and to refuse, like PythonQt: properties are attributes, nothing unknown is taken."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from PySide6 import QtCore, QtWidgets

FORBIDDEN = ("QEnum", "QFlag", "QtProperty")


# Stricter than both bindings, which convert differently.
ACCEPTED: dict[str, Any] = {"QString": str, "int": int, "double": int | float, "bool": int}
_READING: set[tuple[int, str]] = set()


class QtProperty:
    """A Qt property as PythonQt shows it: an attribute of the instance; the class still has the method."""

    def __init__(self, name: str, writable: bool, method: Any) -> None:
        self.name, self.writable, self.method = name, writable, method

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is not None:
            key = (id(instance), self.name)
            if key in _READING and self.method is not None:
                return self.method.__get__(instance, owner)  # Qt asks whether sizeHint is overridden
            _READING.add(key)
            try:
                return QtCore.QObject.property(instance, self.name)
            finally:
                _READING.discard(key)
        if self.method is None:
            raise AttributeError(f"type object '{owner.__name__}' has no attribute '{self.name}'")
        return self.method.__get__(None, owner)

    def __set__(self, instance: Any, value: Any) -> None:
        if not self.writable:
            raise AttributeError(f"Property '{self.name}' of {type(instance).__name__} is not writable")
        kind = instance.metaObject().property(instance.metaObject().indexOfProperty(self.name)).typeName()
        if not isinstance(value, ACCEPTED.get(kind, object)) or not QtCore.QObject.setProperty(
            instance, self.name, value
        ):
            raise AttributeError(
                f"Property '{self.name}' of {type(instance).__name__} does not accept an object of type "
                f"{type(value).__name__}"
            )


def adapt(cls: type) -> None:
    """Give a class of PySide the attributes that PythonQt has, and take away what it has not."""
    if issubclass(cls, QtCore.QObject):
        _properties(cls)
        if "__getattribute__" in cls.__dict__:
            cls.__getattribute__ = _getter(cls.__getattribute__)  # type: ignore[method-assign]
    if cls is QtCore.QObject:
        _object(cls)
    _positional_only(cls)
    _CLOSED.add(cls)
    cls.__setattr__ = _set  # type: ignore[method-assign, assignment]


def closed(cls: type) -> type:
    """Refuse unknown attributes on a class that is C++ in Slicer and Python here (private names stay free)."""
    _CLOSED.add(cls)
    return cls


def signal_of(sender: Any, signature: str) -> Any:
    """Return the bound signal that a C++ signature names (``"clicked()"``, ``"seriesAdded(QString)"``)."""
    name, bracket, arguments = signature.partition("(")
    if not bracket or not arguments.endswith(")"):
        raise ValueError(f"{signature!r} is no signal; write it with its arguments, like 'clicked()'")
    signal = getattr(sender, name, None)
    if not isinstance(signal, QtCore.SignalInstance):
        raise ValueError(f"{type(sender).__name__} has no signal {signature}")
    known = {_normal(overload) for overload in _overloads(sender, name)}
    wanted = _normal(signature)
    if wanted not in known:
        raise ValueError(f"{type(sender).__name__} has no signal {signature}; it has {', '.join(sorted(known))}")
    if len({overload for overload in known if overload.count(",") == wanted.count(",")}) > 1:
        types = arguments[:-1]
        try:
            return signal[types] if types else signal
        except (KeyError, IndexError):
            return signal
    return signal


def _overloads(sender: Any, name: str) -> list[str]:
    declared = getattr(type(sender), "SIGNALS", {})
    if name in declared:
        return [f"{name}({types})" for types in declared[name]]
    meta = sender.metaObject()
    methods = (meta.method(index) for index in range(meta.methodCount()))
    found = [
        bytes(m.methodSignature().data()).decode()
        for m in methods
        if m.methodType() == QtCore.QMetaMethod.MethodType.Signal and bytes(m.name().data()).decode() == name
    ]
    return found


def _normal(signature: str) -> str:
    return bytes(QtCore.QMetaObject.normalizedSignature(signature).data()).decode()


def _properties(cls: type) -> None:
    meta = cls.staticMetaObject  # type: ignore[attr-defined]
    for index in range(meta.propertyCount()):
        declared = meta.property(index)
        name = declared.name()
        own = cls.__dict__.get(name)  # also where a class overrides what its base has as a property
        if index >= meta.propertyOffset() or (own is not None and not isinstance(own, QtProperty)):
            setattr(cls, name, QtProperty(name, declared.isWritable(), own))


def _object(cls: Any) -> None:
    """Add what PythonQt and CTK's decorators give every QObject."""
    cls.name = QtProperty("objectName", True, None)
    cls.className = lambda self: self.metaObject().className()
    find = cls.findChildren
    cls.findChildren = lambda self, *args: list(find(self, *args))


def _connection(sender: Any, verb: str, original: Any) -> Callable[..., Any]:
    """Return PythonQt's ``connect`` or ``disconnect``; PySide itself calls its own with more arguments."""

    def change(*arguments: Any) -> Any:
        if len(arguments) != 2:
            return original(*arguments)
        signature, receiver = arguments
        getattr(signal_of(sender, signature), verb)(_clipped(signature, receiver))
        return True

    return change


def _clipped(signature: str, receiver: Callable[..., Any]) -> Callable[..., Any]:
    """Return the receiver; ``clicked()`` must not pass the button's state to a receiver with a default argument."""
    if not callable(receiver):
        raise TypeError(f"{signature}: the receiver is not callable")
    if not signature.endswith("()") or not _takes_arguments(receiver):
        return receiver
    key = (getattr(receiver, "__self__", None), getattr(receiver, "__func__", receiver))
    return _WITHOUT_ARGUMENTS.setdefault(key, lambda *_: receiver())


_WITHOUT_ARGUMENTS: dict[Any, Callable[..., Any]] = {}


def _takes_arguments(receiver: Callable[..., Any]) -> bool:
    try:
        return bool(inspect.signature(receiver).parameters)
    except (TypeError, ValueError):
        return False


def _positional_only(cls: Any) -> None:
    original = cls.__init__

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        if kwargs and type(self) is cls:
            raise TypeError(f"{cls.__name__}: PythonQt takes no keyword arguments ({', '.join(kwargs)})")
        original(self, *args, **kwargs)

    cls.__init__ = __init__


def _getter(original: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """Wrap a class's own look-up, which PySide needs for methods that are static and not (``QFile.exists``)."""

    def get(self: Any, name: str) -> Any:
        if name in ("connect", "disconnect"):  # PySide finds these two before any attribute of the class
            return _connection(self, name, original(self, name))
        if isinstance(inspect.getattr_static(type(self), name, None), QtCore.Property):
            return QtCore.QObject.property(self, name)
        return original(self, name)

    return get


def _set(self: Any, name: str, value: Any) -> None:
    """Set a property; a Python class derived from Qt's may have attributes of its own, a C++ class may not."""
    declared = inspect.getattr_static(type(self), name, None)
    if LOADING and declared is None and isinstance(value, QtWidgets.QWidget) and not name.startswith("_"):
        return  # Qt's loader for Python gives the form an attribute for each child, PythonQt's does not
    if isinstance(declared, QtCore.Property):
        QtProperty(name, declared.fset is not None, None).__set__(self, value)
    elif hasattr(type(declared), "__set__"):
        declared.__set__(self, value)
    elif isinstance(value, QtCore.SignalInstance) or getattr(value, "__self__", None) is self:
        self.__dict__[name] = value  # PySide keeps what it found in the C++ object
    elif type(self) in _CLOSED and not name.startswith("_"):
        raise AttributeError(
            f"'{name}' does not exist and creating new attributes on C++ objects is not allowed ({type(self).__name__})"
        )
    else:
        self.__dict__[name] = value


_CLOSED: set[type] = set()
LOADING: list[str] = []  # the forms being loaded


def flat(modules: Iterable[Any]) -> dict[str, Any]:
    """Return the public names of Qt's modules as PythonQt's one flat ``qt`` module has them."""
    names: dict[str, Any] = {}
    for module in modules:
        for name in dir(module):
            if name.startswith("Q") and name not in FORBIDDEN:
                names[name] = getattr(module, name)
    return names
