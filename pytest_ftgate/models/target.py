"""``pkg.module:function``, found or explained."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from pytest_ftgate.data.wording import nearest
from pytest_ftgate.errors import ConfigError, Where


def resolve_target(target: str, where: Where) -> Callable[..., Any]:
    """The callable that a target names.

    Raises:
        ConfigError: the module or the name in it does not exist, importing it fails, or it cannot be called.
    """
    module, _, path = target.partition(":")
    if not (module and path):
        raise ConfigError(f"{target!r} is not of the form pkg.module:function", where=where)
    found: Any = _imported(module, where)
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            near = nearest(name, dir(found))
            raise ConfigError(
                f"{target!r}: there is no {name!r} in {_called(found)}",
                where=where,
                cure=f"did you mean {near!r}?" if near else None,
            ) from None
    if not callable(found):
        raise ConfigError(f"{target!r} is of type {type(found).__name__}, not a function", where=where)
    function: Callable[..., Any] = found
    return function


def _imported(module: str, where: Where) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise _broken(module, error, where) from error
        raise ConfigError(
            f"there is no module {error.name!r}",
            where=where,
            cure="install it, or add its folder to pytest's ini key pythonpath",
        ) from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may call sys.exit() or pytest.skip()
        raise _broken(module, error, where) from error


def _broken(module: str, error: BaseException, where: Where) -> ConfigError:
    return ConfigError(
        f"the module {module!r} cannot be imported", where=where, evidence=f"{type(error).__name__}: {error}"
    )


def _called(found: Any) -> str:
    return str(getattr(found, "__name__", type(found).__name__))
