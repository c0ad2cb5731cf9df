"""SVG as text: whatever is put into it is escaped, so that no name and no answer becomes an element."""

from __future__ import annotations

from html import escape

from pytest_ftgate.safe import readable


class Drawn(str):
    """Markup that was made here; a template takes it as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


def element(name: str, /, *children: str, **attributes: str | float | None) -> Drawn:
    """``<name ...>children</name>``.

    Args:
        name: of the element.
        children: elements, or text.
        attributes: ``class_`` for ``class``, ``_`` for ``-``; one that is ``None`` is left out.
    """
    written = "".join(f' {_key(key)}="{_value(value)}"' for key, value in attributes.items() if value is not None)
    content = "".join(child if isinstance(child, Drawn) else escape(readable(child)) for child in children)
    return Drawn(f"<{name}{written}>{content}</{name}>")


def figure(width: float, height: float, title: str, description: str, *children: Drawn, kind: str) -> Drawn:
    """A picture that says in words what it shows. It scales with the space that it is given.

    Args:
        width, height: in its own units.
        title: what it is.
        description: what it shows, in words.
        children: its elements.
        kind: its class.
    """
    return element(
        "svg",
        element("title", title),
        element("desc", description),
        *children,
        class_=f"plot {kind}",
        role="img",
        viewBox=f"0 0 {width:g} {height:g}",
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Drawn:
    """A straight line of a class."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def text(x: float, y: float, said: str, *, kind: str = "tick", anchor: str = "middle") -> Drawn:
    """Words at a place; ``anchor`` is ``start``, ``middle`` or ``end``."""
    return element("text", said, x=x, y=y, class_=kind, text_anchor=anchor)


def _key(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def _value(value: str | float) -> str:
    return escape(readable(value)) if isinstance(value, str) else f"{round(value, 2):g}"
